//! Messages on stderr, the registry behind `/metrics`, and spans on their way to a collector.

mod export;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use nova_pipeline::metrics::{BATCH_ROWS, FRESHNESS_SECONDS, WRITE_SECONDS};
use nova_pipeline::trace::names::TARGET;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

pub use export::Exporting;

use crate::config::{Config, LogConfig, LogFormat};
use crate::exit::{Exit, Failure};

/// Buckets for times, in seconds: from one insert of a few rows to an outage.
const SECONDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0];
/// Buckets for rows of a batch.
const ROWS: [f64; 7] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 200_000.0];

/// Sends messages to stderr and spans to a collector, as configured.
pub fn init(config: &Config) -> Result<Exporting, Failure> {
    let (spans, exporting) = export::layer(&config.telemetry)?;
    let subscriber = tracing_subscriber::registry().with(log(&config.log)?).with(spans);
    subscriber.try_init().map_err(|error| Failure::new(Exit::Failure, format!("log: {error}")))?;
    Ok(exporting)
}

/// Messages, in the form and from the level that are configured; spans are not for the log.
fn log<S>(config: &LogConfig) -> Result<impl Layer<S> + use<S>, Failure>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let wrong = |error: &dyn std::error::Error| {
        Failure::new(Exit::Usage, format!("log.level = `{}`: {error}", config.level))
            .with_cure("Write a level (`info`) or a filter (`nova_kafka=debug,info`).")
    };
    let filter = EnvFilter::try_new(&config.level).map_err(|error| wrong(&error))?;
    let no_spans = format!("{TARGET}=off").parse().map_err(|error| wrong(&error))?;
    let color =
        std::env::var_os("NO_COLOR").is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(color);
    let log = match config.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    Ok(log.with_filter(filter.add_directive(no_spans)))
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
