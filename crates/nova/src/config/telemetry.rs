//! `[telemetry]`: where spans go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

/// OpenTelemetry's own variables that Nova follows, below the configuration file, and the keys that they set.
pub(super) const OTEL_VARIABLES: [(&str, &str); 2] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("OTEL_SERVICE_NAME", "telemetry.service_name"),
];

/// Spans, exported by OTLP over HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The collector, `http://host:4318`; empty exports nothing.
    pub otlp_endpoint: String,
    /// Headers of each request, `name=value,…`; a secret, since collectors are given tokens by them.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub otlp_headers: Secret,
    /// A file that holds them instead.
    pub otlp_headers_file: Option<PathBuf>,
    /// The share of batches that are traced, from 0 to 1.
    pub sample_ratio: f64,
    /// `service.name` of every span.
    pub service_name: String,
    /// Further attributes of the resource, such as `deployment.environment.name`.
    pub resource: BTreeMap<String, String>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            otlp_headers: Secret::default(),
            otlp_headers_file: None,
            sample_ratio: 1.0,
            service_name: "nova".to_owned(),
            resource: BTreeMap::new(),
        }
    }
}
