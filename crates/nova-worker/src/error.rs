//! Worker failures: what happened, whether to try again, and one sentence for the operator.
//!
//! Invariant: the decision transient or fatal is made where the error is understood; the manager only obeys it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// What went wrong, with the cause kept, and what the operator can do about it.
#[derive(Debug)]
pub struct Failure {
    cause: Box<dyn Error + Send + Sync>,
    advice: Option<Cow<'static, str>>,
}

impl Failure {
    /// Wraps an error, or a plain sentence (`&str`, `String`).
    #[must_use]
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), advice: None }
    }

    /// Adds one sentence that tells the operator what to do.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The sentence for the operator.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// The wrapped error, to downcast.
    #[must_use]
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.cause
    }

    /// The whole chain of causes in one line, `outer: inner`. A cause whose text is already there is left out, since many
    /// errors repeat their source in their own message.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut line = self.cause.to_string();
        let mut next = self.cause.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = cause.source();
        }
        line
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

/// How a worker's run failed. `Display` is the failure's own text.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// May go away by itself (server down, connection lost): the worker is restarted after a pause.
    #[error(transparent)]
    Transient(Failure),
    /// Trying again cannot help (a column is gone, access refused): the worker is halted until somebody acts.
    #[error(transparent)]
    Fatal(Failure),
}

impl WorkerError {
    /// A failure worth a restart.
    #[must_use]
    pub fn transient(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Transient(Failure::new(cause))
    }

    /// A failure that halts the worker.
    #[must_use]
    pub fn fatal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Fatal(Failure::new(cause))
    }

    /// Adds one sentence that tells the operator what to do.
    #[must_use]
    pub fn with_advice(self, advice: impl Into<Cow<'static, str>>) -> Self {
        match self {
            Self::Transient(failure) => Self::Transient(failure.with_advice(advice)),
            Self::Fatal(failure) => Self::Fatal(failure.with_advice(advice)),
        }
    }

    /// The failure, whichever kind it is.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Transient(failure) | Self::Fatal(failure) => failure,
        }
    }

    /// The sentence for the operator.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.failure().advice()
    }

    /// The whole chain of causes in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        self.failure().reason()
    }

    /// Whether a restart may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("insert into likes failed")]
    struct Insert(#[source] std::io::Error);

    #[test]
    fn reason_is_the_chain_and_display_is_the_outer_text() {
        let refused = std::io::Error::other("connection refused");
        let error = WorkerError::transient(Insert(refused)).with_advice("Start ClickHouse.");
        assert_eq!(error.to_string(), "insert into likes failed");
        assert_eq!(error.reason(), "insert into likes failed: connection refused");
        assert_eq!(error.advice(), Some("Start ClickHouse."));
        assert!(error.is_transient());
        assert!(error.failure().cause().downcast_ref::<Insert>().is_some());
        assert_eq!(error.source().map(ToString::to_string), Some("connection refused".to_owned()));
    }

    #[test]
    fn reason_does_not_repeat_a_cause_that_the_message_already_holds() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read: {0}")]
        struct Read(#[source] std::io::Error);
        assert_eq!(
            WorkerError::fatal(Read(std::io::Error::other("no such file"))).reason(),
            "cannot read: no such file"
        );
    }

    #[test]
    fn a_plain_sentence_will_do() {
        let error = WorkerError::fatal("column dwell_time_ms is missing");
        assert_eq!((error.reason().as_str(), error.advice()), ("column dwell_time_ms is missing", None));
        assert!(!error.is_transient());
    }
}
