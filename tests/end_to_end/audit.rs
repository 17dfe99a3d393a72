//! `nova audit`: it agrees with everything that rightly happened, and finds exactly what somebody did to the table.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use xtask::installation::{clickhouse_number, clickhouse_rows};

use crate::checks::equal;
use crate::topics::{Record, produce, read_all};
use crate::wait::{s, until};
use crate::world::{Answer, World, ended};

const TOPIC: &str = "cdc.likes";
/// Copied from the likes' table; written by a stream of its own.
const TABLE: &str = "nova.audit_likes";

/// Partition and offset.
type Place = (i64, i64);

/// What lies in the topic besides Debezium's messages.
struct Planted {
    repeated: Place,
    poison: Place,
}

/// GIVEN traffic with poison, changes told twice and a state read again / WHEN it has been read / THEN every offset is
/// accounted for, also while the application goes on writing; WHEN rows are deleted, doubled, altered and invented / THEN
/// these are found, and nothing else.
pub(crate) async fn audit(world: &mut World) -> Result<()> {
    world.traffic(3, 150.0).await?;
    equal(world).await?;
    let planted = plant(world).await?;
    let load = world.load(100.0);
    load.around(async {
        for _ in 0..2 {
            load.goes_on_for(50).await?;
            agrees(&world.nova(&["audit", "-o", "json"]).await?)?;
        }
        Ok(())
    })
    .await?;
    equal(world).await?;

    let streams = read_into_own_table(world).await?;
    let args = ["audit", "--streams", &streams, "--set", "kafka.group_prefix=audit"];
    let report = agrees(&world.nova(&[&args[..], &["-o", "json"]].concat()).await?)?;
    everything_happened(&report["streams"][0])?;
    narrowed(world, &args, planted.poison).await?;
    let expected = corrupt(world, &planted).await?;
    finds(&world.nova(&[&args[..], &["-o", "json"]].concat()).await?, &expected)?;
    let text = world.nova(&args).await?;
    ensure!(
        text.code == Some(3) && text.stdout.contains("dwell_time_ms: \"0\" in the message, \"77\""),
        "{text:?}"
    );
    ensure!(text.stderr.contains("6 findings in: audited") && text.stderr.contains(" a second"), "{text:?}");
    world.clickhouse()?.query(&format!("DROP TABLE {TABLE} SYNC")).await?;
    Ok(())
}

/// Writes an insert once more, a like as a snapshot would read it, what is no JSON, and a tombstone.
async fn plant(world: &World) -> Result<Planted> {
    let brokers = world.brokers()?;
    let mut there = Vec::new();
    for record in read_all(&brokers, TOPIC)?.into_iter().rev() {
        let value: Value =
            serde_json::from_slice(record.value.as_deref().unwrap_or(b"null")).unwrap_or_default();
        let Some(id) = value["after"]["id"].as_str().filter(|_| value["op"] == "c") else { continue };
        let is_there = "SELECT count(*) FROM likes WHERE id = $1::uuid";
        let count: i64 = sqlx::query_scalar(is_there).bind(id).fetch_one(world.postgres()).await?;
        if count == 1 {
            there.push((record, value));
        }
        if there.len() == 2 {
            break;
        }
    }
    let (known, mut value) = there.pop().context("no insert of a like that is there")?;
    let (insert, _) = there.pop().context("only one insert of a like that is there")?;
    value["op"] = json!("r");
    value["source"]["snapshot"] = json!("incremental");
    let read = Record { value: Some(serde_json::to_vec(&value)?), ..known };
    let poison = Record { value: Some(b"no JSON at all".to_vec()), ..insert.clone() };
    let tombstone = Record { value: None, ..insert.clone() };
    let written = produce(&brokers, TOPIC, vec![insert, read, poison, tombstone]).await?;
    let place = |at: usize| written.get(at).map(|record| (record.partition.into(), record.offset));
    let (repeated, poison) = place(0).zip(place(2)).context("not written")?;
    Ok(Planted { repeated, poison })
}

/// Lets a stream of its own read the topic into a table of its own; answers the file that declares it.
async fn read_into_own_table(world: &World) -> Result<String> {
    let clickhouse = world.clickhouse()?;
    clickhouse.query(&format!("CREATE TABLE {TABLE} AS nova.post_engagement_events")).await?;
    let file = world.stack.run_dir.subdir("streams")?.join("audit.toml");
    std::fs::write(&file, STREAMS)?;
    let streams = file.display().to_string();
    let args = ["audit", "--from-beginning", "--set", "kafka.group_prefix=audit", "--streams", &streams];
    let worker = world.installation.run_worker("audit", &args).await?;
    let of_likes = format!("SELECT count() FROM nova.post_engagement_events WHERE topic = '{TOPIC}'");
    let wanted = clickhouse_number(clickhouse, &of_likes).await?;
    until("the other stream has read the likes", s(60), async || {
        let found = clickhouse_number(clickhouse, &format!("SELECT count() FROM {TABLE}")).await?;
        ensure!(found == wanted, "{found} of {wanted} rows");
        Ok(())
    })
    .await?;
    let code = ended(&worker.process, Signal::SIGTERM).await?;
    ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
    Ok(streams)
}

