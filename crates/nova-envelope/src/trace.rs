//! The W3C trace context that an event carries, <https://www.w3.org/TR/trace-context/#traceparent-header>.
//!
//! Invariant: neither id is zero, which the recommendation calls invalid; the types say so.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A `traceparent`: the span in which an event came about. Text form `00-<32 hex>-<16 hex>-<2 hex>`, lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace, 16 bytes, most significant first.
    pub trace_id: NonZeroU128,
    /// The producer's span, 8 bytes, most significant first.
    pub parent_id: NonZeroU64,
    /// The flags; bit 0 says that the producer recorded the trace.
    pub flags: u8,
}

/// A text that is no `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "no W3C traceparent; expected `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, lower case, ids not zero"
)]
pub struct TraceParentError;

impl FromStr for TraceParent {
    type Err = TraceParentError;

    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        parse(text).ok_or(TraceParentError)
    }
}

fn parse(text: &str) -> Option<TraceParent> {
    let mut parts = text.split('-');
    let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = [version, trace_id, parent_id, flags].map(str::len);
    // `from_str_radix` alone would take a sign and capitals.
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if parts.next().is_some() || lengths != [2, 32, 16, 2] || !digits || version != "00" {
        return None;
    }
    Some(TraceParent {
        trace_id: NonZeroU128::new(u128::from_str_radix(trace_id, 16).ok()?)?,
        parent_id: NonZeroU64::new(u64::from_str_radix(parent_id, 16).ok()?)?,
        flags: u8::from_str_radix(flags, 16).ok()?,
    })
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_recommendation_goes_round() {
        let trace: TraceParent = EXAMPLE.parse().unwrap();
        assert_eq!((trace.parent_id.get(), trace.flags), (0xb7ad_6b71_6920_3331, 1));
        assert_eq!(trace.to_string(), EXAMPLE);
    }

    #[test]
    fn everything_else_is_refused() {
        let zero_trace = EXAMPLE.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let zero_parent = EXAMPLE.replace("b7ad6b7169203331", &"0".repeat(16));
        let signed = EXAMPLE.replace("b7ad6b7169203331", "+7ad6b7169203331");
        let newer = EXAMPLE.replacen("00-", "01-", 1);
        let longer = format!("{EXAMPLE}-00");
        let wrong =
            [&zero_trace, &zero_parent, &signed, &newer, &longer, &EXAMPLE.to_uppercase(), "", "00", "---"];
        for text in wrong {
            assert_eq!(text.parse::<TraceParent>(), Err(TraceParentError), "{text}");
        }
    }
}
