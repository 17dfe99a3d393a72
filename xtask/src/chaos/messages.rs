//! What the topics hold: every committed message, read by Kafka's own console consumer.
//!
//! Invariant: Nova has no part in this answer.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::ledger;
use crate::stack::KafkaServer;
use crate::traffic::Table;

const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// A message of one of the application's topics, or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) table: Table,
    pub(super) partition: u32,
    pub(super) offset: u64,
    /// Debezium's `op`: c, u, d, r.
    pub(super) op: String,
    /// Nova's own headers tell a dead letter.
    pub(super) dead_letter: bool,
}

#[derive(Deserialize)]
struct Value {
    op: String,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    table: String,
}

/// All messages, those of aborted transactions left out.
///
/// # Errors
/// When the topics cannot be read, or hold what no connector writes.
pub(super) async fn read(kafka: &KafkaServer) -> Result<Vec<Record>> {
    let topics = Table::ALL.map(|table| format!("cdc\\.{}", table.name())).join("|");
    let topics = format!("{topics}|nova\\.dead-letters");
    let bootstrap = kafka.bootstrap();
    let mut args = vec!["--bootstrap-server", &bootstrap, "--include", &topics, "--from-beginning"];
    args.extend(["--isolation-level", "read_committed", "--timeout-ms", "5000"]);
    for property in ["print.partition=true", "print.offset=true", "print.headers=true"] {
        args.extend(["--formatter-property", property]);
    }
    let text = kafka.tool(CONSUMER, &args).await?;
    text.lines().filter(|line| line.starts_with("Partition:")).map(parse).collect()
}

/// `Partition:0⇥Offset:12⇥name:value,…⇥{…}`.
fn parse(line: &str) -> Result<Record> {
    let mut fields = line.splitn(4, '\t');
    let mut field = |prefix| {
        let field = fields.next().context("a field is missing")?;
        field.strip_prefix(prefix).context("an unexpected field")
    };
    let record = (|| {
        let partition = field("Partition:")?.parse()?;
        let offset = field("Offset:")?.parse()?;
        let dead_letter = field("")?.contains("nova.stream:");
        let Value { op, source } = serde_json::from_str(field("")?)?;
        Ok::<_, anyhow::Error>(Record {
            table: ledger::table(&source.table)?,
            partition,
            offset,
            op,
            dead_letter,
        })
    })();
    record.with_context(|| line.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_the_console_consumer() {
        let line = "Partition:3\tOffset:12\t__debezium.context.taskId:0\t{\"op\":\"u\",\"after\":{\"a\":\"\\t\"},\"source\":{\"table\":\"likes\"}}";
        let record = parse(line).unwrap();
        assert_eq!((record.table, record.partition, record.offset), (Table::Likes, 3, 12));
        assert_eq!((record.op.as_str(), record.dead_letter), ("u", false));
        assert!(parse(&line.replace("taskId:0", "taskId:0,nova.stream:likes")).unwrap().dead_letter);
        assert!(parse("Partition:3\tOffset:12").unwrap_err().to_string().contains("Partition:3"));
    }
}
