//! What a message costs: how often its headers are looked at.

use std::cell::Cell;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;

use super::links::MAX_LINKS;
use super::*;

/// A message that counts the questions for its headers.
struct Asked {
    traceparent: Option<String>,
    times: Cell<usize>,
}

impl SourceMessage for Asked {
    fn partition(&self) -> i32 {
        0
    }
    fn offset(&self) -> i64 {
        0
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Option<&[u8]> {
        None
    }
    fn timestamp_ms(&self) -> Option<i64> {
        None
    }
    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        Vec::new()
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.times.set(self.times.get() + 1);
        self.traceparent.as_deref().filter(|_| name == "traceparent").map(str::as_bytes)
    }
}

/// Fills a batch with messages of different spans; answers how many of them were asked for headers.
fn asked(messages: usize, flags: &str) -> usize {
    let mut trace = BatchTrace::new();
    let message = |number: usize| {
        let traceparent = Some(format!("00-0af7651916cd43dd8448eb211c80319c-{number:016x}-{flags}"));
        let message = Asked { traceparent, times: Cell::new(0) };
        trace.note("cdc.likes", &message);
        message.times.get() > 0
    };
    (1..=messages).map(message).filter(|asked| *asked).count()
}

fn listening<T>(sampler: Sampler, work: impl FnOnce() -> T) -> T {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work)
}

#[test]
fn while_nobody_listens_no_message_is_looked_at() {
    assert_eq!(asked(1_000, "01"), 0);
}

#[test]
fn for_a_trace_that_is_not_sampled_no_message_is_looked_at() {
    assert_eq!(listening(Sampler::AlwaysOff, || asked(1_000, "01")), 0);
}

#[test]
fn a_batch_that_has_all_its_links_looks_at_no_further_message() {
    // One more, at which it is noticed.
    let few = MAX_LINKS..=MAX_LINKS + 1;
    assert!(few.contains(&listening(Sampler::AlwaysOn, || asked(1_000, "01"))));
    assert_eq!(listening(Sampler::AlwaysOn, || asked(1_000, "00")), 1_000, "a sampled one may come");
}
