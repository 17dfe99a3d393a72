//! One message: borrowed from librdkafka's queue without copying, or owned when it has to cross threads.
//!
//! Invariant: key and value are the broker's bytes; a missing value (a tombstone) stays missing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nova_pipeline::SourceMessage;
use rdkafka::message::{Headers, Message};

/// A message of a [`KafkaSource`](crate::KafkaSource), in rdkafka's borrowed or owned form.
#[derive(Debug)]
pub struct KafkaMessage<M>(pub(crate) M);

impl<M: Message + Send> SourceMessage for KafkaMessage<M> {
    fn partition(&self) -> i32 {
        self.0.partition()
    }

    fn offset(&self) -> i64 {
        self.0.offset()
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    fn timestamp_ms(&self) -> Option<i64> {
        self.0.timestamp().to_millis()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let headers = self.0.headers()?;
        (0..headers.count()).filter_map(|at| read(headers, at)).find(|(key, _)| *key == name)?.1
    }

    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.0
            .headers()
            .map(|headers| (0..headers.count()).map(|at| header(headers, at)).collect())
            .unwrap_or_default()
    }
}

fn header(headers: &impl Headers, at: usize) -> (String, Option<Vec<u8>>) {
    match read(headers, at) {
        Some((key, value)) => (key.to_owned(), value.map(<[u8]>::to_vec)),
        None => (format!("nova.unreadable-header.{at}"), None),
    }
}

/// Name and value; `None` where the name cannot be read.
fn read(headers: &impl Headers, at: usize) -> Option<(&str, Option<&[u8]>)> {
    // rdkafka panics on a header name that is not UTF-8, and anybody who may write to the topic can write one.
    let found = catch_unwind(AssertUnwindSafe(|| headers.try_get(at)));
    found.ok().flatten().map(|header| (header.key, header.value))
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;

    #[test]
    fn a_header_is_the_first_of_its_name() {
        let mut headers = OwnedHeaders::new();
        for (key, value) in
            [("id", Some("7")), ("seq", Some("1")), ("seq", Some("2")), ("none", None), ("none", Some("3"))]
        {
            headers = headers.insert(Header { key, value });
        }
        let message = |headers| {
            KafkaMessage(OwnedMessage::new(
                None,
                None,
                "t".to_owned(),
                Timestamp::NotAvailable,
                0,
                0,
                headers,
            ))
        };
        let with = message(Some(headers));
        assert_eq!(with.header("seq"), Some(&b"1"[..]));
        assert_eq!(
            (with.header("none"), with.header("Seq"), message(None).header("seq")),
            (None, None, None)
        );
    }
}
