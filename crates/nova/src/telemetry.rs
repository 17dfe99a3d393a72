//! Messages on stderr and the registry behind `/metrics`.

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use nova_pipeline::metrics::{BATCH_ROWS, FRESHNESS_SECONDS, WRITE_SECONDS};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::exit::{Exit, Failure};

/// Buckets for times, in seconds: from one insert of a few rows to an outage.
const SECONDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0];
/// Buckets for rows of a batch.
const ROWS: [f64; 7] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 50_000.0, 100_000.0];

/// Sends messages to stderr, in the form and from the level that are configured.
pub fn init_log(config: &LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| {
        Failure::new(Exit::Usage, format!("log.level = `{}`: {error}", config.level))
            .with_cure("Write a level (`info`) or a filter (`nova_kafka=debug,info`).")
    })?;
    let color =
        std::env::var_os("NO_COLOR").is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color);
    let installed = match config.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    installed.map_err(|error| Failure::new(Exit::Failure, format!("log: {error}")))
}

/// Installs the registry of metrics; its handle renders them in Prometheus' form.
pub fn init_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(BATCH_ROWS.to_owned()), &ROWS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(FRESHNESS_SECONDS.to_owned()), &SECONDS)
        })
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full(WRITE_SECONDS.to_owned()), &SECONDS))
        .and_then(PrometheusBuilder::install_recorder)
        .context("cannot install the registry of metrics")?;
    nova_pipeline::metrics::describe();
    nova_kafka::names::describe();
    Ok(handle)
}
