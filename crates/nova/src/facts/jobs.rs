//! The long commands: those at work, those that were cut off, and the last that ended.
//!
//! Invariant: a job whose request has a newer one is not told; what can go on is told with the command that goes on.

use std::collections::BTreeSet;

use chrono::NaiveDateTime;
use nova_clickhouse::{Client, HEARD_WITHIN, JobKind, JobRow, JobState, Jobs};
use nova_pipeline::PipelineError;
use serde::Serialize;
use uuid::Uuid;

/// Jobs that are looked at, newest first.
const LOOKED_AT: u32 = 50;
/// Jobs that are done and are told.
const DONE: usize = 3;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStanding {
    /// At work.
    Running,
    /// It said so, and has not been heard of since.
    Interrupted,
    /// Somebody stopped it.
    Stopped,
    /// It met something that it cannot go on from by itself.
    Failed,
    /// All of it is done.
    Done,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobFacts {
    /// Its identity.
    pub job_id: Uuid,
    /// `replay`, `rebuild` or `backfill`.
    pub kind: JobKind,
    /// The stream.
    pub stream: String,
    /// The table that it changes.
    pub target: String,
    /// How it stands.
    pub standing: JobStanding,
    /// Who started the process that worked on it last: `user@host`.
    pub actor: String,
    /// When it began, by ClickHouse's clock (UTC).
    pub began_at: String,
    /// How long ago it was heard of, in seconds.
    pub heard_seconds: f64,
    /// Units done.
    pub done: u64,
    /// Units to be done.
    pub total: u64,
    /// What a unit is: `messages`, `rows`.
    pub unit: String,
    /// Units per second, from its beginning to its last word.
    pub per_second: Option<f64>,
    /// What is left at that rate, in seconds, of a job at work.
    pub left_seconds: Option<f64>,
    /// Rows written.
    pub written: u64,
    /// Rows that the table had before.
    pub already_there: u64,
    /// Messages or rows left out for a reason.
    pub skipped: u64,
    /// Messages that are, or became, dead letters.
    pub letters: u64,
    /// Why it ended; empty if all is done.
    pub reason: String,
    /// The command that goes on, if it can.
    pub way_on: Option<String>,
}

/// Asks for them, newest first.
pub(super) async fn look(client: &Client) -> Result<Vec<JobFacts>, PipelineError> {
    Ok(told(Jobs::new(client.clone()).recent(LOOKED_AT).await?))
}

/// Those that are told.
fn told(rows: Vec<JobRow>) -> Vec<JobFacts> {
    let (mut requests, mut done) = (BTreeSet::new(), 0);
    let mut jobs = Vec::new();
    for row in rows {
        let is_newest = requests.insert(row.request.clone());
        if row.state == JobState::Done {
            done += 1;
        }
        if is_newest && (row.state != JobState::Done || done <= DONE) {
            jobs.push(JobFacts::from(row));
        }
    }
    jobs
}

impl From<JobRow> for JobFacts {
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    fn from(row: JobRow) -> Self {
        let heard = HEARD_WITHIN.as_millis();
        let standing = match row.state {
            JobState::Running if u128::try_from(row.age_ms).is_ok_and(|age| age > heard) => {
                JobStanding::Interrupted
            }
            JobState::Running => JobStanding::Running,
            JobState::Stopped => JobStanding::Stopped,
            JobState::Failed => JobStanding::Failed,
            JobState::Done => JobStanding::Done,
        };
        let per_second = took_seconds(&row).map(|seconds| row.done as f64 / seconds);
        let left = row.total.saturating_sub(row.done) as f64;
        let left_seconds =
            per_second.filter(|rate| *rate > 0.0 && standing == JobStanding::Running).map(|rate| left / rate);
        let goes_on = !matches!(standing, JobStanding::Running | JobStanding::Done);
        Self {
            way_on: goes_on.then(|| format!("{} --execute", row.request)),
            heard_seconds: row.age_ms.max(0) as f64 / 1000.0,
            standing,
            per_second,
            left_seconds,
            job_id: row.job_id,
            kind: row.kind,
            stream: row.stream,
            target: row.target,
            actor: row.actor,
            began_at: row.began_at,
            done: row.done,
            total: row.total,
            unit: row.unit,
            written: row.written,
            already_there: row.already_there,
            skipped: row.skipped,
            letters: row.letters,
            reason: row.reason,
        }
    }
}

/// From its beginning to its last word.
#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn took_seconds(row: &JobRow) -> Option<f64> {
    let time = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
    let took_ms = (time(&row.at)? - time(&row.began_at)?).num_milliseconds();
    (took_ms > 0).then(|| took_ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::super::example::job_row as example_job;
    use super::*;

    #[test]
    fn a_job_that_is_not_heard_of_was_cut_off_and_goes_on_by_its_command() {
        let job =
            |state, age_ms| JobFacts::from(example_job("nova replay kafka --stream likes", state, age_ms));
        let running = job(JobState::Running, 2_000);
        assert_eq!((running.standing, running.way_on), (JobStanding::Running, None));
        assert_eq!((running.per_second, running.left_seconds), (Some(500.0), Some(110.0)));
        let cut_off = job(JobState::Running, 31_000);
        assert_eq!(cut_off.standing, JobStanding::Interrupted);
        assert_eq!(cut_off.way_on.as_deref(), Some("nova replay kafka --stream likes --execute"));
        assert_eq!((cut_off.left_seconds, cut_off.heard_seconds), (None, 31.0));
        assert_eq!(job(JobState::Done, 31_000).way_on, None);
    }

    #[test]
    fn the_newest_of_each_request_is_told_and_few_that_are_done() {
        let done = |number: u8| example_job(&format!("done {number}"), JobState::Done, 1);
        let mut rows = vec![
            example_job("a", JobState::Done, 1),
            example_job("a", JobState::Failed, 2),
            example_job("b", JobState::Stopped, 3),
        ];
        rows.extend((0..5).map(done));
        rows.push(example_job("c", JobState::Running, 99_000));
        let told = told(rows).into_iter().map(|job| job.standing).collect::<Vec<_>>();
        use JobStanding::{Done, Interrupted, Stopped};
        assert_eq!(told, [Done, Stopped, Done, Done, Interrupted]);
    }
}
