//! What can go wrong between Nova and ClickHouse.
//!
//! Invariant: "never sent" ([`ClickHouseError::NotSent`], [`ClickHouseError::Untrusted`]) and "sent, and no answer" ([`ClickHouseError::NoReply`])
//! are different failures. After the first, nothing has happened; after the second, it may have.

use nova_pipeline::{ErrorKind, PipelineError};
use nova_tls::{Fault, Keys};
use thiserror::Error;

use crate::codes;

const KEYS: Keys = Keys { ca_file: "clickhouse.ca_file", address: "clickhouse.url" };

/// A failure of a request to ClickHouse. `endpoint` is the server's address without user and password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClickHouseError {
    /// No connection came about, so no byte of the request reached a server.
    #[error(
        "cannot connect to ClickHouse at {endpoint}: {reason}; is the server running, and is the URL right?"
    )]
    NotSent {
        /// The server's address.
        endpoint: String,
        /// What the connection attempt ended in.
        reason: String,
    },
    /// A server answered, and its certificate is not accepted; no byte of the request was sent.
    #[error("ClickHouse at {endpoint}: {fault}; {}", fault.cure(KEYS))]
    Untrusted {
        /// The server's address.
        endpoint: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The request was sent, wholly or in part, and the answer did not arrive: the statement may have run.
    #[error("no answer from ClickHouse at {endpoint}: {reason}; the statement may have run or not")]
    NoReply {
        /// The server's address.
        endpoint: String,
        /// What the exchange ended in.
        reason: String,
    },
    /// The server answered with an exception.
    #[error("ClickHouse at {endpoint} refused (code {code} {}): {message}", codes::name(*code))]
    Exception {
        /// The server's address.
        endpoint: String,
        /// The exception code, see [`codes`].
        code: i32,
        /// The server's message: one line, bounded, without its version banner.
        message: String,
    },
    /// Something answered by HTTP status, without an exception code: a proxy, or a server that is not ClickHouse.
    #[error("{endpoint} answered with HTTP status {status} and no ClickHouse exception code: {message}")]
    Status {
        /// The server's address.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body, one line.
        message: String,
    },
    /// The answer is not what was asked for.
    #[error("the answer of ClickHouse at {endpoint} cannot be read: {reason}")]
    Answer {
        /// The server's address.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More than one server stands behind the address, where one must answer for its own inserts.
    #[error(
        "ClickHouse at {endpoint} was `{first}` and is now `{name}`: only the server that took an insert can say whether it \
         is there; let clickhouse.url name one server, and after a change of server start again (docs/cluster.md)"
    )]
    AnotherServer {
        /// The address.
        endpoint: String,
        /// The server that answered first.
        first: String,
        /// The one that answered now.
        name: String,
    },
    /// The connection settings cannot work.
    #[error("ClickHouse connection: {0}")]
    Options(String),
    /// A table is not what Nova needs.
    #[error("{0}")]
    Schema(String),
}

impl ClickHouseError {
    /// The kind that the pipeline's policy decides by.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotSent { .. } => ErrorKind::Unavailable,
            Self::Untrusted { .. } => ErrorKind::Untrusted,
            Self::NoReply { .. } => ErrorKind::LostReply,
            Self::Exception { code, .. } => codes::kind(*code),
            Self::Status { status, .. } => match status {
                401 | 403 => ErrorKind::AccessDenied,
                404 | 405 => ErrorKind::Misconfigured,
                413 => ErrorKind::Rejected,
                429 => ErrorKind::Overloaded,
                503 => ErrorKind::Unavailable,
                // A gateway that lost its server after it had passed the request on.
                502 | 504 => ErrorKind::LostReply,
                _ => ErrorKind::Unknown,
            },
            Self::Answer { .. } => ErrorKind::Unknown,
            Self::AnotherServer { .. } | Self::Options(_) => ErrorKind::Misconfigured,
            Self::Schema(_) => ErrorKind::SchemaMismatch,
        }
    }

    /// The exception code, when the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Exception { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<ClickHouseError> for PipelineError {
    fn from(error: ClickHouseError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
