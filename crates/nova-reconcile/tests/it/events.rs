//! Events of every version, and what is none, against the outbox; days that are gone, whatever transactions overlapped.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use nova_clickhouse::{TableInfo, TableSink};
use nova_pipeline::{Block as _, MessageRows, Sink as _, Standing};
use nova_reconcile::{CompareOptions, DifferenceKind, Scope, Snapshot, StreamReport, Verdict, compare};
use nova_streams::{EventOrigin, Lineage, Mapped, Mapping, Stream, StreamSet, decode_event};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::servers::Servers;

/// Documents that are refused, or that PostgreSQL would read otherwise than the pipeline if it were asked naively.
const HOSTILE: [&str; 12] = [
    "[1, 2]",
    "\"text\"",
    "{}",
    r#"{"version":4,"event_id":"?","event_type":"view","timestamp":"2026-02-01T00:00:00Z"}"#,
    r#"{"version":3,"event_id":"?","event_type":"view","post_id":"?","user_id":"?","dwell_time_ms":1,"producer":"a/1","timestamp":"2026-02-30T00:00:00Z"}"#,
    r#"{"version":3,"event_id":"?","event_type":"view","post_id":"?","user_id":"?","dwell_time_ms":1,"producer":"a/1","timestamp":"infinity"}"#,
    r#"{"version":3,"event_id":"?","event_type":"view","post_id":"?","user_id":"?","dwell_time_ms":99999999999999999999,"producer":"a/1","timestamp":{"a":"now"}}"#,
    r#"{"version":1,"event_id":"?","event_type":"view","post_id":"';--","user_id":[],"timestamp":99999999999999999999}"#,
    r#"{"version":2,"event_id":"?","event_type":"like","post_id":"?","user_id":"?","dwell_time_ms":-1,"timestamp":1e300}"#,
    r#"{"version":3,"event_id":"?","event_type":"view","post_id":"?","user_id":"?","dwell_time_ms":1,"producer":"a/1","timestamp":"2024-02-29T23:59:59.999999999Z"}"#,
    r#"{"version":3,"event_id":"?","event_type":"share","post_id":"?","user_id":"?","dwell_time_ms":null,"producer":"a/1","timestamp":"2026-12-31T23:59:59.1239995Z"}"#,
    r#"{"version":1,"event_id":"?","event_type":"share","post_id":"?","user_id":"?","dwell_time_ms":86400000,"producer":"a/1","timestamp":946684800}"#,
];

struct Events {
    servers: Servers,
    stream: Stream,
    /// The number up to which ClickHouse has the events.
    delivered: i64,
}

impl Events {
    async fn start() -> Self {
        let servers = Servers::start().await;
        for migration in [
            include_str!("../../../../schemas/postgres/migrations/0001_users_and_posts.sql"),
            include_str!("../../../../schemas/postgres/migrations/0003_engagement_outbox.sql"),
            include_str!("../../../../schemas/postgres/migrations/0006_outbox_position.sql"),
        ] {
            servers.sql(migration).await;
        }
        servers
            .clickhouse
            .execute(
                "CREATE TABLE it.events (event_time DateTime64(3, 'UTC'), \
                 event_type Enum8('view' = 1, 'like' = 2, 'share' = 4), post_id UUID, dwell_time_ms UInt32, \
                 producer String, traceparent Nullable(String), sign Int8, event_id UUID, source_key UUID, \
                 source_lsn UInt64, source_tx UInt64, topic LowCardinality(String), kafka_partition UInt32, \
                 kafka_offset UInt64, ordinal UInt8) ENGINE = MergeTree ORDER BY event_time \
                 SETTINGS non_replicated_deduplication_window = 100",
            )
            .await
            .unwrap();
        let text = "[streams.engagement]\nworker = \"events\"\ntopic = \"events.engagement\"\nformat = \"envelope\"\n\
                    source = \"public.engagement_outbox\"\ntable = \"events\"\nkey = [\"id\"]\ntime = \"created_at\"\n\
                    [streams.engagement.columns]\nevent_time = { field = \"timestamp\" }\n\
                    event_type = { field = \"event_type\" }\npost_id = { field = \"post_id\" }\n\
                    dwell_time_ms = { field = \"dwell_time_ms\" }\nproducer = { field = \"producer\" }\n\
                    traceparent = { field = \"traceparent\" }\n";
        let stream = StreamSet::parse("it.toml", text).unwrap().get("engagement").unwrap().clone();
        Self { servers, stream, delivered: 0 }
    }

