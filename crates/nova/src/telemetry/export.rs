//! Spans on their way to a collector, by OTLP over HTTP (protobuf, no TLS).
//!
//! Invariant: nobody waits for the collector. Spans go into a bounded queue (2,048; what does not fit is dropped), a
//! thread of its own sends them, and the end of the process waits for it no longer than [`FLUSH_WITHIN`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nova_pipeline::trace::names::TARGET;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter as Export};
use reqwest::blocking::Client;
use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Secret, TelemetryConfig};
use crate::exit::{Exit, Failure};

/// How long one request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last spans.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// The export, while the process runs.
#[derive(Default)]
pub struct Exporting(Option<SdkTracerProvider>);

impl Exporting {
    /// Sends what is still queued, and waits for it within bounds.
    pub fn finish(self) {
        let Some(provider) = self.0 else { return };
        if let Err(error) = provider.shutdown_with_timeout(FLUSH_WITHIN) {
            warn!("the last spans were not exported: {error}");
        }
    }
}

/// The layer that takes Nova's spans to the collector; `None`, and no thread, where none is configured.
///
/// # Errors
/// A setting that cannot be used.
pub fn layer<S>(config: &TelemetryConfig) -> Result<(Option<impl Layer<S>>, Exporting), Failure>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    if config.otlp_endpoint.is_empty() {
        return Ok((None, Exporting::default()));
    }
    let provider = provider(config)?;
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("nova"))
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO));
    Ok((Some(layer), Exporting(Some(provider))))
}

fn provider(config: &TelemetryConfig) -> Result<SdkTracerProvider, Failure> {
    let TelemetryConfig { otlp_endpoint, sample_ratio, .. } = config;
    if !otlp_endpoint.starts_with("http://") {
        let message = format!("telemetry.otlp_endpoint = `{otlp_endpoint}`: only http:// is spoken here");
        return Err(Failure::new(Exit::Usage, message).with_cure(
            "Name a collector beside Nova, such as http://localhost:4318; it can speak TLS onwards.",
        ));
    }
    if !(0.0..=1.0).contains(sample_ratio) {
        let message = format!("telemetry.sample_ratio = {sample_ratio}: write a share from 0 to 1");
        return Err(Failure::new(Exit::Usage, message));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", otlp_endpoint.trim_end_matches('/')))
        .with_timeout(REQUEST_WITHIN)
        .with_headers(headers(&config.otlp_headers)?)
        .build()
        .map_err(|error| Failure::new(Exit::Usage, format!("telemetry: {error}")))?;
    let attributes = config.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(attributes)
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(Watched {
            exporter,
            endpoint: otlp_endpoint.clone(),
            fails: AtomicBool::new(false),
        })
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(*sample_ratio))))
        .with_resource(resource)
        .build())
}

/// Without TLS no certificates of the system's are wanted, and a system may have none.
fn client() -> Result<Client, Failure> {
    // It waits for a thread of its own, which is refused within a runtime.
    let making = std::thread::spawn(|| Client::builder().timeout(REQUEST_WITHIN).tls_certs_only([]).build());
    let unusable =
        |reason: String| Failure::new(Exit::Failure, format!("telemetry: no HTTP client: {reason}"));
    let made = making.join().map_err(|_| unusable("its thread panicked".to_owned()))?;
    made.map_err(|error| unusable(error.to_string()))
}

/// `name=value,…`, as in `OTEL_EXPORTER_OTLP_HEADERS`. What is wrong is not shown: it may hold a token.
fn headers(text: &Secret) -> Result<HashMap<String, String>, Failure> {
    let pairs = text.expose().split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    pairs.map(pair).collect::<Option<_>>().ok_or_else(|| {
        Failure::new(Exit::Usage, "telemetry.otlp_headers: write name=value, several separated by commas")
    })
}

/// An exporter whose failures are told of: once when they begin, once when they end.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    endpoint: String,
    fails: AtomicBool,
}

impl<E: Export> Export for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let failed_before = self.fails.swap(result.is_err(), Ordering::Relaxed);
        let endpoint = &self.endpoint;
        match &result {
            Err(error) if !failed_before => warn!(
                endpoint,
                "spans cannot be exported and are dropped until the collector takes them: {error}"
            ),
            Ok(()) if failed_before => info!(endpoint, "spans are exported again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &TelemetryConfig) -> String {
        provider(config).err().map(|failure| failure.message).unwrap_or_default()
    }

    #[test]
    fn nothing_is_exported_by_default() {
        let (layer, exporting) = layer::<tracing_subscriber::Registry>(&TelemetryConfig::default()).unwrap();
        assert!(layer.is_none() && exporting.0.is_none());
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let at = |endpoint: &str| TelemetryConfig {
            otlp_endpoint: endpoint.to_owned(),
            ..TelemetryConfig::default()
        };
        assert!(refused(&at("https://collector:4318")).contains("telemetry.otlp_endpoint"));
        assert!(refused(&at("collector:4318")).contains("telemetry.otlp_endpoint"));
        let config = TelemetryConfig { sample_ratio: 1.5, ..at("http://localhost:4318") };
        assert!(refused(&config).contains("telemetry.sample_ratio"));
        let config = TelemetryConfig { otlp_headers: Secret::new("token"), ..at("http://localhost:4318") };
        let told = refused(&config);
        assert!(told.contains("telemetry.otlp_headers") && !told.contains("token"), "{told}");
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let read = headers(&Secret::new("authorization=Bearer a=b, x-tenant = nova,")).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read["authorization"].as_str(), read["x-tenant"].as_str()), ("Bearer a=b", "nova"));
    }
}
