//! What a metric is, and the list of those that a pipeline has.
//!
//! Invariant: name, type, labels, buckets and meaning of a metric are written once, in a list like this one; the recorder,
//! `docs/metrics.md`, the alerts' and the dashboard's checks all rest on it. Units are Prometheus' base units
//! (<https://prometheus.io/docs/practices/naming/>). No label carries a key or a value of user data.

use metrics::{describe_counter, describe_gauge, describe_histogram};

use super::{
    BATCH_BYTES, BATCH_FILL, BATCH_ROWS, BATCHES, DEAD_LETTERS, DISCARDED, DOUBTS, ERRORS, FRESHNESS_SECONDS,
    INSERT_SECONDS, PARTITIONS, PAUSED, REBALANCES, RECEIVED, RETRIES, SENT, SENT_BYTES, WRITE_SECONDS,
};

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, one sentence without a full stop.
    pub help: &'static str,
}

/// The type of a metric, as Prometheus has them (<https://prometheus.io/docs/concepts/metric_types/>).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Grows, and begins at 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations, counted up to each of these upper bounds.
    Histogram(&'static [f64]),
}

impl Metric {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, labels, help }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, labels, help }
    }

    const fn histogram(name: &'static str, buckets: &'static [f64], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram(buckets), labels: STREAM, help }
    }

    /// Tells the metrics recorder what these mean.
    pub fn describe_all(metrics: &[Self]) {
        for Self { name, kind, help, .. } in metrics {
            match kind {
                MetricKind::Counter => describe_counter!(*name, *help),
                MetricKind::Gauge => describe_gauge!(*name, *help),
                MetricKind::Histogram(_) => describe_histogram!(*name, *help),
            }
        }
    }
}

impl MetricKind {
    /// Its name in `# TYPE` lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

const STREAM: &[&str] = &["stream"];

/// Buckets for times, in seconds: from one insert of a few rows to an outage.
const SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0];
/// Buckets for rows of a batch.
const ROWS: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 200_000.0];
/// Buckets for bytes of a batch: 1 KiB to 64 MiB.
const BYTES: &[f64] = &[1_024.0, 16_384.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];

/// All metrics of a pipeline.
pub const METRICS: &[Metric] = &[
    Metric::counter(RECEIVED, STREAM, "Messages whose batch is durable"),
    Metric::counter(SENT, STREAM, "Rows made durable"),
    Metric::counter(SENT_BYTES, STREAM, "Encoded bytes made durable"),
    Metric::counter(DISCARDED, &["stream", "reason"], "Messages that became no rows, by reason"),
    Metric::counter(DEAD_LETTERS, &["stream", "kind"], "Dead letters acknowledged by the broker, by kind"),
    Metric::counter(
        ERRORS,
        &["stream", "kind"],
        "Failures, by kind: of attempts that were repeated and of whole runs",
    ),
    Metric::counter(RETRIES, &["stream", "step"], "Attempts that failed and were repeated, by step"),
    Metric::counter(BATCHES, &["stream", "state"], "Batches that reached a state of the ledger"),
    Metric::counter(
        DOUBTS,
        &["stream", "doubt"],
        "Batches about which the table was asked, and that were settled so",
    ),
    Metric::histogram(BATCH_ROWS, ROWS, "Rows of a batch"),
    Metric::histogram(BATCH_BYTES, BYTES, "Encoded bytes of a batch"),
    Metric::gauge(BATCH_FILL, STREAM, "How full the batch is that is being filled: 1 is one of its limits"),
    Metric::histogram(INSERT_SECONDS, SECONDS, "Seconds of one insert that was answered with success"),
    Metric::histogram(WRITE_SECONDS, SECONDS, "Seconds until a batch is durable, retries included"),
    Metric::histogram(
        FRESHNESS_SECONDS,
        SECONDS,
        "Seconds from the commit in PostgreSQL until durable in ClickHouse, oldest change of a batch",
    ),
    Metric::gauge(PARTITIONS, STREAM, "Partitions owned"),
    Metric::counter(REBALANCES, &["stream", "kind"], "Assignments, revocations and losses of partitions"),
    Metric::gauge(PAUSED, STREAM, "1 while delivery from the broker is paused"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_end_in_total_and_no_name_comes_twice() {
        for metric in METRICS {
            let is_counter = metric.kind == MetricKind::Counter;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{}", metric.name);
            assert_eq!(
                METRICS.iter().filter(|other| other.name == metric.name).count(),
                1,
                "{}",
                metric.name
            );
        }
    }
}
