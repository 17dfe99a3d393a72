//! Commands that change a table for a long time: where each is, and what became of it.
//!
//! Invariant: rows are only added. A job stands as its row with the greatest number says; a clock, the server's, decides
//! nothing but how long ago a process was heard of.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use nova_pipeline::{ErrorKind, PipelineError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::sql::identifier;
use crate::{ClickHouseError, Client, codes};

const TABLE: &str = "jobs";

/// A process that runs a job and has not been heard of for so long is taken for dead.
pub const HEARD_WITHIN: Duration = Duration::from_secs(30);

/// Which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// `nova replay`.
    Replay,
    /// `nova replay kafka --mode rebuild`.
    Rebuild,
    /// `nova backfill`.
    Backfill,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replay => "replay",
            Self::Rebuild => "rebuild",
            Self::Backfill => "backfill",
        })
    }
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// At work, or interrupted without a word.
    Running,
    /// All of it is done.
    Done,
    /// Somebody asked it to stop; the same command goes on.
    Stopped,
    /// It cannot go on by itself; the same command goes on once the cause is gone.
    Failed,
}

/// What a job said of itself at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// The job; it keeps its identity when it goes on after an interruption.
    pub job_id: Uuid,
    /// The row's number within the job, from 1.
    pub seq: u32,
    /// Which command.
    pub kind: JobKind,
    /// The stream.
    pub stream: String,
    /// The table that it changes.
    pub target: String,
    /// How it stood.
    pub state: JobState,
    /// When the job began, by the server's clock, `2026-01-31 06:00:00.000` (UTC). Empty: now.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub began_at: String,
    /// The process that worked on it.
    pub process: String,
    /// Who started that process: `user@host`.
    pub actor: String,
    /// The arguments that tell this job from others, normalised: the same command has the same.
    pub request: String,
    /// JSON: what the request came to when the job began.
    pub plan: String,
    /// JSON: how far it is; empty at the beginning.
    pub checkpoint: String,
    /// Units done.
    pub done: u64,
    /// Units to be done.
    pub total: u64,
    /// What a unit is: `messages`, `rows`.
    pub unit: String,
    /// Rows written. What a killed process wrote behind its last checkpoint is found by the next, and counts as there.
    pub written: u64,
    /// Rows that the table had before.
    pub already_there: u64,
    /// Messages or rows left out for a reason.
    pub skipped: u64,
    /// Messages that are, or became, dead letters.
    pub letters: u64,
    /// Why it ended; empty if all is done.
    pub reason: String,
    /// The version of Nova that worked on it.
    pub nova_version: String,
    /// When the server took the row; it is never written.
    #[serde(default, skip_serializing)]
    pub at: String,
    /// How old the row was when it was read, in milliseconds; it is never written.
    #[serde(default, skip_serializing)]
    pub age_ms: i64,
}

/// The columns of a [`JobRow`], as `query_rows` wants them.
const COLUMNS: &str = "job_id, seq, kind, stream, target, state, toString(jobs.began_at) AS began_at, process, actor, request, \
     plan, checkpoint, done, total, unit, written, already_there, skipped, letters, reason, nova_version, \
     toString(jobs.at) AS at, toInt64(dateDiff('millisecond', jobs.at, now64(3))) AS age_ms";

/// The jobs of a database.
#[derive(Debug, Clone)]
pub struct Jobs {
    client: Client,
}

impl Jobs {
    /// Those of the client's database.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Adds a row; returns when it is durable. May be repeated: of equal rows one counts.
    ///
    /// # Errors
    /// `SchemaMismatch` while the table is not there (`nova migrate`), and those of any insert.
    pub async fn record(&self, row: &JobRow) -> Result<(), PipelineError> {
        let unwritable = |error: serde_json::Error| PipelineError::new(ErrorKind::Unknown, error.to_string());
        let data = serde_json::to_string(row).map_err(unwritable)?;
        let database = identifier(self.client.database());
        let statement = format!("INSERT INTO {database}.{TABLE} FORMAT JSONEachRow");
        let settings = [("async_insert", "0"), ("input_format_defaults_for_omitted_fields", "1")];
        let insert = self.client.insert(&statement, &settings, Bytes::from(data));
        insert.await.map_err(|error| self.failed("writing", &error))
    }

    /// How the newest job of this request stands; `None` if there was never one.
    ///
    /// # Errors
    /// As [`Jobs::record`].
    pub async fn newest(&self, kind: JobKind, request: &str) -> Result<Option<JobRow>, PipelineError> {
        let condition = format!("jobs.kind = '{kind}' AND jobs.request = {{request:String}}");
        let found = self.standings(&condition, 1, &[("request", request)]).await?;
        Ok(found.into_iter().next())
    }

    /// How the newest jobs stand, newest first.
    ///
    /// # Errors
    /// As [`Jobs::record`].
    pub async fn recent(&self, limit: u32) -> Result<Vec<JobRow>, PipelineError> {
        self.standings("1", limit, &[]).await
    }

    /// The last word of each process that is at work on this table: it said "running", not longer ago than [`HEARD_WITHIN`].
    ///
    /// # Errors
    /// As [`Jobs::record`].
    pub async fn at_work(&self, target: &str) -> Result<Vec<JobRow>, PipelineError> {
        // A job that went on has words of two processes, of which the first may still be alive.
        let sql = format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM {TABLE} WHERE jobs.target = {{target:String}} \
             AND jobs.at > now64(3) - INTERVAL {} SECOND ORDER BY jobs.seq DESC, jobs.at DESC LIMIT 1 BY jobs.job_id, jobs.process) \
             WHERE state = 'running' ORDER BY began_at, job_id, seq",
            HEARD_WITHIN.as_secs()
        );
        self.ask(&sql, &[("target", target)]).await
    }

    async fn standings(
        &self,
        condition: &str,
        limit: u32,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<JobRow>, PipelineError> {
        let sql = format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM {TABLE} WHERE {condition} \
             ORDER BY jobs.seq DESC, jobs.at DESC LIMIT 1 BY jobs.job_id) \
             ORDER BY began_at DESC, job_id LIMIT {limit}"
        );
        self.ask(&sql, parameters).await
    }

    async fn ask(&self, sql: &str, parameters: &[(&str, &str)]) -> Result<Vec<JobRow>, PipelineError> {
        let sql = format!("{sql} SETTINGS select_sequential_consistency = 1");
        self.client.query_rows(&sql, parameters).await.map_err(|error| self.failed("reading", &error))
    }

    fn failed(&self, doing: &str, error: &ClickHouseError) -> PipelineError {
        let table = format!("`{}.{TABLE}`", self.client.database());
        if error.code() == Some(codes::UNKNOWN_TABLE) {
            let message = format!("{doing} {table}: there is no such table; run `nova migrate`");
            return PipelineError::new(ErrorKind::SchemaMismatch, message);
        }
        PipelineError::new(error.kind(), format!("{doing} {table}: {error}"))
    }
}
