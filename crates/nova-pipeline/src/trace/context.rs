//! Where a message says which trace it comes from, and how that is read.
//!
//! In this order: the header `traceparent` with `tracestate` (W3C Trace Context,
//! <https://www.w3.org/TR/trace-context/>), the header `tracingspancontext`, the fields `tracingspancontext` and
//! `traceparent` of the state after the change; an event's envelope has the last. What is called `tracingspancontext`
//! holds the text form of `java.util.Properties`, as Debezium's `ActivateTracingSpan` reads it
//! (<https://debezium.io/documentation/reference/stable/integrations/tracing.html>).
//!
//! Invariant: a message is never refused for what it says here. A context that is not well formed is none.

use std::borrow::Cow;

use nova_debezium::Change;
use nova_envelope::TraceParent;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::SourceMessage;

/// The header of the W3C recommendation, and the key in Debezium's properties.
const TRACEPARENT: &str = "traceparent";
/// What tracing systems add to it.
const TRACESTATE: &str = "tracestate";
/// Debezium's default name of header and column.
const PROPERTIES: &str = "tracingspancontext";
/// A `tracestate` longer than this is left out; the recommendation asks for no more.
const TRACESTATE_CHARS: usize = 512;
/// Properties longer than this are not read.
const PROPERTIES_CHARS: usize = 4_096;

/// The context in the message's headers.
pub(crate) fn of_headers(message: &dyn SourceMessage) -> Option<SpanContext> {
    let text = |name| message.header(name).and_then(|value| std::str::from_utf8(value).ok());
    match text(TRACEPARENT) {
        Some(parent) => of_texts(parent, text(TRACESTATE)),
        None => of_properties(text(PROPERTIES)?),
    }
}

/// The context in the row after the change. A deleted row has that of an earlier change, and so none of its own.
pub(crate) fn of_change(change: &Change<'_>) -> Option<SpanContext> {
    let after = change.after.as_ref()?;
    let text = |name| after.get(name, usize::MAX).and_then(|field| field.text().ok());
    match text(PROPERTIES) {
        Some(properties) => of_properties(&properties),
        None => of_texts(&text(TRACEPARENT)?, None),
    }
}

fn of_texts(parent: &str, state: Option<&str>) -> Option<SpanContext> {
    let parent: TraceParent = parent.trim().parse().ok()?;
    let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let state = state.filter(|text| text.len() <= TRACESTATE_CHARS && printable(text));
    let state: Option<TraceState> = state.and_then(|text| text.parse().ok());
    let trace = TraceId::from_bytes(parent.trace_id.get().to_be_bytes());
    let span = SpanId::from_bytes(parent.parent_id.get().to_be_bytes());
    let flags = TraceFlags::new(parent.flags);
    Some(SpanContext::new(trace, span, flags, true, state.unwrap_or_default()))
}

fn of_properties(text: &str) -> Option<SpanContext> {
    if text.len() > PROPERTIES_CHARS {
        return None;
    }
    let (mut parent, mut state) = (None, None);
    for (key, value) in text.lines().filter_map(property) {
        match key {
            TRACEPARENT => parent = Some(value),
            TRACESTATE => state = Some(value),
            _ => {}
        }
    }
    of_texts(&parent?, state.as_deref())
}

/// One line of the text form of `java.util.Properties`. Keys with escapes and values over several lines are not
/// looked for: neither header's name nor value is ever written so.
fn property(line: &str) -> Option<(&str, Cow<'_, str>)> {
    let line = line.trim_start();
    if line.starts_with(['#', '!']) {
        return None;
    }
    let (key, rest) = line.split_once(['=', ':', ' ', '\t'])?;
    let value = rest.trim_start().trim_start_matches(['=', ':']).trim();
    if !value.contains('\\') {
        return Some((key, Cow::Borrowed(value)));
    }
    let mut escaped = false;
    let plain = |letter: &char| {
        escaped = *letter == '\\' && !escaped;
        !escaped
    };
    Some((key, Cow::Owned(value.chars().filter(plain).collect())))
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
