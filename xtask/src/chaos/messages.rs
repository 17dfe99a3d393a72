//! What the topics hold: every committed message, read by Kafka's own console consumer.
//!
//! Invariant: Nova has no part in this answer. A message that is neither a change, nor poison, nor a dead letter is an
//! error.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{ledger, poison};
use crate::stack::KafkaServer;
use crate::traffic::Table;

const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
/// Between headers, whose values may hold anything printable.
const SEPARATOR: char = '\u{1f}';
/// For what is absent.
const NULL: &str = "\u{1e}null";

/// A place in a stream's topic.
pub(super) type Place = (Table, u32, u64);

/// A change in a stream's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) table: Table,
    pub(super) partition: u32,
    pub(super) offset: u64,
    /// Debezium's `op`: c, u, d, r.
    pub(super) op: String,
    /// The key's fields, as in the text of a row.
    pub(super) key: String,
    /// The change's identity in PostgreSQL, with table, key and op: transaction and position in the WAL.
    pub(super) source: (Option<u64>, Option<u64>),
}

/// Poison in a stream's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: Place,
    /// Its number in the writer's list.
    pub(super) number: usize,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Letter {
    /// By name; each name comes once.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) value: String,
}

/// Everything in the topics.
#[derive(Debug, Clone, Default)]
pub(super) struct Messages {
    pub(super) changes: Vec<Record>,
    pub(super) poison: Vec<Found>,
    pub(super) letters: Vec<Letter>,
}

enum Message {
    Change(Record),
    Poison(Found),
    Letter(Letter),
}

#[derive(Deserialize)]
struct Value {
    op: String,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    table: String,
    #[serde(rename = "txId")]
    transaction: Option<u64>,
    lsn: Option<u64>,
}

impl Messages {
    /// The last offset of each partition that has messages.
    pub(super) fn ends(&self) -> BTreeMap<(Table, u32), u64> {
        let changes = self.changes.iter().map(|record| (record.table, record.partition, record.offset));
        let mut ends = BTreeMap::new();
        for (table, partition, offset) in changes.chain(self.poison.iter().map(|found| found.place)) {
            let end = ends.entry((table, partition)).or_default();
            *end = offset.max(*end);
        }
        ends
    }
}

/// The streams' topics; messages of aborted transactions are left out.
///
/// # Errors
/// When the topics cannot be read, or hold what nobody here writes.
pub(super) async fn read_streams(kafka: &KafkaServer) -> Result<Messages> {
    read(kafka, &Table::ALL.map(|table| table.topic().replace('.', "\\.")).join("|")).await
}

/// The dead letters.
///
/// # Errors
/// As for [`read_streams`].
pub(super) async fn read_letters(kafka: &KafkaServer) -> Result<Vec<Letter>> {
    Ok(read(kafka, "nova\\.dead-letters").await?.letters)
}

async fn read(kafka: &KafkaServer, topics: &str) -> Result<Messages> {
    let bootstrap = kafka.bootstrap();
    let mut args = vec!["--bootstrap-server", &bootstrap, "--include", topics, "--from-beginning"];
    args.extend(["--isolation-level", "read_committed", "--timeout-ms", "5000"]);
    let (separator, null) = (format!("headers.separator={SEPARATOR}"), format!("null.literal={NULL}"));
    let printed = ["print.partition=true", "print.offset=true", "print.headers=true", "print.key=true"];
    for property in printed.into_iter().chain([separator.as_str(), null.as_str()]) {
        args.extend(["--formatter-property", property]);
    }
    let text = kafka.tool(CONSUMER, &args).await?;
    let mut messages = Messages::default();
    for line in text.lines().filter(|line| line.starts_with("Partition:")) {
        match parse(line).with_context(|| line.chars().take(200).collect::<String>())? {
            Message::Change(record) => messages.changes.push(record),
            Message::Poison(found) => messages.poison.push(found),
            Message::Letter(letter) => messages.letters.push(letter),
        }
    }
    Ok(messages)
}

