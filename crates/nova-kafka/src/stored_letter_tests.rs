//! Letters are read back as they were written, whatever the original message carried.

use rdkafka::Timestamp;
use rdkafka::message::{OwnedHeaders, OwnedMessage};

use super::*;
use crate::{KafkaMessage, letter};

fn letter(headers: &[(&str, Option<&[u8]>)]) -> DeadLetter {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec)));
    DeadLetter {
        stream: "likes".to_owned(),
        topic: "cdc.likes".to_owned(),
        partition: 3,
        offset: 42,
        key: Some(vec![0, 0xff]),
        value: Some(b"abc".to_vec()),
        headers: headers.collect(),
        kind: ErrorKind::Unmappable,
        reason: "größer als UInt32".to_owned(),
        path: "payload.after".to_owned(),
    }
}

fn message(key: &str, value: Option<&[u8]>, headers: Option<OwnedHeaders>) -> KafkaMessage<OwnedMessage> {
    let (value, key) = (value.map(<[u8]>::to_vec), Some(key.as_bytes().to_vec()));
    let time = Timestamp::CreateTime(7);
    KafkaMessage(OwnedMessage::new(value, key, "nova.dead-letters".to_owned(), time, 1, 9, headers))
}

/// As the producer writes it, of a value only the first `limit` bytes.
fn written(found: &DeadLetter, limit: usize) -> KafkaMessage<OwnedMessage> {
    let headers = letter::headers(found, limit, 1_500);
    message(&letter::key(found), letter::value(found, limit), Some(headers))
}

fn plain(headers: &[(&str, &str)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
        all.insert(rdkafka::message::Header { key, value: Some(value.as_bytes()) })
    })
}

#[test]
fn a_letter_is_read_back_as_it_was_written() {
    let hostile: &[(&str, Option<&[u8]>)] = &[
        ("nova.stream", Some(b"another")),
        ("nova.topic", Some(b"elsewhere")),
        ("nova.partition", Some(b"-1")),
        ("nova.truncated", Some(b"true")),
        ("nova.original.key", None),
        ("", Some(b"")),
        ("id", Some(&[0xff, 0, 0xfe])),
        ("id", None),
        ("nova.version", Some(b"\xff")),
    ];
    // What a letter carries that was itself put aside.
    let of_a_letter: Vec<(String, Option<Vec<u8>>)> = written(&letter(hostile), usize::MAX).headers();
    let nested: Vec<(&str, Option<&[u8]>)> =
        of_a_letter.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    for headers in [&[][..], hostile, &nested] {
        for (key, value) in [(None, None), (Some(vec![]), Some(vec![])), (Some(vec![0xff]), Some(vec![0, 1]))]
        {
            let expected = DeadLetter { key, value, ..letter(headers) };
            let read = StoredLetter::read(&written(&expected, usize::MAX)).unwrap();
            assert_eq!(read.letter, expected);
            assert_eq!((read.partition, read.offset, read.time_ms), (1, 9, Some(1_500)));
            assert_eq!((read.version.as_str(), read.cut.as_ref()), (env!("CARGO_PKG_VERSION"), None));
            assert!(read.lacks.is_empty() && read.is_whole(), "{read:?}");
            assert_eq!(read.value_sha256(), sha256(expected.value.as_deref()));
        }
    }
}

#[test]
fn every_kind_is_read_back() {
    for kind in ErrorKind::ALL {
        let read = StoredLetter::read(&written(&DeadLetter { kind, ..letter(&[]) }, usize::MAX)).unwrap();
        assert_eq!(read.letter.kind, kind);
    }
}

#[test]
fn a_cut_letter_has_the_identity_of_the_whole_one() {
    let whole = StoredLetter::read(&written(&letter(&[]), 3)).unwrap();
    let cut = StoredLetter::read(&written(&letter(&[]), 2)).unwrap();
    assert_eq!(cut.letter.value.as_deref(), Some(&b"ab"[..]));
    assert_eq!(cut.cut.as_ref().map(|cut| cut.length), Some(3));
    assert_eq!(cut.value_sha256(), whole.value_sha256());
    assert!(whole.is_whole() && !cut.is_whole());
}

#[test]
fn a_letter_that_lacks_headers_is_one_as_long_as_it_names_its_message() {
    let key_alone = StoredLetter::read(&message("cdc.likes/3/42", Some(b"x"), None)).unwrap();
    assert_eq!(key_alone.place(), "cdc.likes/3/42");
    assert_eq!((key_alone.letter.kind, key_alone.time_ms), (ErrorKind::Unknown, Some(7)));
    assert_eq!(key_alone.lacks, REQUIRED);
    assert!(!key_alone.is_whole());
    let headers = [("trace", "1"), ("nova.topic", "t"), ("nova.partition", "0"), ("nova.offset", "5")];
    let old = StoredLetter::read(&message("x", None, Some(plain(&headers)))).unwrap();
    assert_eq!(old.place(), "t/0/5");
    assert_eq!(old.letter.headers, [("trace".to_owned(), Some(b"1".to_vec()))]);
    assert_eq!(old.lacks.len(), 7);
}

#[test]
fn a_foreign_message_is_said_to_be_one() {
    for key in ["", "x", "a/b/c", "t/0", "t/0/1/2", "/0/1", "t/-1/5", "t/0/-5", "t/99999999999/5"] {
        let foreign = StoredLetter::read(&message(key, Some(b"x"), None)).unwrap_err();
        assert_eq!((foreign.partition, foreign.offset), (1, 9), "{key}");
        assert!(foreign.reason.contains("nova.topic"), "{foreign:?}");
    }
    let tombstone = StoredLetter::read(&message("x", None, None)).unwrap_err();
    assert!(tombstone.reason.contains("tombstone"), "{tombstone:?}");
}
