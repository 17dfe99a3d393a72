//! The ledger of dead letters: which of them became rows after all, and which were given up.
//!
//! Invariant: a letter is marked as retried after its rows are durable, so a mark never says more than the table has. A
//! mark can be written again: it replaces itself, and "retried" stands above "discarded".

use bytes::Bytes;
use nova_pipeline::{ErrorKind, PipelineError};
use serde::{Deserialize, Serialize};

use crate::sql::identifier;
use crate::{ClickHouseError, Client, codes};

const TABLE: &str = "dead_letter_actions";

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterAction {
    /// Its message went through the mapping: its rows, if it makes any, are in the table.
    Retried,
    /// Somebody decided that it never will.
    Discarded,
}

/// What was done about one letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterMark {
    /// The message's topic.
    pub topic: String,
    /// Its partition.
    pub kafka_partition: i32,
    /// Its offset.
    pub kafka_offset: i64,
    /// The stream that refused it.
    pub stream: String,
    /// SHA-256 of its value, in hexadecimal.
    pub value_sha256: String,
    /// What was done.
    pub action: LetterAction,
    /// How many rows of the message the table has.
    pub rows: u32,
    /// Why: the words of whoever discarded it; why it made no rows.
    pub reason: String,
    /// Who did it.
    pub actor: String,
    /// The version of Nova that did it.
    pub nova_version: String,
    /// When, by the server's clock, `2026-01-31 06:00:00.000` (UTC). Empty: now.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
}

/// All marks, one for each letter that has any. Memory grows with their number.
///
/// # Errors
/// `SchemaMismatch` while the table is not there (`nova migrate`), and those of any question.
pub async fn marked_letters(client: &Client) -> Result<Vec<LetterMark>, PipelineError> {
    let sql = format!(
        "SELECT topic, kafka_partition, kafka_offset, stream, value_sha256, action, rows, reason, actor, nova_version, \
         toString(at) AS at FROM {}.{TABLE} ORDER BY action = 'retried' DESC, dead_letter_actions.at DESC \
         LIMIT 1 BY topic, kafka_partition, kafka_offset, stream, value_sha256 \
         SETTINGS select_sequential_consistency = 1",
        identifier(client.database())
    );
    client.query_rows(&sql, &[]).await.map_err(|error| failed("reading", client, &error))
}

/// Writes marks; returns when they are durable. May be repeated.
///
/// # Errors
/// As [`marked_letters`].
pub async fn mark_letters(client: &Client, marks: &[LetterMark]) -> Result<(), PipelineError> {
    if marks.is_empty() {
        return Ok(());
    }
    let unwritable = |error: serde_json::Error| PipelineError::new(ErrorKind::Unknown, error.to_string());
    let lines = marks.iter().map(|mark| serde_json::to_string(mark).map_err(unwritable));
    let data = lines.collect::<Result<Vec<_>, _>>()?.join("\n");
    let statement = format!("INSERT INTO {}.{TABLE} FORMAT JSONEachRow", identifier(client.database()));
    // No token: a repeat replaces itself, and a token that outlived its part would keep the mark out.
    let settings = [("async_insert", "0"), ("input_format_defaults_for_omitted_fields", "1")];
    let insert = client.insert(&statement, &settings, Bytes::from(data));
    insert.await.map_err(|error| failed("writing", client, &error))
}

fn failed(doing: &str, client: &Client, error: &ClickHouseError) -> PipelineError {
    let table = format!("`{}.{TABLE}`", client.database());
    if error.code() == Some(codes::UNKNOWN_TABLE) {
        let message = format!("{doing} {table}: there is no such table; run `nova migrate`");
        return PipelineError::new(ErrorKind::SchemaMismatch, message);
    }
    PipelineError::new(error.kind(), format!("{doing} {table}: {error}"))
}
