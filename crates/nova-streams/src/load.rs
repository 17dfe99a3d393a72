//! Reads `streams.toml`: strict, and with the line of everything that is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nova_debezium::{BytesEncoding, TimeUnit};
use serde::Deserialize;
use toml::Spanned;

use crate::definition::{ColumnDeclaration, Location};
use crate::diagnostic::closest;
use crate::event;
use crate::plan::LINEAGE_COLUMNS;
use crate::{ColumnSource, Diagnostic, FieldSource, Format, OnMessage, Stream, StreamSet, StreamsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    streams: BTreeMap<String, Spanned<RawStream>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStream {
    worker: String,
    topic: Spanned<String>,
    format: Format,
    source: Spanned<String>,
    table: Spanned<String>,
    key: Spanned<Vec<String>>,
    time: Spanned<String>,
    #[serde(default = "halt")]
    on_truncate: OnMessage,
    #[serde(default = "skip")]
    on_message: OnMessage,
    columns: BTreeMap<String, Spanned<RawColumn>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    field: Option<String>,
    value: Option<toml::Value>,
    unit: Option<RawUnit>,
    encoding: Option<RawEncoding>,
    default: Option<toml::Value>,
}

#[derive(Deserialize)]
enum RawUnit {
    #[serde(rename = "ms")]
    Millis,
    #[serde(rename = "us")]
    Micros,
    #[serde(rename = "ns")]
    Nanos,
}

#[derive(Deserialize)]
enum RawEncoding {
    #[serde(rename = "base64")]
    Base64,
    #[serde(rename = "base64-url-safe")]
    Base64UrlSafe,
    #[serde(rename = "hex")]
    Hex,
}

fn halt() -> OnMessage {
    OnMessage::Halt
}

fn skip() -> OnMessage {
    OnMessage::Skip
}

impl StreamSet {
    /// Reads and checks a file of declarations.
    ///
    /// # Errors
    /// Every finding, with file and line: unreadable file, unknown keys, contradictions.
    pub fn load(path: &Path) -> Result<Self, StreamsError> {
        let file = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            let cure = "name the file with `--streams`, or `streams` in the configuration".to_owned();
            let problem = format!("cannot be read: {error}");
            StreamsError(vec![Diagnostic { file: file.clone(), line: 0, key: String::new(), problem, cure }])
        })?;
        Self::parse(&file, &text)
    }

    /// Checks declarations that are already in memory; `file` is named in findings.
    ///
    /// # Errors
    /// As [`StreamSet::load`].
    pub fn parse(file: &str, text: &str) -> Result<Self, StreamsError> {
        let raw: RawFile = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            let problem = error.message().trim_end().replace('\n', ", ");
            let cure = "see docs/streams.md for the keys of a stream".to_owned();
            StreamsError(vec![Diagnostic { file: file.to_owned(), line, key: String::new(), problem, cure }])
        })?;
        let mut checker = Checker { file, text, findings: Vec::new() };
        let streams: Vec<Stream> =
            raw.streams.into_iter().map(|(name, raw)| checker.stream(name, raw)).collect();
        if streams.is_empty() {
            checker.find(0, "streams", "no stream is declared", "declare one as `[streams.NAME]`");
        }
        if checker.findings.is_empty() { Ok(Self { streams }) } else { Err(StreamsError(checker.findings)) }
    }
}

