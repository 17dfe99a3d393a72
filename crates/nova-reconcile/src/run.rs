//! A whole run: streams one after the other, as of one snapshot as long as it is young enough.
//!
//! Invariant: a stream is in the report once, compared whole as of one snapshot that slot and group have passed, or
//! incomplete with the reason.

use std::time::Duration;

use chrono::Utc;
use nova_clickhouse::Client;
use nova_kafka::KafkaConnection;
use nova_streams::Stream;
use uuid::Uuid;

use crate::ReconcileError;
use crate::checkpoint::Checkpoint;
use crate::compare::{CompareOptions, Touched, compare};
use crate::explain::explain;
use crate::history::last_good;
use crate::report::{REPORT_VERSION, Report, StreamReport, Tally, Verdict};
use crate::snapshot::{PostgresAccess, Snapshot};
use crate::wait::{Route, Waiting, wait};

/// How a run goes about it.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What is compared and listed.
    pub compare: CompareOptions,
    /// How long slot and groups may take to pass a snapshot.
    pub timeout: Duration,
    /// An older snapshot is not used for another stream: it keeps PostgreSQL from cleaning up.
    pub max_snapshot_age: Duration,
    /// The version of `nova`, for the report.
    pub nova_version: String,
}

/// What a run tells while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Something has not arrived yet.
    Waiting(Waiting),
    /// A stream is compared.
    Comparing {
        /// Its name.
        stream: String,
    },
    /// A stream is done.
    Done {
        /// Its name.
        stream: String,
        /// What it came to.
        verdict: Verdict,
    },
}

/// Servers and options of runs.
#[derive(Debug, Clone)]
pub struct Reconciler {
    /// The target.
    pub clickhouse: Client,
    /// The source.
    pub postgres: PostgresAccess,
    /// The topics.
    pub kafka: KafkaConnection,
    /// Where poison goes; empty for nowhere.
    pub dead_letter_topic: String,
    /// How.
    pub options: RunOptions,
}

impl Reconciler {
    /// Opens a snapshot and waits until slot and groups have passed it.
    ///
    /// # Errors
    /// See [`Snapshot::open`] and [`wait`].
    pub async fn snapshot(
        &self,
        routes: &[Route],
        progress: &(dyn Fn(&Progress) + Sync),
    ) -> Result<Snapshot, ReconcileError> {
        let mut snapshot = Snapshot::open(&self.postgres).await?;
        let tell = |waiting: &Waiting| progress(&Progress::Waiting(waiting.clone()));
        wait(&mut snapshot, &self.postgres, &self.kafka, routes, self.options.timeout, &tell).await?;
        Ok(snapshot)
    }

    /// Compares one stream as of a snapshot that slot and group have passed, and looks up what dead letters explain. A
    /// stream that cannot be compared is incomplete.
    ///
    /// # Errors
    /// A server that cannot be asked.
    pub async fn stream(
        &self,
        snapshot: &mut Snapshot,
        stream: &Stream,
    ) -> Result<StreamReport, ReconcileError> {
        let mut options = self.options.compare.clone();
        if options.scope.incremental {
            // Without a good run there is nothing to stand on: everything is compared.
            let good = last_good(&self.clickhouse, &stream.name).await?;
            options.touched = good.map(|run| Touched { since_ms: run.snapshot.taken_ms });
        }
        let mut report = match compare(&self.clickhouse, snapshot, stream, &options).await {
            Err(ReconcileError::Refused { reason, .. }) => return Ok(incomplete(stream, reason)),
            report => report?,
        };
        if !self.dead_letter_topic.is_empty() {
            explain(&self.kafka, &self.dead_letter_topic, stream, &mut report).await?;
        }
        Ok(report)
    }

    /// Compares the streams, given with their consumer groups; `checkpoint` keeps what is done.
    ///
    /// # Errors
    /// A server that cannot be asked, or that did not pass the snapshot in time. A stream that cannot be compared is
    /// in the report.
    pub async fn run(
        &self,
        streams: &[(&Stream, String)],
        mut checkpoint: Checkpoint,
        progress: &(dyn Fn(&Progress) + Sync),
    ) -> Result<Report, ReconcileError> {
        let mut streams = streams.to_vec();
        streams.sort_by(|one, other| one.0.name.cmp(&other.0.name));
        let mut held: Option<Snapshot> = None;
        for (place, (stream, _)) in streams.iter().enumerate() {
            if checkpoint.has(&stream.name) {
                continue;
            }
            let young = held.take_if(|snapshot| snapshot.age() < self.options.max_snapshot_age);
            let mut snapshot = match (young, held.take()) {
                (Some(snapshot), _) => snapshot,
                (None, old) => {
                    if let Some(old) = old {
                        old.close().await;
                    }
                    let left = streams.get(place..).unwrap_or_default();
                    self.snapshot(&routes(left), progress).await?
                }
            };
            progress(&Progress::Comparing { stream: stream.name.clone() });
            let report = self.stream(&mut snapshot, stream).await?;
            progress(&Progress::Done { stream: stream.name.clone(), verdict: report.verdict });
            checkpoint.keep(report)?;
            held = Some(snapshot);
        }
        if let Some(snapshot) = held {
            snapshot.close().await;
        }
        let (run_id, started_ms, streams) = checkpoint.finish()?;
        Ok(Report {
            version: REPORT_VERSION,
            run_id,
            started_ms,
            finished_ms: Utc::now().timestamp_millis(),
            nova_version: self.options.nova_version.clone(),
            scope: self.options.compare.scope.clone(),
            streams,
        })
    }
}

/// The ways of streams, given with their consumer groups.
#[must_use]
pub fn routes(streams: &[(&Stream, String)]) -> Vec<Route> {
    let route = |(stream, group): &(&Stream, String)| Route {
        stream: stream.name.clone(),
        group: group.clone(),
        topic: stream.topic.clone(),
    };
    streams.iter().map(route).collect()
}

fn incomplete(stream: &Stream, reason: String) -> StreamReport {
    StreamReport {
        stream: stream.name.clone(),
        source: stream.source.clone(),
        table: stream.table.clone(),
        topic: stream.topic.clone(),
        key: stream.key.clone(),
        time: stream.time.clone(),
        table_time: String::new(),
        verdict: Verdict::Incomplete,
        reason: Some(reason),
        note: None,
        snapshots: Vec::new(),
        windows: Vec::new(),
        tally: Tally::default(),
        differences: Vec::new(),
        listed_all: false,
        left_out: Vec::new(),
    }
}

/// A new run's identity.
pub(crate) fn new_run() -> (Uuid, i64) {
    (Uuid::now_v7(), Utc::now().timestamp_millis())
}
