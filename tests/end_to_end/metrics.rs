//! `/metrics` against `docs/metrics.md`: what is served is documented, what is documented is served, and the values make sense.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use xtask::monitoring::{Documented, documented};

use crate::admin::get;
use crate::wait::{s, until};

/// Streams of the worker `cdc`.
const STREAMS: [&str; 4] = ["posts", "follows", "likes", "comments"];
/// What only `nova run reconcile` has.
pub(crate) const OF_RECONCILE: &str = "nova_reconcile_";

/// One answer of `/metrics`.
pub(crate) struct Scrape {
    series: Vec<Series>,
    /// `# TYPE` by name.
    types: BTreeMap<String, String>,
}

struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    pub(crate) async fn of(admin: &str) -> Result<Self> {
        let (status, text) = get(admin, "/metrics").await?;
        ensure!(status == 200, "/metrics answers {status}: {text}");
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let types = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines.map(|line| Series::parse(line).with_context(|| line.to_owned()));
        Ok(Self { series: series.collect::<Result<_>>()?, types })
    }

    /// Everything is documented, with its type and exactly these labels; everything documented that `wanted` takes is there.
    pub(crate) fn fits(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let documented = documented()?;
        let mut found = BTreeSet::new();
        for series in &self.series {
            let (name, metric) =
                series.of(&documented).with_context(|| format!("{} is not documented", series.name))?;
            let mut labels: BTreeSet<String> = series.labels.keys().cloned().collect();
            if series.name.ends_with("_bucket") {
                labels.remove("le");
            }
            ensure!(
                labels == metric.labels,
                "{} has {labels:?}, documented are {:?}",
                series.name,
                metric.labels
            );
            ensure!(
                self.types.get(name) == Some(&metric.kind),
                "{name} is a {:?}, not a {}",
                self.types.get(name),
                metric.kind
            );
            found.insert(name);
        }
        for name in documented.keys().filter(|name| wanted(name)) {
            ensure!(found.contains(name.as_str()), "/metrics has no {name}");
        }
        Ok(())
    }

    /// The values of all series of that name that carry these labels.
    fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let carries = |series: &&Series| {
            let has =
                |(key, value): &(&str, &str)| series.labels.get(*key).is_some_and(|found| found == value);
            series.name == name && labels.iter().all(has)
        };
        self.series.iter().filter(carries).map(|series| series.value).collect()
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.values(name, labels).iter().sum()
    }

    /// Each value lies in the range, and there is one.
    fn within(&self, name: &str, labels: &[(&str, &str)], low: f64, high: f64) -> Result<()> {
        let values = self.values(name, labels);
        let all = !values.is_empty() && values.iter().all(|value| (low..=high).contains(value));
        ensure!(all, "{name} {labels:?} is {values:?}, not within {low}..={high}");
        Ok(())
    }
}

impl Series {
    /// `name{key="value",…} 1`; no value of ours has a quote or a comma in it.
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let pairs = labels.strip_suffix('}')?.split(',').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.trim_matches('"').to_owned()))
        };
        Some(Self {
            name: name.to_owned(),
            labels: pairs.map(pair).collect::<Option<_>>()?,
            value: value.parse().ok()?,
        })
    }

    /// The metric that it belongs to.
    fn of<'d>(&self, documented: &'d BTreeMap<String, Documented>) -> Option<(&'d str, &'d Documented)> {
        let is_part = |name: &&String, metric: &Documented| {
            metric.kind == "histogram"
                && ["_bucket", "_sum", "_count"].iter().any(|end| self.name.strip_suffix(end) == Some(name))
        };
        let found = documented.iter().find(|(name, metric)| **name == self.name || is_part(name, metric));
        found.map(|(name, metric)| (name.as_str(), metric))
    }
}

/// GIVEN a worker of the table streams that has worked and rests / THEN it serves all documented metrics, with values that a
/// person would believe.
pub(crate) async fn sane(admin: &str) -> Result<()> {
    // The lag is asked for every few seconds, and the last batch is committed a linger after it.
    until("all is read and committed", s(30), async || {
        let scrape = Scrape::of(admin).await?;
        scrape.fits(|name| !name.starts_with(OF_RECONCILE))?;
        scrape.within("kafka_consumergroup_lag_seconds", &[], 0.0, 0.0)?;
        let reached = |state| scrape.sum("nova_batches_total", &[("state", state)]);
        let [planned, committed] = ["planned", "committed"].map(reached);
        ensure!(
            planned > 0.0 && (planned - committed).abs() < 0.5,
            "{planned} batches, {committed} committed"
        );
        Ok(())
    })
    .await?;
    let scrape = Scrape::of(admin).await?;
    for stream in STREAMS {
        let of = &[("stream", stream)];
        for name in ["component_received_events_total", "component_sent_events_total"] {
            scrape.within(name, of, 1.0, 1e9)?;
        }
        scrape.within(
            "component_sent_bytes_total",
            of,
            scrape.sum("component_sent_events_total", of),
            1e12,
        )?;
        scrape.within("nova_batch_fill_ratio", of, 0.0, 1.0)?;
        scrape.within("nova_assigned_partitions", of, 1.0, 4.0)?;
        scrape.within("nova_consumption_paused", of, 0.0, 0.0)?;
        scrape.within("nova_retention_used_ratio", of, 0.0, 1.0)?;
        scrape.within("nova_retention_left_seconds", of, 29.0 * 86400.0, 30.0 * 86400.0)?;
        for (name, most) in [
            ("nova_insert_seconds", 30.0),
            ("nova_batch_write_seconds", 60.0),
            ("nova_freshness_seconds", 300.0),
        ] {
            let [sum, count] = ["sum", "count"].map(|part| scrape.sum(&format!("{name}_{part}"), of));
            ensure!(count >= 1.0 && sum / count <= most, "{name} of {stream}: {sum} s in {count}");
        }
        let rows = scrape.sum("nova_batch_rows_sum", of) - scrape.sum("component_sent_events_total", of);
        ensure!(rows.abs() < 0.5, "{stream}: batches have {rows} rows more than were sent");
    }
    scrape.within("nova_rebalances_total", &[("kind", "assigned")], 1.0, 100.0)?;
    scrape.within("nova_server_up", &[], 1.0, 1.0)?;
    scrape.within("nova_worker_status", &[("status", "running")], 1.0, 1.0)?;
    scrape.within("nova_worker_status", &[("status", "halted")], 0.0, 0.0)?;
    scrape.within("nova_worker_idle_seconds", &[], 0.0, 60.0)?;
    scrape.within("nova_build_info", &[], 1.0, 1.0)?;
    scrape.within("nova_slot_active", &[], 1.0, 1.0)?;
    scrape.within("nova_slot_retained_wal_bytes", &[], 1.0, 1e10)?;
    ensure!((scrape.sum("nova_slot_wal_status", &[]) - 1.0).abs() < 0.5, "the slot has one status");
    Ok(())
}
