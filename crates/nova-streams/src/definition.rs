//! A stream as declared: topic, table, identity, and where each column's value comes from.

use std::collections::BTreeMap;

use nova_debezium::{BytesEncoding, TimeUnit};
use serde::Deserialize;

/// The columns of an outbox table that the EventRouter reads.
const OUTBOX_COLUMNS: [&str; 7] =
    ["id", "aggregate_type", "aggregate_id", "event_type", "payload", "seq", "source_tx"];

/// All declared streams, in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSet {
    pub(crate) streams: Vec<Stream>,
}

/// One declared stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Its name: `likes` of `[streams.likes]`.
    pub name: String,
    /// The worker that runs it: `nova run <worker>`.
    pub worker: String,
    /// The Kafka topic.
    pub topic: String,
    /// What the topic's messages are.
    pub format: Format,
    /// The PostgreSQL table behind the topic, `schema.table`; the outbox where the format is [`Format::Envelope`].
    pub source: String,
    /// The ClickHouse table.
    pub table: String,
    /// The columns that identify a row in PostgreSQL.
    pub key: Vec<String>,
    /// The PostgreSQL column with the row's time; windows of a reconciliation are cut along it.
    pub time: String,
    /// What a TRUNCATE does.
    pub on_truncate: OnMessage,
    /// What a logical message (`pg_logical_emit_message`) does.
    pub on_message: OnMessage,
    /// Where each column's value comes from, by column name.
    pub columns: BTreeMap<String, ColumnDeclaration>,
    /// The file and line of the declaration, for messages.
    pub location: Location,
}

/// Where a declaration stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// A column's source, with its place in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDeclaration {
    /// Where the value comes from.
    pub source: ColumnSource,
    /// The line, from 1.
    pub line: usize,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnSource {
    /// A column of the PostgreSQL row.
    Field(FieldSource),
    /// The same value in every row.
    Value(toml::Value),
}

/// A column of the PostgreSQL row, and how to read it where the message alone does not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSource {
    /// The column's name in PostgreSQL.
    pub field: String,
    /// The unit of a time that arrives as a number without schema.
    pub unit: Option<TimeUnit>,
    /// How bytes are written, for a `bytea` that becomes a `String`.
    pub encoding: Option<BytesEncoding>,
    /// Stands in for NULL in a column that is not `Nullable`.
    pub default: Option<toml::Value>,
}

/// What a topic's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Debezium's change messages, JSON, with or without embedded schema.
    Debezium,
    /// Events that applications write into an outbox table, as Debezium's EventRouter sends them.
    Envelope,
}

/// What to do with a message that cannot be rows by its nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMessage {
    /// Stop the stream and say so.
    Halt,
    /// Count it and go on.
    Skip,
}

impl StreamSet {
    /// All streams.
    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter()
    }

    /// Lets every stream write into another table, whose name is made of the declared one.
    pub fn rename_tables(&mut self, name: impl Fn(&str) -> String) {
        for stream in &mut self.streams {
            stream.table = name(&stream.table);
        }
    }

    /// The stream of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    /// The streams of a worker, in the order of their names.
    #[must_use]
    pub fn of_worker(&self, worker: &str) -> Vec<&Stream> {
        self.streams.iter().filter(|stream| stream.worker == worker).collect()
    }

    /// The names of all workers, each once.
    #[must_use]
    pub fn workers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.streams.iter().map(|stream| stream.worker.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Stream {
    /// The PostgreSQL columns that the stream reads: mapped fields or the outbox's own columns, key and time, each once.
    #[must_use]
    pub fn source_columns(&self) -> Vec<&str> {
        let mapped = self.columns.values().filter_map(|declaration| match &declaration.source {
            ColumnSource::Field(field) => Some(field.field.as_str()),
            ColumnSource::Value(_) => None,
        });
        let read: Vec<&str> = match self.format {
            Format::Debezium => mapped.collect(),
            Format::Envelope => OUTBOX_COLUMNS.to_vec(),
        };
        let mut names: Vec<&str> =
            read.into_iter().chain(self.key.iter().map(String::as_str)).chain([self.time.as_str()]).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
