//! Poison among the changes: messages that no connector writes, straight into the streams' topics.
//!
//! Invariant: each piece carries its number in a header that no other message has, so it is found again in its topic
//! and in its dead letter, also where the broker's answer was lost.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::produce::{NewRecord, produce};
use crate::traffic::Table;

/// The header with the number of a piece.
pub(super) const HEADER: &str = "chaos.poison";
/// Partitions of each topic, as the installation makes them.
const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(4);

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Poison {
    /// Its place in the list, from 0.
    pub(super) number: usize,
    pub(super) table: Table,
    pub(super) partition: u32,
    /// Where it lies; `None` when the broker did not answer: then it may be there or not.
    pub(super) offset: Option<u64>,
    /// Why it cannot become rows: `nova.error.kind` of its dead letter.
    pub(super) kind: &'static str,
    pub(super) key: Option<String>,
    pub(super) value: String,
}

/// Writes a piece or two a second for so long, and answers what was written.
pub(super) async fn spread(broker: &str, seed: u64, lasts: Duration) -> Vec<Poison> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x0070_6f69_736f_6e00);
    let (end, mut written) = (Instant::now() + lasts, Vec::new());
    loop {
        sleep(Duration::from_millis(rng.random_range(300..1_200))).await;
        if Instant::now() >= end {
            return written;
        }
        let mut poison = draw(&mut rng, written.len());
        poison.offset = write(broker, &poison).await;
        written.push(poison);
    }
}

async fn write(broker: &str, poison: &Poison) -> Option<u64> {
    let (topic, number) = (poison.table.topic(), poison.number.to_string());
    let record = NewRecord {
        topic,
        partition: i32::try_from(poison.partition).ok()?,
        key: poison.key.as_deref().map(str::as_bytes),
        value: poison.value.as_bytes(),
        header: (HEADER, &format!("{}/{number}", poison.table.name())),
    };
    timeout(PATIENCE, produce(broker, &record)).await.ok()?.ok()
}

fn draw(rng: &mut StdRng, number: usize) -> Poison {
    let table = Table::ALL[rng.random_range(0..Table::ALL.len())];
    let (kind, value) =
        if table == Table::Outbox { broken_event(rng, number) } else { broken_change(rng, table, number) };
    let key = rng.random_bool(0.5).then(|| format!("{{\"id\":\"{number}\"}}"));
    let partition = rng.random_range(0..PARTITIONS.cast_unsigned());
    Poison { number, table, partition, offset: None, kind, key, value }
}

fn broken_event(rng: &mut StdRng, number: usize) -> (&'static str, String) {
    let id = uuid::Uuid::from_u128(number as u128).to_string();
    let mut event = json!({
        "version": 2, "event_id": id, "timestamp": 1_763_726_400_000_i64, "event_type": "view", "post_id": id,
        "user_id": id, "dwell_time_ms": number
    });
    match rng.random_range(0..5) {
        0 => return ("malformed", format!("no JSON at all, number {number}")),
        1 => event["version"] = json!(4),
        2 => event["timestamp"] = json!("yesterday"),
        3 => event["event_type"] = json!("like"),
        _ => event["dwell_time_ms"] = json!(-1),
    }
    ("malformed", event.to_string())
}

fn broken_change(rng: &mut StdRng, table: Table, number: usize) -> (&'static str, String) {
    let mut change = insert(table, number);
    match rng.random_range(0..7) {
        0 => ("malformed", format!("no JSON at all, number {number}")),
        1 => ("malformed", "{\"op\":\"c\",\"after\":{".to_owned()),
        2 => ("malformed", json!({"hello": number}).to_string()),
        3 => {
            change["op"] = json!("?");
            ("malformed", change.to_string())
        }
        4 => {
            change["source"] = json!("elsewhere");
            ("malformed", change.to_string())
        }
        5 => {
            change["after"]["created_at"] = json!({"never": true});
            ("unmappable", change.to_string())
        }
        _ => {
            if let Some(after) = change["after"].as_object_mut() {
                after.remove("created_at");
            }
            ("unmappable", change.to_string())
        }
    }
}

/// An insert as Debezium writes it, and sound but for what is done to it.
fn insert(table: Table, number: usize) -> Value {
    let id = uuid::Uuid::from_u128(number as u128).to_string();
    let time = "2026-01-01T00:00:00.000000Z";
    let after = match table {
        Table::Posts => json!({"id": id, "author_id": id, "visibility": "public", "created_at": time}),
        Table::Follows => json!({"follower_id": id, "followee_id": id, "created_at": time}),
        Table::Comments | Table::Likes | Table::Outbox => {
            json!({"id": id, "post_id": id, "user_id": id, "created_at": time})
        }
    };
    let source = json!({
        "version": "3.7.0.Final", "connector": "postgresql", "name": "cdc", "ts_ms": 1, "ts_us": 1_000,
        "snapshot": "false", "db": "nova", "sequence": "[\"1\",\"1\"]", "schema": "public", "table": table.name(),
        "txId": 1, "lsn": 1
    });
    json!({"before": null, "after": after, "source": source, "op": "c", "ts_ms": 1})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_every_piece_is_one_line() {
        let some = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..50).map(|number| draw(&mut rng, number)).collect::<Vec<_>>()
        };
        assert_eq!(some(1), some(1));
        assert!(some(1).iter().all(|poison| !poison.value.contains(['\n', '\t'])));
        for kind in ["malformed", "unmappable"] {
            assert!(some(1).iter().any(|poison| poison.kind == kind), "{kind}");
        }
    }
}
