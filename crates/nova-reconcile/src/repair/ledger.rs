//! Who repaired what: entries of the table `repairs`.
//!
//! Invariant: the beginning is on record before the first row is written, the end after the last one.

use nova_clickhouse::{ClickHouseError, Client};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::apply::Applied;
use super::plan::Plan;

/// Who applies a plan, and why.
#[derive(Debug, Clone)]
pub struct Author {
    /// `user@host`, or what the command was told.
    pub actor: String,
    /// A sentence for those who read it later.
    pub reason: String,
}

/// How far an application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Rows are about to be written.
    Begun,
    /// All that was to be written is there.
    Done,
}

/// An entry, as `nova repair list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The plan.
    pub plan_id: Uuid,
    /// The stream.
    pub stream: String,
    /// How far it was.
    pub phase: Phase,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The run whose report the plan was made from.
    pub run_id: Uuid,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Rows of +1 written by this application; 0 at its beginning, as in the next three.
    pub added: u64,
    /// Rows of -1.
    pub removed: u64,
    /// Rows of the plan that were there before.
    pub already_there: u64,
    /// Keys left alone.
    pub left_out: u64,
}

/// Puts an entry on record.
///
/// # Errors
/// See [`ClickHouseError`].
pub async fn record(
    client: &Client,
    (plan, stream): (&Plan, &str),
    author: &Author,
    done: Option<&Applied>,
) -> Result<(), ClickHouseError> {
    let (phase, applied) = match done {
        None => ("begun", &Applied::default()),
        Some(applied) => ("done", applied),
    };
    let sql = format!(
        "INSERT INTO repairs (plan_id, stream, phase, run_id, digest, actor, reason, nova_version, added, removed, \
         already_there, left_out) SELECT {{plan:UUID}}, {{stream:String}}, '{phase}', {{run:UUID}}, {{digest:String}}, \
         {{actor:String}}, {{reason:String}}, {{version:String}}, {}, {}, {}, {}",
        applied.added,
        applied.removed,
        applied.there,
        applied.left_out.len()
    );
    let (plan_id, run_id) = (plan.plan_id.to_string(), plan.run_id.to_string());
    let parameters = [
        ("plan", plan_id.as_str()),
        ("stream", stream),
        ("run", &run_id),
        ("digest", &plan.digest),
        ("actor", &author.actor),
        ("reason", &author.reason),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    client.query_text(&sql, &parameters).await.map(drop)
}

/// The latest entries, the newest first.
///
/// # Errors
/// See [`ClickHouseError`].
pub async fn recorded(client: &Client, limit: u32) -> Result<Vec<Recorded>, ClickHouseError> {
    let sql = format!(
        "SELECT plan_id, stream, toString(phase) AS phase, toUnixTimestamp64Milli(at) AS at_ms, run_id, actor, reason, \
         added, removed, already_there, left_out FROM repairs ORDER BY repairs.at DESC, repairs.phase DESC LIMIT {limit}"
    );
    client.query_rows(&sql, &[]).await
}