/// The report of an audit without findings, whose sums are right.
fn agrees(answer: &Answer) -> Result<Value> {
    ensure!(answer.code == Some(0), "{answer:?}");
    let report: Value = serde_json::from_str(&answer.stdout)?;
    for stream in report["streams"].as_array().context("no streams")? {
        ensure!(stream["verdict"] == "agrees" && stream["findings"] == json!([]), "{stream}");
        adds_up(stream)?;
    }
    Ok(report)
}

/// Consumed is rows, skips by reason, dead letters and gaps, in every partition.
fn adds_up(stream: &Value) -> Result<()> {
    for part in stream["partitions"].as_array().context("no partitions")? {
        let counts = &part["counts"];
        let number = |value: &Value| value.as_i64().unwrap_or(i64::MIN);
        let skipped: i64 = counts["skipped"].as_object().context("no skips")?.values().map(number).sum();
        let others: i64 =
            ["rows", "dead_letters", "gaps", "wrong"].iter().map(|name| number(&counts[*name])).sum();
        let consumed = number(&part["to"]) - number(&part["from"]);
        let owed = if part["committed"].is_null() { &part["from"] } else { &part["committed"] };
        ensure!(part["from"] == 0 && part["to"] == *owed, "{part}");
        ensure!(skipped + others == consumed && number(&counts["offsets"]) == consumed, "{part}");
    }
    Ok(())
}

fn everything_happened(stream: &Value) -> Result<()> {
    let parts = stream["partitions"].as_array().context("no partitions")?;
    let sum = |pointer: &str| -> i64 {
        parts.iter().filter_map(|part| part["counts"].pointer(pointer)?.as_i64()).sum()
    };
    for pointer in ["/rows", "/dead_letters", "/gaps", "/skipped/tombstone"] {
        ensure!(sum(pointer) > 0, "no {pointer}: {stream}");
    }
    for pointer in ["/skipped/repeated", "/skipped/already_there"] {
        ensure!(sum(pointer) >= 1, "no {pointer}: {stream}");
    }
    Ok(())
}

/// A range, a partition, lines of JSON; and what cannot be.
async fn narrowed(world: &World, args: &[&str], (partition, offset): Place) -> Result<()> {
    let (partition, from, to) = (partition.to_string(), offset.to_string(), (offset + 1).to_string());
    let one = ["--partition", &partition, "--from", &from, "--to", &to, "-o", "jsonl"];
    let answer = world.nova(&[args, &one[..]].concat()).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let lines: Vec<Value> = answer.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(lines.len() == 2 && lines[0]["type"] == "partition" && lines[1]["type"] == "stream", "{lines:?}");
    ensure!(lines[0]["counts"]["offsets"] == 1 && lines[0]["counts"]["dead_letters"] == 1, "{lines:?}");
    let answer = world.nova(&[args, &["--partition", "99"]].concat()).await?;
    ensure!(answer.code == Some(2) && answer.stderr.contains("no partition 99"), "{answer:?}");
    let answer = world.nova(&[args, &["--from", "9999-01-01T00:00:00Z"]].concat()).await?;
    ensure!(answer.code == Some(0) && answer.stdout.contains("0 offsets"), "{answer:?}");
    Ok(())
}