    /// Brings what was committed into ClickHouse as the pipeline does; answers the ids of what is no event.
    async fn deliver(&mut self) -> Vec<Uuid> {
        let rows: Vec<(Uuid, String, i64, i64)> = sqlx::query_as(
            "SELECT id, jsonb_strip_nulls(payload)::text, seq, source_tx FROM engagement_outbox WHERE seq > $1 ORDER BY seq",
        )
        .bind(self.delivered)
        .fetch_all(&self.servers.postgres)
        .await
        .unwrap();
        let clickhouse = &self.servers.clickhouse;
        let info = TableInfo::read(clickhouse, "events").await.unwrap();
        let mapping = Mapping::compile(&self.stream, &info.schema).unwrap();
        let sink = TableSink::new(clickhouse.clone(), &info, mapping.columns()).unwrap();
        let (mut block, mut refused) = (sink.block(), Vec::new());
        for (id, document, seq, transaction) in &rows {
            self.delivered = *seq;
            let (lsn, transaction) = (seq.unsigned_abs(), transaction.unsigned_abs());
            let origin = EventOrigin { seq: Some(lsn), tx_id: Some(transaction), sent_ms: None };
            let Ok(event) = decode_event(document.as_bytes(), origin) else {
                refused.push(*id);
                continue;
            };
            let lineage = Lineage { topic: "events.engagement", partition: 0, offset: lsn };
            let Ok(Mapped::Rows(rows)) = mapping.map(&event, lineage) else { panic!("{document}") };
            let (event_id, offset) = (event.event_id, *seq);
            let message =
                MessageRows { partition: 0, offset, event_id, lsn, standing: Standing::New, rows: &rows };
            block.push(&message).unwrap();
        }
        if block.rows() > 0 {
            sink.insert(&block, &Uuid::new_v4().to_string()).await.unwrap();
        }
        refused.sort_unstable();
        refused
    }

    async fn write(&self, id: Uuid, document: &Value) {
        sqlx::query(
            "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload) \
             VALUES ($1, 'engagement', $1, 'view', $2)",
        )
        .bind(id)
        .bind(document)
        .execute(&self.servers.postgres)
        .await
        .unwrap();
    }

    /// One transaction that began on this day of December 2025 and inserts now; `n` names its events.
    async fn write_on(&self, day: u8, n: &[u32]) {
        let values: Vec<String> = n
            .iter()
            .map(|n| {
                let id = key(*n);
                let document = view(id);
                format!("('{id}', 'engagement', '{id}', 'view', '{document}', '2025-12-{day:02} 23:00Z')")
            })
            .collect();
        self.servers
            .sql(&format!(
                "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload, created_at) VALUES {}",
                values.join(", ")
            ))
            .await;
    }

    async fn as_of(&self, mut snapshot: Snapshot) -> StreamReport {
        let options =
            CompareOptions { scope: Scope::default(), max_listed: 1_000, parallel: 2, touched: None };
        let report = compare(&self.servers.clickhouse, &mut snapshot, &self.stream, &options).await;
        snapshot.close().await;
        report.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn now(&self) -> StreamReport {
        self.as_of(self.servers.snapshot().await).await
    }

    /// Copies the rows of ClickHouse that a condition names, with changes.
    async fn again(&self, replace: &str, condition: &str) {
        let sql = format!(
            "INSERT INTO it.events SELECT * REPLACE ({replace}) FROM (SELECT * FROM it.events WHERE {condition})"
        );
        self.servers.clickhouse.execute(&sql).await.unwrap();
    }

    async fn forget(&self, condition: &str) {
        self.servers.clickhouse.execute(&format!("DELETE FROM it.events WHERE {condition}")).await.unwrap();
    }
}

fn key(n: u32) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n))
}

