//! Which rows of a stream's table are meant.

use serde::{Deserialize, Serialize};

use crate::report::Scope;

/// Rows by their time and by a condition; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Rows whose time is at or after this, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Rows whose time is before this, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// A condition of PostgreSQL on the table's columns.
    pub condition: Option<String>,
}

impl Range {
    pub(super) fn scope(&self) -> Scope {
        Scope { since_ms: self.since_ms, until_ms: self.until_ms, incremental: false }
    }
}
