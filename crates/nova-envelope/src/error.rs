//! Errors of reading an event.
//!
//! Invariant: an error names the field, what was expected, and what was found by its kind and length, never by itself: errors
//! go into logs and headers, and values are user data.

use thiserror::Error;

use crate::CURRENT_VERSION;

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
        /// What it is, in words.
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
        /// What is there, in words.
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
            Self::Invalid { expected: VERSION, found: message.to_string() }
        }
    }

    pub(crate) fn invalid(expected: &'static str, found: &str) -> Self {
        Self::Invalid { expected, found: value_in_words(found) }
    }

    pub(crate) fn at(self, path: &'static str) -> EnvelopeError {
        EnvelopeError { path, kind: self }
    }
}

/// What a version is.
pub(crate) const VERSION: &str = "an integer from 1 on";

/// The most characters of a name that an error repeats.
const NAME_CHARS: usize = 64;

/// A name, cut to [`NAME_CHARS`] characters.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(NAME_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A JSON value by its kind and length, for errors: the value itself is user data.
#[must_use]
pub fn value_in_words(raw: &str) -> String {
    let raw = raw.trim();
    let long = |what: &str, length: usize| {
        format!("{what} of {length} character{}", if length == 1 { "" } else { "s" })
    };
    match raw.chars().next() {
        None => "nothing".to_owned(),
        Some('{') => "an object".to_owned(),
        Some('[') => "an array".to_owned(),
        Some('"') => long("a text", raw.trim_matches('"').chars().count()),
        Some('-' | '0'..='9') => long("a number", raw.chars().count()),
        Some(_) => match raw {
            "null" => "null".to_owned(),
            "true" | "false" => "a boolean".to_owned(),
            other => long("something that is no JSON,", other.chars().count()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_at_a_character() {
        assert_eq!(shortened(&"ü".repeat(64)), "ü".repeat(64));
        assert_eq!(shortened(&"ü".repeat(65)), format!("{}…", "ü".repeat(64)));
    }

    #[test]
    fn a_value_is_told_and_not_shown() {
        for (raw, words) in [
            ("\"Ada\"", "a text of 3 characters"),
            ("\"x\"", "a text of 1 character"),
            (" -1.5 ", "a number of 4 characters"),
            ("{\"a\":1}", "an object"),
            ("[1]", "an array"),
            ("true", "a boolean"),
            ("null", "null"),
            ("", "nothing"),
            ("Ada", "something that is no JSON, of 3 characters"),
        ] {
            assert_eq!(value_in_words(raw), words);
        }
    }

    #[test]
    fn version_zero_is_not_newer() {
        let error = EnvelopeErrorKind::unknown_version(0).at("version").to_string();
        assert_eq!(error, "version: expected an integer from 1 on, found 0");
        let newer = EnvelopeErrorKind::unknown_version(u64::MAX).at("version").to_string();
        assert!(newer.contains("update the consumer"), "{newer}");
    }
}