/// Does to the table what nobody should; answers kind, partition, offset and ordinal of each finding that it must make.
async fn corrupt(world: &World, planted: &Planted) -> Result<BTreeSet<String>> {
    let clickhouse = world.clickhouse()?;
    let (partition, repeated) = planted.repeated;
    let sql = format!(
        "SELECT kafka_partition, kafka_offset FROM {TABLE} WHERE sign = 1 AND kafka_partition != {partition} \
         ORDER BY kafka_offset LIMIT 4"
    );
    let rows = clickhouse_rows(clickhouse, &sql).await?;
    let place = |row: &Vec<String>| match row.as_slice() {
        [partition, offset] => Some((partition.parse().ok()?, offset.parse().ok()?)),
        _ => None,
    };
    let places: Vec<Place> = rows.iter().filter_map(place).collect();
    let [deleted, doubled, altered, beyond] = places[..] else { anyhow::bail!("too few rows: {rows:?}") };
    let gap = gap(world)?;
    let at =
        |(partition, offset): Place| format!("kafka_partition = {partition} AND kafka_offset = {offset}");
    let insert = format!("INSERT INTO {TABLE} SETTINGS deduplicate_insert = 'disable' SELECT");
    let sync = "SETTINGS mutations_sync = 2";
    for sql in [
        format!("ALTER TABLE {TABLE} DELETE WHERE {} {sync}", at(deleted)),
        format!("ALTER TABLE {TABLE} UPDATE dwell_time_ms = 77 WHERE {} {sync}", at(altered)),
        format!("{insert} * FROM {TABLE} WHERE {}", at(doubled)),
        format!("{insert} * REPLACE (toUInt8(9) AS ordinal) FROM {TABLE} WHERE {}", at(beyond)),
        format!(
            "{insert} * REPLACE (toUInt32({}) AS kafka_partition, toUInt64({}) AS kafka_offset, \
             generateUUIDv4() AS event_id) FROM (SELECT * FROM {TABLE} WHERE {} AND ordinal = 0)",
            gap.0,
            gap.1,
            at(beyond)
        ),
        // The change that was told twice now has rows of both messages.
        format!(
            "{insert} * REPLACE (toUInt64({repeated}) AS kafka_offset) FROM (SELECT * FROM {TABLE} WHERE {} AND ordinal = 0)",
            at(first_telling(world, planted)?)
        ),
        // A repair is nobody's finding.
        format!(
            "{insert} * REPLACE (toUInt32(2147483647) AS kafka_partition, generateUUIDv4() AS event_id) \
             FROM (SELECT * FROM {TABLE} WHERE {} AND ordinal = 0)",
            at(beyond)
        ),
    ] {
        clickhouse.query(&sql).await.with_context(|| sql.clone())?;
    }
    let expected = [
        ("missing", deleted, json!(0)),
        ("altered", altered, json!(0)),
        ("doubled", doubled, json!(0)),
        ("unexpected", beyond, json!(9)),
        ("no_message", gap, json!(0)),
        ("doubled", planted.repeated, Value::Null),
    ];
    Ok(expected
        .into_iter()
        .map(|(kind, (partition, offset), ordinal)| json!([kind, partition, offset, ordinal]).to_string())
        .collect())
}

/// Where the change that was told twice was told first.
fn first_telling(world: &World, planted: &Planted) -> Result<Place> {
    let records = read_all(&world.brokers()?, TOPIC)?;
    let is_second = |record: &&Record| (i64::from(record.partition), record.offset) == planted.repeated;
    let second = records.iter().find(is_second).context("the repeat is gone")?;
    let first = records.iter().find(|record| record.value == second.value).context("no first telling")?;
    Ok((first.partition.into(), first.offset))
}

/// An offset between two messages that is none.
fn gap(world: &World) -> Result<Place> {
    let mut offsets: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
    for record in read_all(&world.brokers()?, TOPIC)? {
        offsets.entry(record.partition).or_default().insert(record.offset);
    }
    let gap = |(partition, offsets): (i32, BTreeSet<i64>)| {
        let (first, last) = (*offsets.first()?, *offsets.last()?);
        let gap = (first..last).find(|offset| !offsets.contains(offset))?;
        Some((i64::from(partition), gap))
    };
    offsets.into_iter().find_map(gap).context("the topic has no gap")
}

fn finds(answer: &Answer, expected: &BTreeSet<String>) -> Result<()> {
    ensure!(answer.code == Some(3), "{answer:?}");
    let report: Value = serde_json::from_str(&answer.stdout)?;
    let stream = &report["streams"][0];
    adds_up(stream)?;
    let findings = stream["findings"].as_array().context("no findings")?;
    let found: BTreeSet<String> = findings
        .iter()
        .map(|found| {
            json!([found["kind"], found["partition"], found["offset"], found["ordinal"]]).to_string()
        })
        .collect();
    ensure!(found == *expected, "found {findings:#?}\ninstead of {expected:#?}");
    ensure!(found.len() == findings.len(), "the same finding twice: {findings:#?}");
    ensure!(stream["repair_rows"] == 1, "{} rows of repairs", stream["repair_rows"]);
    let altered = findings.iter().find(|found| found["kind"] == "altered").context("nothing altered")?;
    let column = json!([{"name": "dwell_time_ms", "expected": "0", "found": "77"}]);
    ensure!(altered["columns"] == column, "{altered}");
    Ok(())
}

const STREAMS: &str = r#"[streams.audited]
worker = "audit"
topic  = "cdc.likes"
format = "debezium"
source = "public.likes"
table  = "audit_likes"
key    = ["id"]
time   = "created_at"
[streams.audited.columns]
event_time    = { field = "created_at" }
event_type    = { value = "like" }
post_id       = { field = "post_id" }
user_id       = { field = "user_id" }
dwell_time_ms = { value = 0 }
"#;
