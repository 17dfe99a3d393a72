//! `[reconcile]`: how gently PostgreSQL is read, and how often.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Comparing PostgreSQL with ClickHouse.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconcileConfig {
    /// A hot standby whose tables are read in place of the primary's; empty: the primary is read.
    pub replica_host: String,
    /// Its port.
    pub replica_port: u16,
    /// Connections to PostgreSQL, and threads in ClickHouse.
    pub parallel: usize,
    /// How long replication slot and consumer groups may take to pass a snapshot.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// No statement may take longer, on either server.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// An older snapshot is not used for another stream.
    #[serde(with = "humantime_serde")]
    pub max_snapshot_age: Duration,
    /// Differences that a report lists; the others are counted.
    pub max_listed: usize,
    /// How often `nova run reconcile` compares.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

impl Default for ReconcileConfig {
    fn default() -> Self {
        Self {
            replica_host: String::new(),
            replica_port: 5432,
            parallel: 2,
            timeout: Duration::from_secs(120),
            statement_timeout: Duration::from_secs(600),
            max_snapshot_age: Duration::from_secs(600),
            max_listed: 10_000,
            every: Duration::from_secs(3_600),
        }
    }
}
