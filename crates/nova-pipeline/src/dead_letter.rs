//! Where messages go that cannot become rows.
//!
//! Invariant: a dead letter counts as written only when the broker has acknowledged it; the offset of its message
//! is committed after that, never before.

use std::future::Future;

use crate::{ErrorKind, PipelineError, SourceMessage};

/// A message that cannot become rows, whole, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The stream that refused it.
    pub stream: String,
    /// The message's topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key, as it was.
    pub key: Option<Vec<u8>>,
    /// Its value, as it was.
    pub value: Option<Vec<u8>>,
    /// Its headers, as they were, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// What kind of error refused it.
    pub kind: ErrorKind,
    /// Why, in a sentence.
    pub reason: String,
    /// Where in the message, for example `payload.after.created_at`; empty when the whole message is meant.
    pub path: String,
}

/// The message as it was: taken up again, it goes the way of any other.
impl SourceMessage for DeadLetter {
    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn timestamp_ms(&self) -> Option<i64> {
        None
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(found, _)| found == name)?.1.as_deref()
    }

    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.headers.clone()
    }
}

/// A place for dead letters.
pub trait DeadLetters: Send + Sync + 'static {
    /// Writes all letters; returns when every one of them is acknowledged.
    ///
    /// # Errors
    /// When any of them is not; the caller keeps them and tries again (a letter may then be written twice, keyed
    /// by the same coordinates).
    fn write(&self, letters: &[DeadLetter]) -> impl Future<Output = Result<(), PipelineError>> + Send;
}
