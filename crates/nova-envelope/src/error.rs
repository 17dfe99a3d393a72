//! Errors of reading an event.
//!
//! Invariant: an error names the field, what was expected and what was found, and holds at most [`FOUND_CHARS`]
//! characters of the document's own text, since that text is user data.

use thiserror::Error;

use crate::CURRENT_VERSION;

/// The most characters of a document that an error repeats.
const FOUND_CHARS: usize = 64;

/// A document that is no event of a version that this library reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {kind}")]
pub struct EnvelopeError {
    /// The field; `document` is the whole.
    pub path: &'static str,
    /// What is wrong there.
    pub kind: EnvelopeErrorKind,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeErrorKind {
    /// The bytes are no UTF-8.
    #[error("expected UTF-8, found an invalid sequence at byte {offset}")]
    Utf8 {
        /// Position of the first invalid byte.
        offset: usize,
    },
    /// No JSON, or a field stands there twice.
    #[error("expected one JSON object, but {problem}")]
    Json {
        /// What the parser says, with line and column.
        problem: String,
    },
    /// JSON, but no object.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// How the document begins.
        found: String,
    },
    /// The document is a JSON string.
    #[error(
        "expected a JSON object, found a JSON string; Debezium's EventRouter sends one where \
         `table.expand.json.payload` is not true, or where the outbox's payload is no object"
    )]
    QuotedObject,
    /// A field that this version of the document must have is not there.
    #[error("missing; version {version} has {expected} here")]
    Missing {
        /// The document's version.
        version: u32,
        /// What must be there.
        expected: &'static str,
    },
    /// A field with another type, form or range than its schema says.
    #[error("expected {expected}, found {found}")]
    Invalid {
        /// What the schema says.
        expected: &'static str,
        /// The JSON text that is there, shortened.
        found: String,
    },
    /// The producer knows a newer version than this consumer.
    #[error(
        "version {message} is newer than version {consumer}, the newest that this consumer reads; update the \
         consumer (always before its producers), then process the message again"
    )]
    NewerVersion {
        /// The document's version.
        message: u64,
        /// The newest version that this library reads.
        consumer: u32,
    },
}

impl EnvelopeErrorKind {
    /// For a version that is not one of `1..=CURRENT_VERSION`.
    pub(crate) fn unknown_version(message: u64) -> Self {
        if message > u64::from(CURRENT_VERSION) {
            Self::NewerVersion { message, consumer: CURRENT_VERSION }
        } else {
            Self::invalid(VERSION, &message.to_string())
        }
    }

    pub(crate) fn invalid(expected: &'static str, found: &str) -> Self {
        Self::Invalid { expected, found: shortened(found) }
    }

    pub(crate) fn at(self, path: &'static str) -> EnvelopeError {
        EnvelopeError { path, kind: self }
    }
}

/// What a version is.
pub(crate) const VERSION: &str = "an integer from 1 on";

/// `text`, cut to [`FOUND_CHARS`] characters.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_text_is_cut_at_a_character() {
        assert_eq!(shortened(&"ü".repeat(64)), "ü".repeat(64));
        assert_eq!(shortened(&"ü".repeat(65)), format!("{}…", "ü".repeat(64)));
    }

    #[test]
    fn version_zero_is_not_newer() {
        let error = EnvelopeErrorKind::unknown_version(0).at("version").to_string();
        assert_eq!(error, "version: expected an integer from 1 on, found 0");
        let newer = EnvelopeErrorKind::unknown_version(u64::MAX).at("version").to_string();
        assert!(newer.contains("update the consumer"), "{newer}");
    }
}
