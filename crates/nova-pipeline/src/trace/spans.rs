//! The spans themselves: name, kind and attributes of each.

use opentelemetry::Value;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt as _};
use tracing::span::Id;
use tracing::{Instrument as _, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::names;
use crate::batch::Batch;
use crate::deliver::Delivery;
use crate::{Block, PipelineError};

const CLIENT: &str = "client";
const CONSUMER: &str = "consumer";
const PRODUCER: &str = "producer";

/// Runs `work` under the span, which ends with it and tells of its failure.
pub async fn traced<T>(
    span: Span,
    work: impl Future<Output = Result<T, PipelineError>>,
) -> Result<T, PipelineError> {
    let result = work.instrument(span.clone()).await;
    if let Err(error) = &result {
        span.set_attribute(names::ERROR_TYPE, error.kind.to_string());
        span.set_status(Status::error(error.message.clone()));
    }
    result
}

/// What other spans are linked to; invalid, and so never linked, where there is no span.
pub(crate) fn context_of(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}

/// A span named `<operation> <object>`. Without a listener it is none, and nothing is formatted.
fn span(parent: Option<Id>, kind: &str, operation: &str, object: &str) -> Span {
    info_span!(
        target: names::TARGET,
        parent: parent,
        "stage",
        otel.kind = kind,
        otel.name = format_args!("{operation} {object}"),
    )
}

fn child(kind: &str, operation: &str, object: &str) -> Span {
    span(Span::current().id(), kind, operation, object)
}

pub(super) fn process(topic: &str) -> Span {
    let span = span(None, CONSUMER, names::PROCESS, topic);
    messaging(&span, names::PROCESS, "process", topic);
    span
}

pub(super) fn poll(process: &Span, topic: &str) -> Span {
    let span = span(process.id(), CLIENT, names::POLL, topic);
    messaging(&span, names::POLL, "receive", topic);
    span
}

/// The commit that announces a batch; `before` is the span of the batch that it settles.
pub(crate) fn announce<K, L>(delivery: &Delivery<K, L>, before: &SpanContext) -> Span {
    settle(child(CLIENT, names::ANNOUNCE, &delivery.topic), names::ANNOUNCE, delivery, before)
}

/// The commit that settles a batch which none follows.
pub(crate) fn commit<K, L>(delivery: &Delivery<K, L>, before: &SpanContext) -> Span {
    settle(child(CLIENT, names::COMMIT, &delivery.topic), names::COMMIT, delivery, before)
}

fn settle<K, L>(
    span: Span,
    operation: &'static str,
    delivery: &Delivery<K, L>,
    before: &SpanContext,
) -> Span {
    messaging(&span, operation, "settle", &delivery.topic);
    attribute(&span, names::MESSAGING_CONSUMER_GROUP, || delivery.group.clone().into());
    span.add_link(before.clone());
    span
}

/// Dead letters on their way into `topic`.
#[must_use]
pub fn send(topic: &str, letters: usize) -> Span {
    let span = child(PRODUCER, names::SEND, topic);
    messaging(&span, names::SEND, "send", topic);
    attribute(&span, names::MESSAGING_BATCH_MESSAGE_COUNT, || count(letters));
    span
}

/// One attempt to insert a block into `table`.
#[must_use]
pub fn insert(table: &str, block: &impl Block, token: &str) -> Span {
    let span = child(CLIENT, names::INSERT, table);
    database(&span, names::INSERT, table);
    attribute(&span, names::BATCH_ROWS, || count(block.rows()));
    attribute(&span, names::BATCH_BYTES, || count(block.bytes()));
    attribute(&span, names::INSERT_TOKEN, || token.to_owned().into());
    span
}

/// A question to `table`.
#[must_use]
pub fn question(table: &str) -> Span {
    let span = child(CLIENT, names::SELECT, table);
    database(&span, names::SELECT, table);
    span
}

/// Marks a batch that a former owner left open.
pub(crate) fn recovered(process: &Span) {
    attribute(process, names::BATCH_RECOVERED, || true.into());
}

/// What is known of a batch when it is full.
pub(super) fn describe<B: Block, K, L>(
    process: &Span,
    poll: &Span,
    delivery: &Delivery<K, L>,
    batch: &Batch<B>,
) {
    for span in [process, poll] {
        attribute(span, names::STREAM, || delivery.stream.clone().into());
        attribute(span, names::MESSAGING_CONSUMER_GROUP, || delivery.group.clone().into());
        attribute(span, names::MESSAGING_BATCH_MESSAGE_COUNT, || count(batch.messages));
    }
    let skipped: u64 = batch.skipped.values().sum();
    attribute(process, names::BATCH_RANGES, || batch.ranges.places(&delivery.topic).into());
    attribute(process, names::BATCH_ROWS, || count(batch.block.rows()));
    attribute(process, names::BATCH_SKIPPED, || count(skipped));
    attribute(process, names::BATCH_DEAD_LETTERS, || count(batch.letters.len()));
}

fn messaging(span: &Span, operation: &'static str, kind: &'static str, topic: &str) {
    attribute(span, names::MESSAGING_SYSTEM, || "kafka".into());
    attribute(span, names::MESSAGING_OPERATION_NAME, || operation.into());
    attribute(span, names::MESSAGING_OPERATION_TYPE, || kind.into());
    attribute(span, names::MESSAGING_DESTINATION_NAME, || topic.to_owned().into());
}

fn database(span: &Span, operation: &'static str, table: &str) {
    attribute(span, names::DB_SYSTEM_NAME, || "clickhouse".into());
    attribute(span, names::DB_OPERATION_NAME, || operation.into());
    attribute(span, names::DB_COLLECTION_NAME, || table.to_owned().into());
}

/// Nothing is made for a span that nobody listens to.
fn attribute(span: &Span, name: &'static str, value: impl FnOnce() -> Value) {
    if !span.is_disabled() {
        span.set_attribute(name, value());
    }
}

fn count(number: impl TryInto<i64>) -> Value {
    Value::I64(number.try_into().unwrap_or(i64::MAX))
}
