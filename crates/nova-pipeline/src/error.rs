//! What can go wrong, and the one table that says what follows from it.
//!
//! Invariant: policy depends on the kind alone. A new kind must be added to [`ErrorKind::policy`] and
//! [`ErrorKind::advice`], or this file does not compile; a failure nobody has classified is
//! [`ErrorKind::Unknown`], and that halts.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Kinds of failure, coarse enough to decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A server cannot be reached, or answers that it is starting or stopping.
    Unavailable,
    /// A server is there and asks for less: too many parts, queries, or too little memory.
    Overloaded,
    /// The table does not take writes for now.
    ReadOnly,
    /// No disk space on the server's side.
    DiskFull,
    /// Sent, and no answer: it may have happened or not.
    LostReply,
    /// The group has moved on without this member; its commit was refused.
    Fenced,
    /// The message is not what its format promises.
    Malformed,
    /// The message is well formed, but a value does not fit the column it is mapped to.
    Unmappable,
    /// A change that the stream is told to stop at: TRUNCATE, a missing before image.
    Unsupported,
    /// The table is not what the stream declares.
    SchemaMismatch,
    /// The server refused the block for its content.
    Rejected,
    /// Wrong user, password or grant.
    AccessDenied,
    /// The configuration cannot work.
    Misconfigured,
    /// The position to go on from is unknown, expired, or beyond the end.
    OffsetGap,
    /// Nobody has classified this.
    Unknown,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Wait, with backoff and jitter, and do the same again; offsets are held.
    Retry,
    /// Give up this member's work since the last commit and start again from there.
    Restart,
    /// Put the one message aside, acknowledged, and go on.
    DeadLetter,
    /// Stop the stream and say why; nothing is skipped.
    Halt,
}

impl ErrorKind {
    /// The policy table.
    #[must_use]
    pub fn policy(self) -> Policy {
        match self {
            Self::Unavailable | Self::Overloaded | Self::ReadOnly | Self::DiskFull | Self::LostReply => {
                Policy::Retry
            }
            Self::Fenced => Policy::Restart,
            Self::Malformed | Self::Unmappable => Policy::DeadLetter,
            Self::Unsupported
            | Self::SchemaMismatch
            | Self::Rejected
            | Self::AccessDenied
            | Self::Misconfigured
            | Self::OffsetGap
            | Self::Unknown => Policy::Halt,
        }
    }

    /// One sentence for the operator: what to do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unavailable => {
                "Bring the server back; Nova waits, holds its offsets and goes on by itself."
            }
            Self::Overloaded => {
                "Nova slows down by itself; if it lasts, look at merges, memory and running queries."
            }
            Self::ReadOnly => {
                "Find out why the table is read-only (replica without Keeper, disk); Nova waits."
            }
            Self::DiskFull => "Free disk space on the server; Nova waits and goes on by itself.",
            Self::LostReply => "Nothing to do: the same bytes are sent again under the same token.",
            Self::Fenced => {
                "Nothing to do: the worker leaves, rejoins the group and reads again what was not committed."
            }
            Self::Malformed => "Look at the dead letter: who wrote this message, and with which converter?",
            Self::Unmappable => {
                "Compare the column's type with the value named; widen the column or correct the stream."
            }
            Self::Unsupported => {
                "Decide by the stream's `on_truncate`/`on_message`, or set REPLICA IDENTITY FULL on the table."
            }
            Self::SchemaMismatch => {
                "Make table and stream agree (`nova migrate`, or the stream's columns), then start again."
            }
            Self::Rejected => {
                "The server's message names the value; correct the stream or the table, then start again."
            }
            Self::AccessDenied => {
                "Check user, password and grants of the connection that the message names (`nova config show` tells where they were set)."
            }
            Self::Misconfigured => "Correct what the message names; `nova doctor` tells when it is right.",
            Self::OffsetGap => "Decide where to go on from; Nova does not skip what the message names.",
            Self::Unknown => "This failure is not classified: keep the log and report it.",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::ReadOnly => "read_only",
            Self::DiskFull => "disk_full",
            Self::LostReply => "lost_reply",
            Self::Fenced => "fenced",
            Self::Malformed => "malformed",
            Self::Unmappable => "unmappable",
            Self::Unsupported => "unsupported",
            Self::SchemaMismatch => "schema_mismatch",
            Self::Rejected => "rejected",
            Self::AccessDenied => "access_denied",
            Self::Misconfigured => "misconfigured",
            Self::OffsetGap => "offset_gap",
            Self::Unknown => "unknown",
        })
    }
}

/// A failure with its kind, a sentence that names thing and place, and for messages the path inside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PipelineError {
    /// What follows is decided by this.
    pub kind: ErrorKind,
    /// Names the thing, the place and what was found.
    pub message: String,
    /// Where inside the message; empty when that makes no sense.
    pub path: String,
}

impl PipelineError {
    /// A failure of that kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: String::new() }
    }

    /// The same, with the place inside the message.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }
}
