//! What a stream's metrics say after what happened to it.

use std::collections::BTreeSet;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::*;
use crate::metrics::METRICS;

/// The value of one series, labels as they are rendered.
fn value(handle: &PrometheusHandle, series: &str) -> f64 {
    let text = handle.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

/// GIVEN a batch whose insert is not answered, and one with poison / THEN each step and doubt of it is counted, at the end
/// nothing is owned any more, and no series has other labels than the catalogue says.
#[tokio::test(start_paused = true)]
async fn steps_doubts_and_letters_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let mut bench = Bench::start(|world, _, _| {
        world.insert_faults.lock().unwrap().push_back(InsertFault::FailAfterWrite);
    });
    tokio::task::yield_now().await;
    assert!(
        value(&handle, "nova_dead_letters_total{stream=\"likes\",kind=\"malformed\"}").abs() < 0.1,
        "there, at 0"
    );
    bench.send([assigned(&[0]), like(0, 0), like(0, 1)]);
    bench.until("the first batch", |world| world.offset(0) == Some(2)).await;
    bench.send([poison(0, 2), like(0, 3)]);
    bench.until("the second batch", |world| world.offset(0) == Some(4)).await;
    for (series, expected) in [
        ("component_received_events_total{stream=\"likes\"}", 4.0),
        ("component_sent_events_total{stream=\"likes\"}", 3.0),
        ("component_errors_total{stream=\"likes\",kind=\"lost_reply\"}", 1.0),
        ("nova_retries_total{stream=\"likes\",step=\"insert\"}", 1.0),
        ("nova_dead_letters_total{stream=\"likes\",kind=\"malformed\"}", 1.0),
        ("nova_doubts_settled_total{stream=\"likes\",doubt=\"answer\"}", 1.0),
        ("nova_doubts_settled_total{stream=\"likes\",doubt=\"takeover\"}", 0.0),
        ("nova_batches_total{stream=\"likes\",state=\"planned\"}", 2.0),
        ("nova_batches_total{stream=\"likes\",state=\"intended\"}", 2.0),
        ("nova_batches_total{stream=\"likes\",state=\"durable\"}", 2.0),
        ("nova_batches_total{stream=\"likes\",state=\"committed\"}", 2.0),
        ("nova_rebalances_total{stream=\"likes\",kind=\"assigned\"}", 1.0),
        ("nova_assigned_partitions{stream=\"likes\"}", 1.0),
    ] {
        let found = value(&handle, series);
        assert!((found - expected).abs() < 0.1, "{series} is {found}, not {expected}");
    }
    bench.stop().await;
    assert!(value(&handle, "nova_assigned_partitions{stream=\"likes\"}").abs() < 0.1);

    let text = handle.render();
    for metric in METRICS {
        let labels = labels_of(&text, metric.name);
        assert!(!labels.is_empty(), "no series of {}", metric.name);
        let expected: BTreeSet<&str> = metric.labels.iter().copied().collect();
        assert!(labels.iter().all(|found| *found == expected), "{}: {labels:?}", metric.name);
    }
}

/// The label names of each series of a metric; those that a histogram adds are left out.
fn labels_of<'t>(text: &'t str, name: &str) -> Vec<BTreeSet<&'t str>> {
    let of_series = |line: &'t str| {
        let rest = line.strip_prefix(name)?;
        let rest =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| rest.strip_prefix(end)).unwrap_or(rest);
        let (labels, _) = rest.strip_prefix('{')?.split_once('}')?;
        let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0));
        Some(names.filter(|name| !["le", "quantile"].contains(name)).collect())
    };
    text.lines().filter_map(of_series).collect()
}