/// `Partition:0⇥Offset:12⇥name:value␟…⇥key⇥value`.
fn parse(line: &str) -> Result<Message> {
    let mut fields = line.splitn(5, '\t');
    let mut field = |prefix| {
        let field = fields.next().context("a field is missing")?;
        field.strip_prefix(prefix).context("an unexpected field")
    };
    let partition = field("Partition:")?.parse()?;
    let offset = field("Offset:")?.parse()?;
    let headers = field("")?.split(SEPARATOR).filter_map(|header| header.split_once(':'));
    let headers: BTreeMap<String, String> =
        headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (key, value) = (field("")?, field("")?);
    if headers.contains_key("nova.stream") {
        return Ok(Message::Letter(Letter { headers, value: value.to_owned() }));
    }
    if let Some(mark) = headers.get(poison::HEADER) {
        let (table, number) = mark.split_once('/').context("a mark without a table")?;
        let place = (ledger::table(table)?, partition, offset);
        return Ok(Message::Poison(Found { place, number: number.parse()? }));
    }
    if let Some(seq) = headers.get("seq") {
        return event(&headers, partition, offset, seq);
    }
    let Value { op, source } = serde_json::from_str(value)?;
    let table = ledger::table(&source.table)?;
    let key = key_of(table, key)?;
    let source = (source.transaction, source.lsn);
    Ok(Message::Change(Record { table, partition, offset, op, key, source }))
}

/// An event of the outbox, as the router's headers tell of it. Whether a snapshot has read it they do not say.
fn event(headers: &BTreeMap<String, String>, partition: u32, offset: u64, seq: &str) -> Result<Message> {
    let (table, op) = (Table::Outbox, "c".to_owned());
    let key = headers.get("id").context("an event without `id`")?.clone();
    let transaction = headers.get("source_tx").context("an event without `source_tx`")?;
    let source = (Some(transaction.parse()?), Some(seq.parse()?));
    Ok(Message::Change(Record { table, partition, offset, op, key, source }))
}

/// A message's key as a row's text begins.
fn key_of(table: Table, key: &str) -> Result<String> {
    let key: BTreeMap<String, serde_json::Value> = serde_json::from_str(key)?;
    let fields: &[&str] = if table == Table::Follows { &["follower_id", "followee_id"] } else { &["id"] };
    let field =
        |name: &&str| key.get(*name).and_then(|value| value.as_str()).context("a key without its field");
    Ok(fields.iter().map(field).collect::<Result<Vec<_>>>()?.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &str =
        "{\"op\":\"u\",\"after\":{\"a\":\"\\t\"},\"source\":{\"table\":\"likes\",\"txId\":7,\"lsn\":9}}";

    #[test]
    fn reads_a_change() {
        let line = format!("Partition:3\tOffset:12\t__debezium.context.taskId:0\t{{\"id\":\"k\"}}\t{CHANGE}");
        let Message::Change(record) = parse(&line).unwrap() else { panic!("no change") };
        assert_eq!((record.table, record.partition, record.offset), (Table::Likes, 3, 12));
        assert_eq!((record.op.as_str(), record.key.as_str(), record.source), ("u", "k", (Some(7), Some(9))));
        assert!(parse("Partition:3\tOffset:12").is_err());
    }

    #[test]
    fn reads_an_event_by_its_headers() {
        let headers = format!("id:e{SEPARATOR}seq:9{SEPARATOR}source_tx:7");
        let Message::Change(record) =
            parse(&format!("Partition:3\tOffset:12\t{headers}\t\"p\"\t{{}}")).unwrap()
        else {
            panic!("no change")
        };
        assert_eq!((record.table, record.op.as_str(), record.key.as_str()), (Table::Outbox, "c", "e"));
        assert_eq!(record.source, (Some(7), Some(9)));
    }

    #[test]
    fn tells_poison_and_letters_by_their_headers() {
        let line = format!("Partition:3\tOffset:12\tchaos.poison:posts/5\t{NULL}\tno JSON");
        let Message::Poison(found) = parse(&line).unwrap() else { panic!("no poison") };
        assert_eq!(found, Found { place: (Table::Posts, 3, 12), number: 5 });
        let line = format!(
            "Partition:0\tOffset:1\tchaos.poison:posts/5{SEPARATOR}nova.stream:posts{SEPARATOR}nova.reason:a:b, c\t{NULL}\tno JSON"
        );
        let Message::Letter(letter) = parse(&line).unwrap() else { panic!("no letter") };
        assert_eq!((letter.headers["nova.reason"].as_str(), letter.value.as_str()), ("a:b, c", "no JSON"));
    }
}
