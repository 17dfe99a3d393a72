//! A letter as it is written out: a line without the message's own text, or everything.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use nova_clickhouse::LetterMark;
use serde::Serialize;

use super::reason::normalised;
use super::scan::{Entry, Status};

/// One letter, without key, value, headers, and what its reason repeats of them.
#[derive(Debug, Serialize)]
pub struct Line {
    message: String,
    #[serde(flatten)]
    facts: Facts,
    reason: String,
}

/// One letter, whole.
#[derive(Debug, Serialize)]
pub struct Whole<'e> {
    message: String,
    #[serde(flatten)]
    facts: Facts,
    reason: &'e str,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header<'e>>,
    action: Option<&'e LetterMark>,
}

#[derive(Debug, Serialize)]
struct Facts {
    stream: String,
    kind: String,
    path: String,
    time: Option<String>,
    nova_version: String,
    status: Status,
    /// Where the letter itself is: partition and offset of the dead-letter topic.
    letter: [i64; 2],
    value_bytes: u64,
    value_sha256: String,
    truncated: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacks: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Header<'e> {
    name: &'e str,
    value: Option<Bytes>,
}

/// Text where it is UTF-8, base64 where it is not.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Bytes {
    Text(String),
    Base64(String),
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    /// For a terminal: no character that it would obey.
    fn shown(this: Option<&Self>) -> String {
        match this {
            None => "(none)".to_owned(),
            Some(Self::Base64(text)) => format!("(base64) {text}"),
            Some(Self::Text(text)) => text.chars().map(visible).collect(),
        }
    }
}

fn visible(character: char) -> String {
    if character.is_control() && character != '\n' {
        character.escape_default().to_string()
    } else {
        character.to_string()
    }
}

impl Facts {
    fn of(entry: &Entry) -> Self {
        let stored = &entry.stored;
        let kept = stored.letter.value.as_ref().map_or(0, Vec::len) as u64;
        Self {
            stream: stored.letter.stream.clone(),
            kind: stored.letter.kind.to_string(),
            path: stored.letter.path.clone(),
            time: stored.time_ms.and_then(time),
            nova_version: stored.version.clone(),
            status: entry.status(),
            letter: [stored.partition.into(), stored.offset],
            value_bytes: stored.cut.as_ref().map_or(kept, |cut| cut.length),
            value_sha256: entry.value_sha256.clone(),
            truncated: stored.cut.is_some(),
            lacks: stored.lacks.clone(),
        }
    }
}

impl Line {
    /// Of a letter.
    pub fn of(entry: &Entry) -> Self {
        Self {
            message: entry.place().to_string(),
            facts: Facts::of(entry),
            reason: normalised(&entry.stored.letter.reason),
        }
    }
}

impl<'e> Whole<'e> {
    /// Of a letter.
    pub fn of(entry: &'e Entry) -> Self {
        let letter = &entry.stored.letter;
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(Bytes::of);
        let header = |(name, value): &'e (String, _)| Header { name, value: bytes(value) };
        Self {
            message: entry.place().to_string(),
            facts: Facts::of(entry),
            reason: &letter.reason,
            key: bytes(&letter.key),
            value: bytes(&letter.value),
            headers: letter.headers.iter().map(header).collect(),
            action: entry.mark.as_ref(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let Self { message, facts, reason, key, value, headers, action } = self;
        let Facts { stream, kind, path, time, nova_version, letter: [partition, offset], .. } = facts;
        let mut text = format!("{message}\n");
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<9} {}", value.replace('\n', "\n            "));
        };
        line("stream", stream);
        line("refused", &format!("{kind}: {}", reason.chars().map(visible).collect::<String>()));
        line("place", if path.is_empty() { "the whole message" } else { path });
        line("written", &format!("{} by nova {nova_version}", time.as_deref().unwrap_or("-")));
        line("letter", &format!("partition {partition}, offset {offset}"));
        match action {
            None => line("status", "open"),
            Some(mark) => {
                let LetterMark { at, actor, rows, reason, .. } = mark;
                let status = match facts.status {
                    Status::Discarded => "discarded".to_owned(),
                    _ => format!("retried, {rows} rows"),
                };
                line("status", format!("{status}, {at} by {actor} {reason}").trim_end());
            }
        }
        if !facts.lacks.is_empty() {
            line("lacks", &facts.lacks.join(", "));
        }
        if facts.truncated {
            line("cut", &format!("of {} bytes, SHA-256 {}", facts.value_bytes, facts.value_sha256));
        }
        for header in headers {
            let name = header.name.chars().map(visible).collect::<String>();
            line("header", &format!("{name}: {}", Bytes::shown(header.value.as_ref())));
        }
        line("key", &Bytes::shown(key.as_ref()));
        line("value", &Bytes::shown(value.as_ref()));
        text
    }
}

/// A time in milliseconds since 1970 as RFC 3339.
pub fn time(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use nova_clickhouse::LetterAction;

    use super::super::scan::entry;
    use super::*;

    #[test]
    fn a_line_tells_nothing_of_the_message_itself() {
        let line = serde_json::to_string(&Line::of(&entry(5, None))).unwrap();
        let expected = "{\"message\":\"cdc.likes/3/5\",\"stream\":\"likes\",\"kind\":\"unmappable\",\
            \"path\":\"after.dwell_time_ms\",\"time\":\"2026-01-31T06:00:00.005Z\",\"nova_version\":\"0.1.0\",\
            \"status\":\"open\",\"letter\":[1,9],\"value_bytes\":2,\
            \"value_sha256\":\"ea5dbf9596d187e9500f23e9a680109475341cf4e81f7e043f7d97152c10772f\",\"truncated\":false,\
            \"reason\":\"`…` does not fit UInt8\"}";
        assert_eq!(line, expected);
    }

    #[test]
    fn everything_of_a_letter_is_shown() {
        let mut entry = entry(5, Some(LetterAction::Discarded));
        entry.stored.letter.key = Some(b"a\x1b[2J".to_vec());
        entry.stored.lacks = vec!["nova.time"];
        if let Some(mark) = &mut entry.mark {
            mark.at = "2026-01-31 07:00:00.000".to_owned();
        }
        let text = Whole::of(&entry).text();
        let expected = "cdc.likes/3/5
  stream    likes
  refused   unmappable: `300` does not fit UInt8
  place     after.dwell_time_ms
  written   2026-01-31T06:00:00.005Z by nova 0.1.0
  letter    partition 1, offset 9
  status    discarded, 2026-01-31 07:00:00.000 by me because
  lacks     nova.time
  header    id: 7
  header    none: (none)
  key       a\\u{1b}[2J
  value     (base64) /wA=
";
        assert_eq!(text, expected);
        let json = serde_json::to_value(Whole::of(&entry)).unwrap();
        assert_eq!(json["value"], serde_json::json!({"base64": "/wA="}));
        assert_eq!(json["headers"][0], serde_json::json!({"name": "id", "value": {"text": "7"}}));
        assert_eq!(json["action"]["reason"], "because");
    }
}
