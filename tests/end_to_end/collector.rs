//! A small OpenTelemetry collector: takes spans by OTLP over HTTP, keeps them, and shows them to a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A span as it arrived; ids in hexadecimal.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) links: Vec<SpanLink>,
    /// The `Authorization` header of the request that brought it.
    pub(crate) authorization: String,
}

/// A link of a span.
#[derive(Debug, Clone)]
pub(crate) struct SpanLink {
    /// `<trace>-<span>`.
    pub(crate) to: String,
    pub(crate) state: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

type Kept = Arc<Mutex<Vec<Span>>>;

/// The collector; gone when it is dropped.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    kept: Kept,
    _server: JoinSet<()>,
}

impl Collector {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let kept = Kept::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&kept));
        let mut server = JoinSet::new();
        server.spawn(async move {
            // Served until it is dropped; a failure shows in the spans that are missing.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { endpoint, kept, _server: server })
    }

    /// Everything that has arrived.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match read(&headers, body) {
        Ok(spans) => {
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

fn read(headers: &HeaderMap, body: Bytes) -> Result<Vec<Span>> {
    let request = ExportTraceServiceRequest::decode(body).context("no request of OTLP")?;
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let of_resource = texts(&resource.resource.unwrap_or_default().attributes);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                kind: span.kind(),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: texts(&span.attributes),
                resource: of_resource.clone(),
                links: span.links.iter().map(link).collect(),
                authorization: authorization.unwrap_or_default().to_owned(),
                name: span.name,
            });
        }
    }
    Ok(spans)
}

fn link(link: &Link) -> SpanLink {
    SpanLink {
        to: format!("{}-{}", hex(&link.trace_id), hex(&link.span_id)),
        state: link.trace_state.clone(),
        attributes: texts(&link.attributes),
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let value = |attribute: &KeyValue| attribute.value.as_ref()?.value.as_ref().map(text);
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute).unwrap_or_default())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
