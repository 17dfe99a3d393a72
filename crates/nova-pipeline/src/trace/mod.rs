//! Tracing: one span per batch, linked to the spans that wrote its messages, with a child for each stage.
//!
//! Spans are those of `tracing`, under the target [`names::TARGET`]; a binary that installs `tracing-opentelemetry`
//! exports them. Links, not parents: a batch has many producers. Which spans there are: `docs/tracing.md`.
//!
//! Invariant: nobody's progress depends on a trace. While nobody listens, a message costs one comparison; while
//! somebody does, a message without context costs a look at its headers, and what is kept of a batch is bounded.

mod context;
mod links;
pub mod names;
mod spans;

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tracing::{Level, Span, span_enabled};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::batch::Batch;
use crate::deliver::Delivery;
use crate::{Block, SourceMessage};
pub(crate) use context::of_change;
use links::Links;
use names::TARGET;
pub(crate) use spans::{announce, commit, context_of, recovered};
pub use spans::{insert, question, send, traced};

/// The trace of a batch that is being filled.
#[derive(Debug)]
pub(crate) struct BatchTrace {
    /// Whether the next message is to be looked at.
    looking: bool,
    /// Whether the headers of the message at hand had a context.
    found: bool,
    links: Links,
    process: Span,
    poll: Span,
}

/// Whether anybody wants traces.
pub(crate) fn is_listened_to() -> bool {
    span_enabled!(target: TARGET, Level::INFO)
}

impl BatchTrace {
    /// No trace, or one that begins with the first message.
    pub(crate) fn new() -> Self {
        Self {
            looking: is_listened_to(),
            found: false,
            links: Links::default(),
            process: Span::none(),
            poll: Span::none(),
        }
    }

    /// No trace, for a batch that nobody will send.
    pub(crate) fn off() -> Self {
        Self { looking: false, ..Self::new() }
    }

    /// Takes note of a message that is about to be taken into the batch.
    #[inline]
    pub(crate) fn note(&mut self, topic: &str, message: &dyn SourceMessage) {
        if self.looking {
            self.look(topic, message);
        }
    }

    /// The same for the context in what the message tells, where its headers had none.
    #[inline]
    pub(crate) fn note_change(&mut self, message: &dyn SourceMessage, context: Option<Box<SpanContext>>) {
        if self.looking
            && !self.found
            && let Some(context) = context
        {
            self.links.add(*context, message.partition(), message.offset());
        }
    }

    /// Whether the context of the message at hand would be of use.
    pub(crate) fn is_looking(&self) -> bool {
        self.looking && !self.found
    }

    fn look(&mut self, topic: &str, message: &dyn SourceMessage) {
        if self.process.is_none() {
            self.process = spans::process(topic);
            self.poll = spans::poll(&self.process, topic);
            // Of a trace that is not sampled nobody sees the links.
            self.looking = self.process.context().span().span_context().is_sampled();
        } else {
            self.looking = !self.links.is_full();
        }
        let context = if self.looking { context::of_headers(message) } else { None };
        self.found = context.is_some();
        if let Some(context) = context {
            self.links.add(context, message.partition(), message.offset());
        }
    }
}

impl<B: Block> Batch<B> {
    /// Nothing more comes into the batch: the span to write it under.
    pub(crate) fn traced_as<K, L>(&mut self, delivery: &Delivery<K, L>) -> Span {
        let BatchTrace { links, process, poll, .. } = std::mem::replace(&mut self.trace, BatchTrace::new());
        spans::describe(&process, &poll, delivery, self);
        links.attach(&process);
        process
    }
}

#[cfg(test)]
mod tests;
