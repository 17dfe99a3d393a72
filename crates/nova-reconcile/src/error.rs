//! Why a comparison did not come to a result.

use nova_clickhouse::ClickHouseError;
use nova_pipeline::PipelineError;

use crate::history::HistoryError;

/// A comparison that failed; a difference is not a failure.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// PostgreSQL refused or did not answer.
    #[error("PostgreSQL, {doing}: {source}")]
    Postgres {
        /// What was asked.
        doing: &'static str,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// PostgreSQL is not in a state that can be compared.
    #[error("PostgreSQL: {0}")]
    Source(String),
    /// ClickHouse refused or did not answer.
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
    /// The history of runs cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Kafka refused or did not answer.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The stream is declared in a way that cannot be compared.
    #[error("stream `{stream}`: {reason}")]
    Refused {
        /// The stream.
        stream: String,
        /// What stands in the way, with the column.
        reason: String,
    },
    /// Slot or group did not pass the snapshot in time.
    #[error("not within {seconds} s: {what}")]
    TimedOut {
        /// The limit.
        seconds: u64,
        /// Who did not pass, and how far it is.
        what: String,
    },
    /// A server's answer is not of the form that was asked for.
    #[error("{server} answered something unexpected: {found}")]
    Answer {
        /// Which one.
        server: &'static str,
        /// What it answered, cut.
        found: String,
    },
    /// The file that an interrupted run goes on from cannot be used.
    #[error("checkpoint {file}: {reason}")]
    Checkpoint {
        /// Its path.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Names what PostgreSQL was asked when it failed.
pub(crate) trait Doing<T> {
    /// The same result, with `doing` in its error.
    fn doing(self, doing: &'static str) -> Result<T, ReconcileError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, ReconcileError> {
        self.map_err(|source| match source.as_database_error().and_then(|error| error.code()).as_deref() {
            // What only reads has no other serialization failure.
            Some("40001") => ReconcileError::Source(format!(
                "{doing}: the replica ended the statement, because it kept what the primary has changed from being \
                 replayed; raise max_standby_streaming_delay on the replica or set hot_standby_feedback = on, or leave \
                 reconcile.replica_host empty to read the primary"
            )),
            _ => ReconcileError::Postgres { doing, source },
        })
    }
}