fn view(id: Uuid) -> Value {
    json!({
        "version": 3, "event_id": id, "event_type": "view", "post_id": id, "user_id": id, "dwell_time_ms": 5,
        "producer": "it/1", "timestamp": "2025-12-03T12:00:00.5Z"
    })
}

fn found(report: &StreamReport) -> Vec<(DifferenceKind, Uuid)> {
    let mut found: Vec<_> = report.differences.iter().map(|found| (found.kind, found.source_key)).collect();
    found.sort_unstable();
    found
}

/// The example documents of all schemas, valid and invalid.
fn examples() -> Vec<Value> {
    fn files(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, into);
            } else if path.components().any(|part| part.as_os_str() == "examples") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/events"), &mut paths);
    paths.iter().filter_map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_equal_and_what_is_no_event_is_missing_whatever_it_holds() {
    let mut events = Events::start().await;
    let documents: Vec<String> =
        examples().iter().map(Value::to_string).chain(HOSTILE.map(str::to_owned)).collect();
    let mut written = 0;
    for (n, text) in (1..).zip(&documents) {
        let mut document: Value =
            serde_json::from_str(&text.replace("\"?\"", &format!("\"{}\"", key(n)))).unwrap();
        // Examples share their ids; a broken one stays as it is.
        if let Some(id) =
            document.get_mut("event_id").filter(|id| id.as_str().is_some_and(|id| id.len() == 36))
        {
            *id = json!(key(n));
        }
        events.write(key(n), &document).await;
        written += 1;
    }
    let refused = events.deliver().await;
    assert!(refused.len() > 20 && written - refused.len() > 10, "{} of {written}", refused.len());
    let expected: Vec<_> = refused.iter().map(|id| (DifferenceKind::Missing, *id)).collect();
    let report = events.now().await;
    assert_eq!((found(&report), report.note), (expected, None));

    let good = written - refused.len();
    let keys: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM engagement_outbox WHERE NOT id = ANY($1) ORDER BY 1")
            .bind(&refused)
            .fetch_all(&events.servers.postgres)
            .await
            .unwrap();
    assert_eq!(keys.len(), good);
    // Each column of an event is compared.
    let changes = [
        "dwell_time_ms + 1 AS dwell_time_ms",
        "event_time + toIntervalMillisecond(1) AS event_time",
        "'x' AS producer",
        "generateUUIDv4() AS post_id",
        "if(event_type = 'view', 'share', 'view') AS event_type",
        "'t' AS traceparent",
    ];
    let mut expected: Vec<_> = refused.iter().map(|id| (DifferenceKind::Missing, *id)).collect();
    for (change, key) in changes.iter().zip(&keys) {
        let row = format!("source_key = '{key}'");
        events.again(&format!("{change}, 1 AS kafka_partition"), &row).await;
        events.again("-1 AS sign", &format!("{row} AND kafka_partition = 0")).await;
        expected.push((DifferenceKind::Different, *key));
    }
    expected.sort_unstable();
    assert_eq!(found(&events.now().await), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_gone_are_no_differences_however_transactions_overlapped() {
    let mut events = Events::start().await;
    events.servers.sql("SELECT nova_ensure_partitions('2025-12-01', '2025-12-05')").await;
    // Transactions of an earlier day insert after those of a later one.
    for (day, n) in [
        (1, vec![1, 2]),
        (2, vec![3, 4]),
        (1, vec![5, 6]),
        (3, vec![7]),
        (2, vec![8]),
        (4, vec![9, 10]),
        (3, vec![11]),
    ] {
        events.write_on(day, &n).await;
    }
    events.deliver().await;
    let equal = |report: &StreamReport| (report.verdict, found(report));
    let report = events.now().await;
    assert_eq!((equal(&report), report.note), ((Verdict::Equal, vec![]), None));

    events.servers.sql("DROP TABLE engagement_outbox_2025_12_01").await;
    let report = events.now().await;
    assert_eq!(equal(&report), (Verdict::Equal, vec![]));
    assert_eq!(
        report.note.as_deref(),
        Some("4 rows of ClickHouse are of days that the outbox no longer has: not compared")
    );
    // Out of order, and still there as a table of its own.
    events
        .servers
        .sql("ALTER TABLE engagement_outbox DETACH PARTITION engagement_outbox_2025_12_03 CONCURRENTLY")
        .await;
    let report = events.now().await;
    assert_eq!(equal(&report), (Verdict::Equal, vec![]));
    assert!(report.note.unwrap().starts_with("6 rows"));

    // A repair of an event whose day is gone since, with another transaction and position.
    events
        .again(
            "2147483647 AS kafka_partition, source_tx + 3 AS source_tx, 99999999 AS source_lsn, -1 AS sign",
            &one(5),
        )
        .await;
    events
        .again(
            "2147483647 AS kafka_partition, source_tx + 3 AS source_tx, 99999999 AS source_lsn, 7 AS dwell_time_ms",
            &one(5),
        )
        .await;
    assert_eq!(equal(&events.now().await), (Verdict::Equal, vec![]));

    // What arrived without a number is compared where the outbox has it.
    events.again("0 AS source_lsn, 0 AS source_tx, 1 AS kafka_partition", &one(3)).await;
    events.forget(&one(3)).await;
    events.again("0 AS source_lsn, 0 AS source_tx, 1 AS kafka_partition", &one(1)).await;
    events.forget(&one(1)).await;
    let report = events.now().await;
    assert_eq!(equal(&report), (Verdict::Equal, vec![]));
    assert!(report.note.unwrap().contains("1 rows of ClickHouse arrived without the header `seq`"));

    // And everything else is still found.
    let stranger = Uuid::from_u128(7);
    events.again(&format!("toUUID('{stranger}') AS source_key"), &one(9)).await;
    events.again("1 AS sign", &one(10)).await;
    events.forget(&one(8)).await;
    let unnumbered = format!("source_key = '{}' AND kafka_partition = 1", key(3));
    events.again("9 AS dwell_time_ms, 2 AS kafka_partition", &unnumbered).await;
    let expected = [
        (DifferenceKind::Missing, key(8)),
        (DifferenceKind::Extra, stranger),
        (DifferenceKind::Doubled, key(10)),
        (DifferenceKind::Different, key(3)),
    ];
    assert_eq!(found(&events.now().await), expected);
}

fn one(n: u32) -> String {
    format!("source_key = '{}' AND kafka_partition = 0", key(n))
}

/// GIVEN a snapshot, and a transaction that is open at it / WHEN its events, and later ones, have arrived / THEN both
/// sides are equal as of the snapshot, and as of now.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_snapshot_does_not_see_are_left_out_on_both_sides() {
    let mut events = Events::start().await;
    events.write(key(1), &view(key(1))).await;
    let mut open = events.servers.postgres.begin().await.unwrap();
    let insert = |n: u32| {
        let (id, document) = (key(n), view(key(n)));
        AssertSqlSafe(format!(
            "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload) \
             VALUES ('{id}', 'engagement', '{id}', 'view', '{document}')"
        ))
    };
    sqlx::query(insert(2)).execute(&mut *open).await.unwrap();
    // It makes the open one lie between xmin and xmax, and the open one's number between two that are seen.
    events.write(key(3), &view(key(3))).await;
    let snapshot = events.servers.snapshot().await;
    sqlx::query(insert(4)).execute(&mut *open).await.unwrap();
    open.commit().await.unwrap();
    events.write(key(5), &view(key(5))).await;
    events.deliver().await;
    let report = events.as_of(snapshot).await;
    let rows: i64 = report.windows.iter().map(|window| window.clickhouse.rows).sum();
    assert_eq!((found(&report), rows), (vec![], 2));
    let report = events.now().await;
    let rows: i64 = report.windows.iter().map(|window| window.clickhouse.rows).sum();
    assert_eq!((found(&report), rows), (vec![], 5));
}
