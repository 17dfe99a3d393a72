//! What can go wrong, and the one table that says what follows from it.
//!
//! Invariant: policy depends on the kind alone. A new kind must be added to [`ErrorKind::policy`] and
//! [`ErrorKind::advice`], or this file does not compile; a failure nobody has classified is
//! [`ErrorKind::Unknown`], and that halts.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::Ranges;

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
    /// A server answers, and its certificate is not one to trust.
    Untrusted,
    /// Wrong user, password or grant.
    AccessDenied,
    /// The configuration cannot work.
    Misconfigured,
    /// The position to go on from is unknown, expired, or beyond the end.
    OffsetGap,
    /// More messages than the limits allow cannot become rows.
    Poisoned,
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
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Unavailable,
        Self::Overloaded,
        Self::ReadOnly,
        Self::DiskFull,
        Self::LostReply,
        Self::Fenced,
        Self::Malformed,
        Self::Unmappable,
        Self::Unsupported,
        Self::SchemaMismatch,
        Self::Rejected,
        Self::Untrusted,
        Self::AccessDenied,
        Self::Misconfigured,
        Self::OffsetGap,
        Self::Poisoned,
        Self::Unknown,
    ];

    /// The kind that is written so, for example `malformed`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == name)
    }

    /// The policy table.
    #[must_use]
    pub fn policy(self) -> Policy {
        match self {
            Self::Unavailable
            | Self::Overloaded
            | Self::ReadOnly
            | Self::DiskFull
            | Self::LostReply
            | Self::Untrusted => Policy::Retry,
            Self::Fenced => Policy::Restart,
            Self::Malformed | Self::Unmappable => Policy::DeadLetter,
            Self::Unsupported
            | Self::SchemaMismatch
            | Self::Rejected
            | Self::AccessDenied
            | Self::Misconfigured
            | Self::OffsetGap
            | Self::Poisoned
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
            Self::Malformed => {
                "Look at the dead letter (`nova dlq show`): who wrote this message, and with which converter?"
            }
            Self::Unmappable => {
                "Compare the column's type with the value named; widen the column or correct the stream, then `nova dlq retry`."
            }
            Self::Unsupported => {
                "Do as the message says (`on_truncate`/`on_message` of the stream, REPLICA IDENTITY FULL, a dead-letter topic)."
            }
            Self::SchemaMismatch => {
                "Make table and stream agree (`nova migrate`, or the stream's columns; `nova doctor` compares them)."
            }
            Self::Rejected => "The server's message names the value; correct the stream or the table.",
            Self::Untrusted => {
                "Do as the message says; Nova sends nothing, holds its offsets and goes on when the certificate is right."
            }
            Self::AccessDenied => {
                "Check user, password and grants of the connection that the message names (`nova config show` tells where they were set)."
            }
            Self::Misconfigured => "Correct what the message names; `nova doctor` tells when it is right.",
            Self::OffsetGap => {
                "`nova offsets show` lists every partition; what to do is in docs/runbooks/offsets.md."
            }
            Self::Poisoned => {
                "Has the table or the topic changed? Correct the stream or its writer; if it is poison indeed, let it pass once with `--set pipeline.dead_letter_share=1` and a greater `pipeline.dead_letter_limit`."
            }
            Self::Unknown => {
                "This failure is not classified: keep the log and report it; `nova doctor` looks around."
            }
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
            Self::Untrusted => "untrusted",
            Self::AccessDenied => "access_denied",
            Self::Misconfigured => "misconfigured",
            Self::OffsetGap => "offset_gap",
            Self::Poisoned => "poisoned",
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

    /// The same, about a whole batch: its places come first.
    #[must_use]
    pub fn in_batch(self, topic: &str, ranges: &Ranges) -> Self {
        Self { message: format!("{}: {}", ranges.places(topic), self.message), ..self }
    }

    /// What the operator of `stream` does: the advice of the kind, and for a halt the command that goes on.
    #[must_use]
    pub fn way_on(&self, stream: &str) -> String {
        let advice = self.kind.advice();
        let command = match (self.kind, self.kind.policy()) {
            (_, Policy::Retry | Policy::Restart) => return advice.to_owned(),
            (ErrorKind::OffsetGap, _) => format!(
                "If no command is named: `nova offsets set --stream {stream} --to committed --execute`. "
            ),
            _ => String::new(),
        };
        format!("{advice} {command}Then start again: `nova run --stream {stream}`, or its whole worker.")
    }

    /// The same, with the place inside the message.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALTS: [ErrorKind; 7] = [
        ErrorKind::Unsupported,
        ErrorKind::SchemaMismatch,
        ErrorKind::Rejected,
        ErrorKind::AccessDenied,
        ErrorKind::Misconfigured,
        ErrorKind::OffsetGap,
        ErrorKind::Unknown,
    ];

    #[test]
    fn every_halt_names_the_stream_and_a_command_that_goes_on() {
        for kind in HALTS {
            assert_eq!(kind.policy(), Policy::Halt);
            let text = PipelineError::new(kind, "x").way_on("likes");
            assert!(
                text.starts_with(kind.advice()) && text.contains("`nova run --stream likes`"),
                "{kind}: {text}"
            );
        }
        let gap = PipelineError::new(ErrorKind::OffsetGap, "x").way_on("likes");
        for command in ["`nova offsets show`", "`nova offsets set --stream likes --to committed --execute`"] {
            assert!(gap.contains(command), "{gap}");
        }
        let passing = PipelineError::new(ErrorKind::Unavailable, "x").way_on("likes");
        assert!(!passing.contains("nova run"), "what heals by itself needs no start: {passing}");
    }

    #[test]
    fn a_failed_batch_names_its_places() {
        let ranges: Ranges = [(0, 100..250), (3, 40..90)].into_iter().collect();
        let error = PipelineError::new(ErrorKind::Rejected, "code 53").in_batch("cdc.likes", &ranges);
        assert_eq!(error.message, "cdc.likes[0]@100..250, cdc.likes[3]@40..90: code 53");
        let many: Ranges = (0..12).map(|partition| (partition, 0..1)).collect();
        assert!(many.places("t").ends_with("t[2]@0..1 and 9 more"), "{}", many.places("t"));
    }
}
