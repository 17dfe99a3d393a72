//! What Prometheus hears of a reconciliation.
//!
//! Invariant: a time is published as a time, not as an age, which would stand still with the process:
//! `time() - nova_reconcile_last_good_timestamp_seconds` is the age of the last good run.

use metrics::{counter, gauge};
use nova_pipeline::metrics::Metric;

use crate::history::Run;
use crate::{DifferenceKind, Report, Tally, Verdict};

/// Differences that the last run found, by stream and kind.
pub const DIFFERENCES: &str = "nova_reconcile_differences";
/// Those of them that a dead letter explains, by stream.
pub const EXPLAINED: &str = "nova_reconcile_explained_differences";
/// 1 for the last run's verdict, 0 for the others, by stream and verdict.
pub const VERDICT: &str = "nova_reconcile_last_verdict";
/// When the last good run took its snapshot, in seconds since 1970, by stream.
pub const LAST_GOOD: &str = "nova_reconcile_last_good_timestamp_seconds";
/// How long the last run took, in seconds.
pub const DURATION: &str = "nova_reconcile_duration_seconds";
/// Runs, by verdict.
pub const RUNS: &str = "nova_reconcile_runs_total";

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::gauge(
        DIFFERENCES,
        &["stream", "kind"],
        "Differences that the last reconciliation found, by kind",
    ),
    Metric::gauge(EXPLAINED, &["stream"], "Those of the differences that a dead letter explains"),
    Metric::gauge(
        VERDICT,
        &["stream", "verdict"],
        "1 for the verdict of the last reconciliation, 0 for the others",
    ),
    Metric::gauge(
        LAST_GOOD,
        &["stream"],
        "Snapshot of the last reconciliation that found both sides equal, seconds since 1970",
    ),
    Metric::gauge(DURATION, &[], "Seconds that the last reconciliation took"),
    Metric::counter(RUNS, &["verdict"], "Reconciliations, by verdict"),
];

/// Publishes what a run found.
#[expect(clippy::cast_precision_loss, reason = "metrics; counts are far below 2^52")]
pub fn publish(report: &Report) {
    for stream in &report.streams {
        publish_stream(&stream.stream, &stream.tally, stream.verdict);
        let whole = report.scope.since_ms.is_none() && report.scope.until_ms.is_none();
        if let Some(snapshot) = stream.snapshots.first()
            && stream.verdict == Verdict::Equal
            && whole
        {
            publish_last_good(&stream.stream, snapshot.taken_ms);
        }
    }
    gauge!(DURATION).set((report.finished_ms - report.started_ms) as f64 / 1000.0);
    counter!(RUNS, "verdict" => report.verdict().name()).increment(1);
}

/// Publishes what a run of another process found, as the [history](crate::history) has it.
pub fn publish_run(run: &Run) {
    publish_stream(&run.stream, &run.tally, run.verdict);
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn publish_stream(stream: &str, tally: &Tally, found: Verdict) {
    let name = || stream.to_owned();
    for kind in DifferenceKind::ALL {
        gauge!(DIFFERENCES, "stream" => name(), "kind" => kind.name()).set(tally.of(kind) as f64);
    }
    gauge!(EXPLAINED, "stream" => name()).set(tally.explained as f64);
    for verdict in [Verdict::Equal, Verdict::Explained, Verdict::Different, Verdict::Incomplete] {
        let is = if found == verdict { 1.0 } else { 0.0 };
        gauge!(VERDICT, "stream" => name(), "verdict" => verdict.name()).set(is);
    }
}

/// Publishes when a stream was last found equal, as the [history](crate::history) knows it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^52")]
pub fn publish_last_good(stream: &str, taken_ms: i64) {
    gauge!(LAST_GOOD, "stream" => stream.to_owned()).set(taken_ms as f64 / 1000.0);
}
