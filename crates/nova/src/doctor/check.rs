//! One finding of `nova doctor`.
//!
//! Invariant: what is not ok says what to do.

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, and will hurt some day.
    Warn,
    /// Does not work.
    Fail,
    /// Could not be looked at.
    Skipped,
}

/// What was looked at, what was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The server.
    pub group: &'static str,
    /// The thing.
    pub name: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub finding: String,
    /// What to do; empty when ok.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cure: String,
    /// Whether the server could not be reached at all.
    #[serde(skip)]
    pub unreachable: bool,
}

/// The server that checks are about.
#[derive(Debug, Clone, Copy)]
pub struct Group(pub &'static str);

impl Group {
    /// As it should be.
    pub fn ok(self, name: impl Into<String>, finding: impl Into<String>) -> Check {
        self.check(name, Level::Ok, finding, "")
    }

    /// Works, and will hurt some day.
    pub fn warn(self, name: impl Into<String>, finding: impl Into<String>, cure: impl Into<String>) -> Check {
        self.check(name, Level::Warn, finding, cure)
    }

    /// Does not work.
    pub fn fail(self, name: impl Into<String>, finding: impl Into<String>, cure: impl Into<String>) -> Check {
        self.check(name, Level::Fail, finding, cure)
    }

    /// The server does not answer.
    pub fn unreachable(
        self,
        name: impl Into<String>,
        finding: impl Into<String>,
        cure: impl Into<String>,
    ) -> Check {
        Check { unreachable: true, ..self.check(name, Level::Fail, finding, cure) }
    }

    /// Could not be looked at, because of what `reason` says.
    pub fn skipped(self, name: impl Into<String>, reason: impl Into<String>) -> Check {
        self.check(name, Level::Skipped, reason, "")
    }

    fn check(
        self,
        name: impl Into<String>,
        level: Level,
        finding: impl Into<String>,
        cure: impl Into<String>,
    ) -> Check {
        let (name, finding, cure) = (name.into(), finding.into(), cure.into());
        Check { group: self.0, name, level, finding, cure, unreachable: false }
    }
}
