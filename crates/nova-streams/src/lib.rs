//! Streams are declared, not coded: TOML definitions and the pure mapping from a change to typed table rows.
//!
//! A stream names a Kafka topic, a ClickHouse table and, for each of its columns, where the value comes from.
//! [`StreamSet::load`] reads and checks the declarations, [`Mapping::compile`] checks one of them against the
//! table's real columns and resolves every name once, and [`Mapping::map`] turns one change into rows of ±1.
//! Nothing here does I/O.

mod cell;
mod column_type;
mod convert;
mod definition;
mod diagnostic;
mod event;
mod identity;
mod literal;
mod load;
mod map;
mod mapping;
mod plan;
mod table;

#[cfg(test)]
mod tests;

pub use cell::{Cell, Row};
pub use column_type::{ColumnType, ColumnTypeError};
pub use definition::{
    ColumnDeclaration, ColumnSource, FieldSource, Format, Location, OnMessage, Stream, StreamSet,
};
pub use diagnostic::{Diagnostic, StreamsError};
pub use event::{EventOrigin, decode_event};
pub use identity::source_key;
pub use literal::literal;
pub use map::{Lineage, MapError, MapErrorKind, Mapped, SkipReason};
pub use mapping::Mapping;
pub use plan::LINEAGE_COLUMNS;
pub use table::{Column, TableSchema};
