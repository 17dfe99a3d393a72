//! Metrics as Prometheus reads them.

use metrics_exporter_prometheus::PrometheusBuilder;
use nova_pipeline::metrics::Metric;
use nova_reconcile::metrics::{METRICS, publish, publish_last_good};

use crate::samples;

#[test]
fn a_run_is_published_by_stream_kind_and_verdict() {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        Metric::describe_all(METRICS);
        publish_last_good("likes", samples::DAY);
        publish(&samples::well());
        publish(&samples::trouble());
    });
    let text = recorder.handle().render();
    let lines = [
        "nova_reconcile_differences{stream=\"likes\",kind=\"missing\"} 30",
        "nova_reconcile_differences{stream=\"likes\",kind=\"doubled\"} 1",
        "nova_reconcile_differences{stream=\"posts\",kind=\"missing\"} 0",
        "nova_reconcile_explained_differences{stream=\"comments\"} 1",
        "nova_reconcile_last_verdict{stream=\"likes\",verdict=\"equal\"} 0",
        "nova_reconcile_last_verdict{stream=\"likes\",verdict=\"different\"} 1",
        "nova_reconcile_last_good_timestamp_seconds{stream=\"likes\"} 1795305600.12",
        "nova_reconcile_duration_seconds 4.25",
        "nova_reconcile_runs_total{verdict=\"different\"} 1",
        "nova_reconcile_runs_total{verdict=\"equal\"} 1",
    ];
    for line in lines {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}
