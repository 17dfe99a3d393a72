//! How a command ends: a sentence for the person, an exit code for the script.

use std::process::ExitCode;

use nova_clickhouse::ClickHouseError;
use nova_pipeline::{ErrorKind, PipelineError};
use nova_streams::StreamsError;

use crate::config::ConfigError;

/// Why a command did not succeed. The number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something failed that none of the others names.
    Failure = 1,
    /// The command line or the configuration is wrong; nothing was done.
    Usage = 2,
    /// A comparison found differences.
    Differences = 3,
    /// Some of it was done, and the message says what was not.
    Partial = 4,
    /// A server that is needed cannot be reached or used.
    Unavailable = 5,
    /// Ended by Ctrl-C.
    Interrupted = 130,
}

/// A command's failure: the exit code and what to print on stderr.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub message: String,
    /// What to do about it; empty when the message says it.
    pub cure: String,
}

/// What commands return.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// A failure whose message says all.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), cure: String::new() }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn with_cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
        self
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<StreamsError> for Failure {
    fn from(error: StreamsError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<ClickHouseError> for Failure {
    fn from(error: ClickHouseError) -> Self {
        PipelineError::from(error).into()
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        let exit = match error.kind {
            ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::LostReply | ErrorKind::Untrusted => {
                Exit::Unavailable
            }
            ErrorKind::Misconfigured | ErrorKind::SchemaMismatch => Exit::Usage,
            _ => Exit::Failure,
        };
        // The general advice speaks to a running worker, which waits by itself; a command does not.
        let cure = match error.kind {
            ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::LostReply => {
                "Bring the server back, or correct its address, and run the command again."
            }
            // The message says it.
            ErrorKind::Untrusted => "",
            kind => kind.advice(),
        };
        Self::new(exit, error.message).with_cure(cure)
    }
}
