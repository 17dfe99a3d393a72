//! What a comparison costs when nothing is wrong, against what PostgreSQL needs to scan and aggregate the table once.
//!
//! `cargo test --release -p nova-reconcile --test it cost -- --ignored --nocapture`; `COST_ROWS` sets the number of
//! rows, 10,000,000 otherwise.

use std::time::{Duration, Instant};

use nova_reconcile::{CompareOptions, PostgresAccess, Scope, Snapshot, Verdict, compare};
use nova_streams::StreamSet;

use crate::servers::Servers;

const LIMIT: f64 = 1.5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: minutes, and a machine at rest"]
async fn ten_million_equal_rows_cost_at_most_half_more_than_one_scan() {
    let rows: u64 = std::env::var("COST_ROWS").map_or(10_000_000, |rows| rows.parse().unwrap());
    let servers = Servers::start().await;
    servers
        .sql(&format!(
            "CREATE TABLE likes (id uuid PRIMARY KEY, post_id uuid NOT NULL, user_id uuid NOT NULL, created_at timestamptz NOT NULL); \
             INSERT INTO likes SELECT md5('i' || n)::uuid, md5('p' || n)::uuid, md5('u' || n)::uuid, \
             timestamptz '2026-01-01Z' + n * interval '10 ms' FROM generate_series(1, {rows}) AS n"
        ))
        .await;
    servers.sql("VACUUM ANALYZE likes").await;
    let id = |letter: &str| {
        let digits = format!("lower(hex(MD5(concat('{letter}', toString(number + 1)))))");
        format!(
            "toUUID(concat(substring({digits}, 1, 8), '-', substring({digits}, 9, 4), '-', substring({digits}, 13, 4), '-', substring({digits}, 17, 4), '-', substring({digits}, 21)))"
        )
    };
    for sql in [
        "CREATE TABLE it.likes (event_time DateTime64(3, 'UTC'), event_type Enum8('view' = 1, 'like' = 2), post_id UUID, \
         user_id UUID, dwell_time_ms UInt32, sign Int8, event_id UUID, source_key UUID, source_lsn UInt64, \
         source_tx UInt64, topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, ordinal UInt8) \
         ENGINE = MergeTree PARTITION BY toYYYYMM(event_time) ORDER BY (event_time, user_id)"
            .to_owned(),
        format!(
            "INSERT INTO it.likes SELECT toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + (number + 1) * toDecimal64(0.01, 2), \
             'like', {}, {}, 0, 1, generateUUIDv4(), {}, 1, 1, 'cdc.likes', 0, number, 0 FROM numbers({rows})",
            id("p"),
            id("u"),
            id("i")
        ),
    ] {
        servers.clickhouse.execute(&sql).await.unwrap();
    }
    let text = "[streams.likes]\nworker = \"cdc\"\ntopic = \"cdc.likes\"\nformat = \"debezium\"\n\
                source = \"public.likes\"\ntable = \"likes\"\nkey = [\"id\"]\ntime = \"created_at\"\n\
                [streams.likes.columns]\nevent_time = { field = \"created_at\" }\nevent_type = { value = \"like\" }\n\
                post_id = { field = \"post_id\" }\nuser_id = { field = \"user_id\" }\ndwell_time_ms = { value = 0 }\n";
    let streams = StreamSet::parse("cost.toml", text).unwrap();
    let stream = streams.get("likes").unwrap();

    let access = PostgresAccess { parallel: 1, ..servers.access.clone() };
    let options = CompareOptions { scope: Scope::default(), max_listed: 10, parallel: 1, touched: None };
    let (mut scan, mut comparison) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let mut connection = servers.postgres.acquire().await.unwrap();
        sqlx::raw_sql("SET max_parallel_workers_per_gather = 0; SET jit = off")
            .execute(&mut *connection)
            .await
            .unwrap();
        let begun = Instant::now();
        let sql = "SELECT count(*), sum(extract(epoch FROM created_at)) FROM likes";
        sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
        scan = scan.min(begun.elapsed());

        let mut snapshot = Snapshot::open(&access).await.unwrap();
        let begun = Instant::now();
        let report = compare(&servers.clickhouse, &mut snapshot, stream, &options).await.unwrap();
        comparison = comparison.min(begun.elapsed());
        snapshot.close().await;
        assert_eq!(report.verdict, Verdict::Equal);
    }
    let ratio = comparison.as_secs_f64() / scan.as_secs_f64();
    println!("{rows} rows: scan {scan:.2?}, comparison {comparison:.2?}, {ratio:.2} times");
    assert!(ratio <= LIMIT, "{ratio:.2} times");
}
