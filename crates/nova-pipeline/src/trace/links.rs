//! The producers' spans that a batch comes from.
//!
//! Invariant: at most [`MAX_LINKS`], each span once; a sampled one takes the place of one that is not, never the other
//! way round. What is kept does not grow with the batch.

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::names;

/// As many as OpenTelemetry's SDKs keep for a span by default.
pub(crate) const MAX_LINKS: usize = 128;

/// A message and the span that wrote it.
#[derive(Debug)]
struct Link {
    context: SpanContext,
    partition: i32,
    offset: i64,
}

/// The links of one batch.
#[derive(Debug, Default)]
pub(crate) struct Links {
    kept: Vec<Link>,
    sampled: usize,
}

impl Links {
    /// Whether no further message can change anything.
    pub(crate) fn is_full(&self) -> bool {
        self.sampled == MAX_LINKS
    }

    /// Notes the span that wrote the message at this place.
    pub(crate) fn add(&mut self, context: SpanContext, partition: i32, offset: i64) {
        let sampled = context.is_sampled();
        let room = self.kept.len() < MAX_LINKS;
        if self.is_full() || !(room || sampled) || self.has(&context) {
            return;
        }
        let link = Link { context, partition, offset };
        if room {
            self.kept.push(link);
        } else if let Some(other) = self.kept.iter_mut().find(|other| !other.context.is_sampled()) {
            *other = link;
        }
        self.sampled += usize::from(sampled);
    }

    fn has(&self, context: &SpanContext) -> bool {
        let same = |link: &Link| {
            link.context.span_id() == context.span_id() && link.context.trace_id() == context.trace_id()
        };
        self.kept.iter().any(same)
    }

    /// Hands the links over to the span.
    pub(crate) fn attach(self, span: &Span) {
        for Link { context, partition, offset } in self.kept {
            let place = vec![
                KeyValue::new(names::MESSAGING_DESTINATION_PARTITION, partition.to_string()),
                KeyValue::new(names::MESSAGING_KAFKA_OFFSET, offset),
            ];
            span.add_link_with_attributes(context, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn context(span: u64, flags: TraceFlags) -> SpanContext {
        SpanContext::new(TraceId::from(7), SpanId::from(span), flags, true, TraceState::NONE)
    }

    fn spans(links: &Links) -> Vec<u64> {
        let id = |link: &Link| u64::from_be_bytes(link.context.span_id().to_bytes());
        links.kept.iter().map(id).collect()
    }

    #[test]
    fn each_span_is_linked_once() {
        let mut links = Links::default();
        for (offset, span) in [1, 2, 1, 1, 2].into_iter().enumerate() {
            links.add(context(span, TraceFlags::SAMPLED), 0, i64::try_from(offset).unwrap());
        }
        assert_eq!(spans(&links), [1, 2]);
        assert_eq!(links.kept[1].offset, 1, "the first of its messages is named");
    }

    #[test]
    fn sampled_spans_take_the_places_of_others_and_the_number_stays_bounded() {
        let mut links = Links::default();
        for span in 1..=1_000 {
            links.add(context(span, TraceFlags::default()), 0, 0);
        }
        assert_eq!(links.kept.len(), MAX_LINKS);
        assert!(!links.is_full(), "there may be sampled ones");
        for span in 2_001..=2_100 {
            links.add(context(span, TraceFlags::SAMPLED), 0, 0);
        }
        links.add(context(1_000, TraceFlags::default()), 0, 0);
        links.add(context(2_001, TraceFlags::SAMPLED), 0, 0);
        assert_eq!((links.kept.len(), links.sampled), (MAX_LINKS, 100));
        for span in 3_001..=4_000 {
            links.add(context(span, TraceFlags::SAMPLED), 0, 0);
        }
        assert!(links.is_full() && links.kept.len() == MAX_LINKS);
        assert!(spans(&links).contains(&2_001) && !spans(&links).contains(&4_000));
    }
}
