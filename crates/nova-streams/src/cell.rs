//! One value of one row, already in the form its column stores.
//!
//! Invariant: a cell that leaves the mapping fits its column's type; an encoder only has to write it down.

use std::borrow::Cow;

use uuid::Uuid;

/// The cells of one table row, in the order of [`Mapping::columns`](crate::Mapping::columns).
pub type Row<'a> = Vec<Cell<'a>>;

/// A typed value, borrowed from the message wherever its bytes can be used as they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// NULL of a `Nullable` column.
    Null,
    /// `Bool`.
    Bool(bool),
    /// `Int8` … `Int64`, and the number of an `Enum8`/`Enum16` member.
    Int(i64),
    /// `UInt8` … `UInt64`.
    UInt(u64),
    /// `Float32`, `Float64`.
    Float(f64),
    /// `String`.
    Text(Cow<'a, str>),
    /// `String` that holds bytes which need not be UTF-8 (`bytea`).
    Bytes(Cow<'a, [u8]>),
    /// `UUID`.
    Uuid(Uuid),
    /// `DateTime64(p)`: ticks of 10⁻ᵖ s since 1970-01-01 UTC. `DateTime`: whole seconds.
    Ticks(i64),
    /// `Date`, `Date32`: days since 1970-01-01.
    Days(i32),
    /// `Decimal(p, s)`: the value times 10ˢ.
    Decimal(i128),
    /// `Array(T)`.
    Array(Vec<Cell<'a>>),
}
