//! Errors of decoding and of reading values.
//!
//! Invariant: an error names the place inside the message, what was expected, and what was found by its kind and length, never
//! by itself: errors go into logs and headers, and values are user data. Who needs the value looks at the message.

use std::fmt;

use thiserror::Error;

/// The most characters of a name that an error repeats.
pub const FOUND_CHARS: usize = 64;

/// What was found: a name, cut to [`FOUND_CHARS`] characters, or a value in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found(String);

impl Found {
    /// A JSON value, by its kind and length.
    pub(crate) fn value(raw: &str) -> Self {
        Self(nova_envelope::value_in_words(raw))
    }

    /// The name of a column or of a type.
    pub(crate) fn name(text: &str) -> Self {
        match text.char_indices().nth(FOUND_CHARS - 1) {
            Some((at, last)) if at + last.len_utf8() < text.len() => {
                Self(format!("{}…", text.get(..at).unwrap_or_default()))
            }
            _ => Self(text.to_owned()),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record that is not what Debezium's PostgreSQL connector writes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {kind}")]
pub struct DecodeError {
    /// Where in the message: `payload.source.lsn`, `after.created_at`; `value` is the whole record value.
    pub path: String,
    /// What is wrong there.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The value's bytes are no UTF-8.
    #[error("expected UTF-8, found an invalid sequence at byte {offset}")]
    Utf8 {
        /// Position of the first invalid byte.
        offset: usize,
    },
    /// The value is no JSON document.
    #[error("expected JSON, but {problem} at byte {offset}")]
    Json {
        /// What the parser says.
        problem: String,
        /// Position in the record's value.
        offset: usize,
    },
    /// A part has another type than Debezium gives it.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What Debezium writes there.
        expected: &'static str,
        /// What is there.
        found: Found,
    },
    /// A part that Debezium always writes is not there.
    #[error("missing; expected {expected}")]
    Missing {
        /// What Debezium writes there.
        expected: &'static str,
    },
    /// `op` is none of `c u d r t m`.
    #[error("expected the operation c, u, d, r, t or m, found {found}")]
    UnknownOp {
        /// The operation.
        found: Found,
    },
    /// The object is JSON, but none of Debezium's messages.
    #[error(
        "not a Debezium message: expected `op` (a change), `status` (a transaction) or `ts_ms` (a heartbeat); \
         is another converter or a flattening transformation (ExtractNewRecordState) configured?"
    )]
    NotDebezium,
    /// A commit time that no calendar has.
    #[error("expected a time in microseconds since 1970, found {found}")]
    Timestamp {
        /// The number.
        found: i64,
    },
}

/// A column's value that cannot be read as what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {kind}")]
pub struct ValueError {
    /// Where in the message: `payload.after.tags[3]`.
    pub path: String,
    /// What is wrong there.
    pub kind: ValueErrorKind,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueErrorKind {
    /// The value has another type or form.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        found: Found,
    },
    /// The column is NULL; ask [`crate::Field::is_null`] first.
    #[error("expected {expected}, found null")]
    Null {
        /// What was asked for.
        expected: &'static str,
    },
    /// The value is the placeholder of an unchanged TOAST value; ask [`crate::Field::is_unavailable`] first.
    #[error(
        "the value was not sent (unchanged TOAST); REPLICA IDENTITY FULL on the table makes PostgreSQL send it"
    )]
    Unavailable,
    /// The embedded schema says that the value means something else.
    #[error("expected {expected}, but the schema says {semantic}")]
    Semantic {
        /// What was asked for.
        expected: &'static str,
        /// The semantic type in the schema.
        semantic: Found,
    },
    /// A number of time units, but neither a schema nor the caller says which unit.
    #[error("{found} has no unit: declare milliseconds, microseconds or nanoseconds, or embed schemas")]
    UnitUnknown {
        /// The number.
        found: Found,
    },
    /// PostgreSQL's `infinity` or `-infinity`, or a time that PostgreSQL itself could not hold.
    #[error("expected a finite time within PostgreSQL's range, found {found}")]
    Infinite {
        /// What is there.
        found: Found,
    },
    /// The number does not fit the type asked for.
    #[error("{found} does not fit {expected}")]
    Overflow {
        /// The type asked for.
        expected: &'static str,
        /// What is there.
        found: Found,
    },
    /// The value has digits that the type asked for would drop.
    #[error("{found} has more digits than {expected} keeps")]
    LostDigits {
        /// The type asked for.
        expected: &'static str,
        /// What is there.
        found: Found,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_a_character() {
        assert_eq!(Found::name("short").to_string(), "short");
        assert_eq!(Found::name(&"ü".repeat(64)).to_string(), "ü".repeat(64));
        assert_eq!(Found::name(&"ü".repeat(65)).to_string(), format!("{}…", "ü".repeat(63)));
    }
}
