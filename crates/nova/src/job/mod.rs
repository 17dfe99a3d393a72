//! What all long commands have in common that change a table: one at a time, on record, interruptible, at a pace that the
//! live streams can bear.
//!
//! Invariant: no two processes work on one table at once, as far as they are heard of; a job's end is on record after all of
//! its work; and what a checkpoint says is done, is durable, since it is told only then ([`Job::advance`]).

mod live;
mod pace;
mod process;
mod progress;
#[cfg(test)]
pub(crate) mod tests;
mod work;

use nova_clickhouse::{Client, HEARD_WITHIN, JobKind, JobRow, JobState, Jobs};
use nova_pipeline::ErrorKind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use live::Live;
pub use work::Job;

use crate::exit::{Exit, Failure, Outcome};

/// What a command wants to do.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which command.
    pub kind: JobKind,
    /// The stream.
    pub stream: String,
    /// The table that it changes.
    pub target: String,
    /// The command as it would be typed, with everything that makes it this request and nothing else: no `--execute`, no
    /// pace, no form of output.
    pub command: String,
    /// What progress is counted in: `messages`, `rows`.
    pub unit: &'static str,
}

/// How the work of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// All of it is done.
    Done,
    /// It was asked to stop ([`Job::is_stopping`]), and stopped where it can go on.
    Stopped,
}

/// What more was done; sums over the whole job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Units done.
    pub done: u64,
    /// Rows written.
    pub written: u64,
    /// Rows that the table had.
    pub already_there: u64,
    /// Messages or rows left out for a reason.
    pub skipped: u64,
    /// Messages that are, or became, dead letters.
    pub letters: u64,
}

/// A job that was begun with the same request and is not done; `None` where there is none, or where it is to begin anew.
pub async fn unfinished(jobs: &Jobs, request: &Request, anew: bool) -> Result<Option<JobRow>, Failure> {
    if anew {
        return Ok(None);
    }
    let newest = jobs.newest(request.kind, &request.command).await?;
    Ok(newest.filter(|row| row.state != JobState::Done))
}

/// What a job wrote down as JSON, its plan or its checkpoint; `None` where it is empty.
pub fn read<T: DeserializeOwned>(what: &str, row: &JobRow, text: &str) -> Result<Option<T>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|error| {
        let JobRow { job_id, kind, nova_version, .. } = row;
        let message =
            format!("the {what} of {kind} {job_id}, written by nova {nova_version}, cannot be read: {error}");
        Failure::new(Exit::Failure, message).with_cure("Go on with that version, or begin anew with --anew.")
    })
}

fn new_row(request: &Request, plan: String) -> JobRow {
    let Request { kind, stream, target, command, unit } = request.clone();
    JobRow {
        job_id: Uuid::now_v7(),
        seq: 0,
        kind,
        stream,
        target,
        state: JobState::Running,
        began_at: String::new(),
        process: String::new(),
        actor: String::new(),
        request: command,
        plan,
        checkpoint: String::new(),
        done: 0,
        total: 0,
        unit: unit.to_owned(),
        written: 0,
        already_there: 0,
        skipped: 0,
        letters: 0,
        reason: String::new(),
        nova_version: String::new(),
        at: String::new(),
        age_ms: 0,
    }
}

/// Refuses to work beside others on the same table.
fn refuse_others(at_work: &[JobRow], own: &JobRow) -> Outcome {
    let other = at_work.iter().find(|row| row.process != own.process && !process::is_gone(&row.process));
    let Some(JobRow { job_id, kind, stream, target, began_at, actor, age_ms, .. }) = other else {
        return Ok(());
    };
    let heard = age_ms / 1_000;
    let message = format!(
        "`{target}` is being changed by {kind} {job_id} of stream {stream}, begun at {began_at} by {actor} and heard of {heard} s \
         ago; two at once would write the same rows"
    );
    let cure = format!(
        "Let it end, or stop it by Ctrl-C. If its process was killed elsewhere: it is taken for dead {} s after its last word.",
        HEARD_WITHIN.as_secs()
    );
    Err(Failure::new(Exit::Failure, message).with_cure(cure))
}

/// Refuses to write rows into a table while it is being rebuilt: what comes between a copy and its exchange is gone with what
/// it was exchanged for, and only what streams deliver is healed.
///
/// # Errors
/// While a rebuild of the table is at work; those of the record.
pub async fn refuse_beside_rebuild(client: &Client, table: &str) -> Outcome {
    let at_work = match Jobs::new(client.clone()).at_work(table).await {
        // Without the table of jobs there are none.
        Err(error) if error.kind == ErrorKind::SchemaMismatch => return Ok(()),
        at_work => at_work?,
    };
    refuse_rebuild(&at_work)
}

fn refuse_rebuild(at_work: &[JobRow]) -> Outcome {
    let rebuild = at_work.iter().find(|row| row.kind == JobKind::Rebuild && !process::is_gone(&row.process));
    let Some(JobRow { job_id, stream, target, actor, .. }) = rebuild else { return Ok(()) };
    let message = format!(
        "`{target}` is being rebuilt (job {job_id} of stream {stream}, by {actor}): rows could be lost"
    );
    Err(Failure::new(Exit::Failure, message).with_cure("Wait until it has ended, or stop it by Ctrl-C."))
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::new(Exit::Failure, error.to_string()))
}
