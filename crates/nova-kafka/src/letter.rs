//! What a dead letter looks like in Kafka.
//!
//! Invariant: key, value and headers of the message that failed are all in the letter, byte for byte; only a value
//! too large for the topic is cut, and then its length and SHA-256 are there.

use nova_pipeline::DeadLetter;
use rdkafka::message::{Header, OwnedHeaders};

use crate::stored_letter::sha256;

/// `topic/partition/offset`: a letter written twice has the same key.
pub(crate) fn key(letter: &DeadLetter) -> String {
    format!("{}/{}/{}", letter.topic, letter.partition, letter.offset)
}

/// The first `limit` bytes of the value.
pub(crate) fn value(letter: &DeadLetter, limit: usize) -> Option<&[u8]> {
    letter.value.as_deref().map(|value| value.get(..limit).unwrap_or(value))
}

/// The original headers, then Nova's. `time_ms`: now, in milliseconds since 1970.
pub(crate) fn headers(letter: &DeadLetter, limit: usize, time_ms: u64) -> OwnedHeaders {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(time_ms);
    let own = [
        ("nova.stream", Some(letter.stream.clone().into_bytes())),
        ("nova.topic", Some(letter.topic.clone().into_bytes())),
        ("nova.partition", Some(letter.partition.to_string().into_bytes())),
        ("nova.offset", Some(letter.offset.to_string().into_bytes())),
        ("nova.error.kind", Some(letter.kind.to_string().into_bytes())),
        ("nova.reason", Some(letter.reason.clone().into_bytes())),
        ("nova.path", Some(letter.path.clone().into_bytes())),
        ("nova.original.key", letter.key.clone()),
        ("nova.time", Some(humantime::format_rfc3339_millis(time).to_string().into_bytes())),
        ("nova.version", Some(env!("CARGO_PKG_VERSION").as_bytes().to_vec())),
    ];
    let whole = letter.value.as_deref().unwrap_or_default();
    let cut = [
        ("nova.truncated", Some(b"true".to_vec())),
        ("nova.value.length", Some(whole.len().to_string().into_bytes())),
        ("nova.value.sha256", (whole.len() > limit).then(|| sha256(Some(whole)).into_bytes())),
    ];
    let cut = cut.iter().take(if whole.len() > limit { 3 } else { 0 });
    let mut headers = OwnedHeaders::new_with_capacity(letter.headers.len() + own.len() + cut.len());
    for (key, value) in letter.headers.iter().map(|(key, value)| (key.as_str(), value)) {
        headers = headers.insert(Header { key, value: value.as_ref() });
    }
    for (key, value) in own.iter().chain(cut) {
        headers = headers.insert(Header { key, value: value.as_ref() });
    }
    headers
}

#[cfg(test)]
mod tests {
    use nova_pipeline::ErrorKind;
    use rdkafka::message::Headers;

    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            stream: "likes".into(),
            topic: "cdc.likes".into(),
            partition: 3,
            offset: 42,
            key: None,
            value: Some(b"abc".to_vec()),
            headers: vec![("h".into(), Some(vec![0xff, 0])), ("h".into(), None), ("e".into(), Some(vec![]))],
            kind: ErrorKind::Malformed,
            reason: "no JSON".into(),
            path: "payload.after".into(),
        }
    }

    fn read(headers: &OwnedHeaders) -> Vec<(String, Option<Vec<u8>>)> {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    }

    #[test]
    fn headers_keep_the_original_ones_first_and_name_partition_and_offset() {
        let text = |value: &str| Some(value.as_bytes().to_vec());
        let expected: Vec<(String, Option<Vec<u8>>)> = [
            ("h", Some(vec![0xff, 0])),
            ("h", None),
            ("e", Some(vec![])),
            ("nova.stream", text("likes")),
            ("nova.topic", text("cdc.likes")),
            ("nova.partition", text("3")),
            ("nova.offset", text("42")),
            ("nova.error.kind", text("malformed")),
            ("nova.reason", text("no JSON")),
            ("nova.path", text("payload.after")),
            ("nova.original.key", None),
            ("nova.time", text("1970-01-01T00:00:01.500Z")),
            ("nova.version", text(env!("CARGO_PKG_VERSION"))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        assert_eq!(read(&headers(&letter(), usize::MAX, 1_500)), expected);
        assert_eq!(key(&letter()), "cdc.likes/3/42");
    }

    #[test]
    fn a_cut_value_leaves_its_length_and_digest() {
        let letter = letter();
        assert_eq!(value(&letter, 2), Some(&b"ab"[..]));
        assert_eq!(value(&letter, 3), Some(&b"abc"[..]));
        let all = read(&headers(&letter, 2, 0));
        let tail: Vec<_> =
            all.iter().rev().take(3).rev().map(|(k, v)| (k.as_str(), v.as_deref().unwrap())).collect();
        let sha = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            tail,
            [("nova.truncated", &b"true"[..]), ("nova.value.length", b"3"), ("nova.value.sha256", &sha[..])]
        );
        assert!(read(&headers(&letter, 3, 0)).iter().all(|(key, _)| key != "nova.truncated"));
    }
}
