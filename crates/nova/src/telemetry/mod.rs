//! Messages on stderr, the registry behind `/metrics`, and spans on their way to a collector.

pub mod catalogue;
mod export;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use nova_pipeline::metrics::MetricKind;
use nova_pipeline::trace::names::TARGET;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

pub use export::Exporting;

use crate::config::{Config, LogConfig, LogFormat};
use crate::exit::{Exit, Failure};

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
    let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A stderr that nobody reads is no reason to stop; the layer itself would say so there, and panic.
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(color).log_internal_errors(false);
    let log = match config.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    Ok(log.with_filter(filter.add_directive(no_spans)))
}

/// Installs the registry of metrics; its handle renders them in Prometheus' form.
pub fn init_metrics() -> anyhow::Result<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    for metric in catalogue::all() {
        if let MetricKind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    let handle = builder.install_recorder().context("cannot install the registry of metrics")?;
    catalogue::describe();
    metrics::gauge!(catalogue::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}