/// Collects findings while raw declarations become streams.
struct Checker<'t> {
    file: &'t str,
    text: &'t str,
    findings: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn find(&mut self, at: usize, key: &str, problem: &str, cure: &str) {
        self.findings.push(Diagnostic {
            file: self.file.to_owned(),
            line: line_of(self.text, at),
            key: key.to_owned(),
            problem: problem.to_owned(),
            cure: cure.to_owned(),
        });
    }

    fn stream(&mut self, name: String, raw: Spanned<RawStream>) -> Stream {
        let start = raw.span().start;
        let raw = raw.into_inner();
        let key = format!("streams.{name}");
        if !is_name(&name) {
            self.find(
                start,
                &key,
                "a stream's name is part of group and metric names",
                "use a-z, 0-9, `-` and `_`",
            );
        }
        if raw.source.get_ref().split('.').filter(|part| !part.is_empty()).count() != 2 {
            let problem = format!("source `{}` is not a table", raw.source.get_ref());
            self.find(
                raw.source.span().start,
                &key,
                &problem,
                "write it as `schema.table`, for example `public.likes`",
            );
        }
        for (value, what) in [(&raw.topic, "topic"), (&raw.table, "table"), (&raw.time, "time")] {
            if value.get_ref().is_empty() {
                self.find(value.span().start, &format!("{key}.{what}"), "is empty", "name one");
            }
        }
        if raw.key.get_ref().is_empty() {
            let cure = "name the columns of the primary key, for example `key = [\"id\"]`";
            self.find(raw.key.span().start, &format!("{key}.key"), "is empty", cure);
        }
        if raw.format == Format::Envelope && raw.key.get_ref().as_slice() != ["id"] {
            let cure = "write `key = [\"id\"]`: the outbox's `id` is the event's id";
            self.find(raw.key.span().start, &format!("{key}.key"), "is not an event's identity", cure);
        }
        let columns = raw
            .columns
            .into_iter()
            .filter_map(|(column, declaration)| {
                let key = format!("{key}.columns.{column}");
                let start = declaration.span().start;
                let declared = self.column(&key, &column, declaration)?;
                if raw.format == Format::Envelope {
                    self.event_field(start, &key, &declared.source);
                }
                Some((column, declared))
            })
            .collect();
        Stream {
            name,
            worker: raw.worker,
            topic: raw.topic.into_inner(),
            format: raw.format,
            source: raw.source.into_inner(),
            table: raw.table.into_inner(),
            key: raw.key.into_inner(),
            time: raw.time.into_inner(),
            on_truncate: raw.on_truncate,
            on_message: raw.on_message,
            columns,
            location: Location { file: self.file.to_owned(), line: line_of(self.text, start) },
        }
    }

    /// A field of an event has a name that events know, and says by itself how it is to be read.
    fn event_field(&mut self, start: usize, key: &str, source: &ColumnSource) {
        let ColumnSource::Field(FieldSource { field, unit, encoding, .. }) = source else { return };
        if unit.is_some() || encoding.is_some() {
            self.find(start, key, "an event's fields have no `unit` and no `encoding`", "leave them out");
        }
        let known = || event::fields();
        if known().any(|name| name == field) {
            return;
        }
        let cure = match closest(field, known()) {
            Some(similar) => format!("did you mean `{similar}`?"),
            None => format!("write one of {}", known().collect::<Vec<_>>().join(", ")),
        };
        self.find(start, key, &format!("events have no field `{field}`"), &cure);
    }

    fn column(&mut self, key: &str, name: &str, raw: Spanned<RawColumn>) -> Option<ColumnDeclaration> {
        let start = raw.span().start;
        if LINEAGE_COLUMNS.contains(&name) {
            self.find(
                start,
                key,
                "is filled by Nova from the message's position",
                "leave it out of the stream",
            );
        }
        let source = match raw.into_inner() {
            RawColumn { field: Some(field), value: None, unit, encoding, default } => {
                let unit = unit.map(|unit| match unit {
                    RawUnit::Millis => TimeUnit::Millis,
                    RawUnit::Micros => TimeUnit::Micros,
                    RawUnit::Nanos => TimeUnit::Nanos,
                });
                let encoding = encoding.map(|encoding| match encoding {
                    RawEncoding::Base64 => BytesEncoding::Base64,
                    RawEncoding::Base64UrlSafe => BytesEncoding::Base64UrlSafe,
                    RawEncoding::Hex => BytesEncoding::Hex,
                });
                ColumnSource::Field(FieldSource { field, unit, encoding, default })
            }
            RawColumn { field: None, value: Some(value), unit: None, encoding: None, default: None } => {
                ColumnSource::Value(value)
            }
            _ => {
                let cure = "write `{ field = \"…\" }` (with `unit`, `encoding`, `default` as needed) or `{ value = … }`";
                self.find(start, key, "needs exactly one of `field` and `value`", cure);
                return None;
            }
        };
        Some(ColumnDeclaration { source, line: line_of(self.text, start) })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

/// The line of a byte position, from 1.
fn line_of(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count()
}
