//! Reads the records that Debezium's PostgreSQL connector writes with Kafka Connect's `JsonConverter`.
//!
//! [`decode`] turns the bytes of one Kafka record into an [`EventEnvelope`](nova_envelope::EventEnvelope) of a
//! [`Change`], or into one of the connector's other messages. It borrows from the record, does no I/O, never
//! panics and never recurses with the input. A row's values stay JSON text until a [`Field`] is asked for one.
//!
//! Written against Debezium 3.7; the shapes are described at
//! <https://debezium.io/documentation/reference/3.7/connectors/postgresql.html>.
//!
//! # Settings of the connector that lose information
//! Seen in recorded messages; nothing behind the connector can repair them.
//! - `decimal.handling.mode=precise` without embedded schemas: a `numeric(p, s)` is base64 without its scale. Such
//!   text can look like a number ("1234"), so [`Field::decimal`] may misread it. Use `string`, or embed schemas.
//! - `time.precision.mode=nanoseconds`: a timestamp outside the years 1677–2262 is written as NULL.
//! - `binary.handling.mode=base64` (and `base64-url-safe`): an unchanged TOAST `bytea` is written as NULL,
//!   not as the placeholder. Use `bytes` or `hex`.
//! - REPLICA IDENTITY DEFAULT: the `before` image of a delete holds the key and NULL in every other column.

mod change;
mod cursor;
mod error;
mod event_id;
mod field;
mod record;
mod row;
mod schema;
mod shape;
mod value;

pub use change::{
    Change, Heartbeat, LogicalMessage, Op, Sequence, Snapshot, Source, TransactionMarker,
    TransactionPosition, TransactionStatus,
};
pub use error::{DecodeError, DecodeErrorKind, FOUND_CHARS, Found, ValueError, ValueErrorKind};
pub use event_id::NAMESPACE;
pub use field::Field;
pub use record::{Message, Record, decode};
pub use row::Row;
pub use schema::FieldSchema;
pub use value::{BytesEncoding, TimeUnit};
