//! One stream with differences of every kind made on purpose: exactly those are found, and nothing else.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use nova_reconcile::{
    CompareOptions, Difference, DifferenceKind, Scope, Snapshot, StreamReport, Touched, Verdict, compare,
};
use nova_streams::{Stream, StreamSet};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::servers::Servers;

const ROWS: i64 = 20_000;

/// The n-th row's UUID, made the same way by both servers.
pub(crate) const PG_ID: &str = "md5(n::text)::uuid";
pub(crate) const CH_ID: &str = "toUUID(concat(substring(m, 1, 8), '-', substring(m, 9, 4), '-', substring(m, 13, 4), '-', \
                     substring(m, 17, 4), '-', substring(m, 21)))";

pub(crate) async fn stream(servers: &Servers) -> Stream {
    servers
        .sql(&format!(
            "CREATE TABLE likes (id uuid PRIMARY KEY, at timestamptz NOT NULL, who text, n int); \
             INSERT INTO likes SELECT {PG_ID}, timestamptz '2026-01-01 00:00:00.0007Z' + n * interval '1 minute', \
             'user ' || n, n FROM generate_series(1, {ROWS}) AS n; ANALYZE likes"
        ))
        .await;
    let clickhouse = &servers.clickhouse;
    clickhouse
        .execute(
            "CREATE TABLE it.likes (event_time DateTime64(3, 'UTC'), who String, n Int32, kind Enum8('like' = 1), sign Int8, \
             event_id UUID, source_key UUID, source_lsn UInt64, source_tx UInt64, topic LowCardinality(String), \
             kafka_partition UInt32, kafka_offset UInt64, ordinal UInt8, \
             ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = MergeTree \
             PARTITION BY toYYYYMMDD(event_time) ORDER BY event_time SETTINGS non_replicated_deduplication_window = 100",
        )
        .await
        .unwrap();
    clickhouse
        .execute(&format!(
            "INSERT INTO it.likes SELECT toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + n * 60, concat('user ', n), n, \
             'like', 1, generateUUIDv4(), {CH_ID}, 1, 1, 'cdc.likes', 0, n, 0, toDateTime64('2026-01-20 00:00:00', 3, 'UTC') \
             FROM (SELECT number + 1 AS n, lower(hex(MD5(toString(n)))) AS m FROM numbers({ROWS})) \
             SETTINGS max_partitions_per_insert_block = 0"
        ))
        .await
        .unwrap();
    let text = "[streams.likes]\nworker = \"cdc\"\ntopic = \"cdc.likes\"\nformat = \"debezium\"\n\
                source = \"public.likes\"\ntable = \"likes\"\nkey = [\"id\"]\ntime = \"at\"\n\
                [streams.likes.columns]\nevent_time = { field = \"at\" }\nwho = { field = \"who\" }\n\
                n = { field = \"n\" }\nkind = { value = \"like\" }\n";
    StreamSet::parse("it.toml", text).unwrap().get("likes").unwrap().clone()
}

pub(crate) fn options() -> CompareOptions {
    CompareOptions { scope: Scope::default(), max_listed: 1_000, parallel: 2, touched: None }
}

async fn as_of(
    servers: &Servers,
    mut snapshot: Snapshot,
    stream: &Stream,
    options: &CompareOptions,
) -> StreamReport {
    let report = compare(&servers.clickhouse, &mut snapshot, stream, options).await;
    snapshot.close().await;
    report.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn now(servers: &Servers, stream: &Stream) -> StreamReport {
    as_of(servers, servers.snapshot().await, stream, &options()).await
}

pub(crate) async fn id(servers: &Servers, n: i64) -> Uuid {
    let sql = format!("SELECT {PG_ID} FROM (SELECT {n} AS n) AS one");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&servers.postgres).await.unwrap()
}

fn found(report: &StreamReport) -> Vec<(DifferenceKind, Uuid)> {
    let mut found: Vec<_> = report.differences.iter().map(|found| (found.kind, found.source_key)).collect();
    found.sort_unstable();
    found
}

fn of(report: &StreamReport, key: Uuid) -> &Difference {
    report.differences.iter().find(|found| found.source_key == key).unwrap()
}

fn value<'d>(columns: &'d [nova_reconcile::Column], name: &str) -> &'d str {
    columns.iter().find(|column| column.name == name).unwrap().value.as_deref().unwrap()
}

/// A row of ClickHouse once more, with changes: `SELECT * REPLACE (…)`.
pub(crate) async fn again(servers: &Servers, n: i64, changes: &str) {
    let replace = if changes.is_empty() { String::new() } else { format!(" REPLACE ({changes})") };
    let row = format!("SELECT * FROM it.likes WHERE n = {n} AND sign = 1 ORDER BY source_tx DESC LIMIT 1");
    let sql = format!("INSERT INTO it.likes SELECT *{replace} FROM ({row})");
    servers.clickhouse.execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_broken_on_purpose_is_found_and_nothing_else() {
    let servers = Servers::start().await;
    let stream = stream(&servers).await;
    let report = now(&servers, &stream).await;
    assert_eq!((report.verdict, report.listed_all), (Verdict::Equal, true));
    let rows: i64 = report.windows.iter().map(|window| window.postgres.rows).sum();
    assert_eq!(rows, ROWS);
    assert!(report.windows.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms), "a gap between windows");

    let mut ids = Vec::new();
    for n in 0..=12 {
        ids.push(id(&servers, n * 1_000).await);
    }
    // Lost, doubled, altered, and an hour late, as by a wrong time zone.
    servers.clickhouse.execute("DELETE FROM it.likes WHERE n = 1000").await.unwrap();
    again(&servers, 2_000, "").await;
    servers
        .clickhouse
        .execute("ALTER TABLE it.likes UPDATE who = 'x' WHERE n = 3000 SETTINGS mutations_sync = 2")
        .await
        .unwrap();
    again(&servers, 4_000, "event_time + 3600 AS event_time").await;
    again(&servers, 4_000, "-1 AS sign").await;
    // A delete that was lost, an update of which one half was lost, a row that PostgreSQL changed unseen.
    servers.sql("DELETE FROM likes WHERE n = 5000; UPDATE likes SET who = 'y' WHERE n IN (6000, 7000)").await;
    again(&servers, 6_000, "'y' AS who").await;
    // A row of another topic, and of a key that was never there.
    again(&servers, 8_000, "'cdc.others' AS topic").await;
    let stranger = Uuid::from_u128(7);
    again(&servers, 9_000, &format!("toUUID('{stranger}') AS source_key")).await;

    let report = now(&servers, &stream).await;
    use DifferenceKind::{Different, Doubled, Extra, Missing};
    let mut expected = vec![
        (Missing, ids[1]),
        (Doubled, ids[2]),
        (Different, ids[3]),
        (Different, ids[4]),
        (Extra, ids[5]),
        (Different, ids[6]),
        (Different, ids[7]),
        (Extra, stranger),
    ];
    expected.sort_unstable();
    assert_eq!((found(&report), report.listed_all), (expected, true));
    let tally = report.tally;
    assert_eq!((tally.missing, tally.extra, tally.doubled, tally.different), (1, 2, 1, 4));
    let in_windows: u64 = report.windows.iter().map(|window| window.tally.total()).sum();
    assert_eq!(in_windows, tally.total());

    let altered = of(&report, ids[3]);
    assert_eq!(value(altered.postgres.as_ref().unwrap(), "who"), "user 3000");
    assert_eq!(value(&altered.clickhouse[0].columns, "who"), "x");
    assert_eq!(altered.clickhouse[0].messages, ["cdc.likes/0/3000"]);
    let late = of(&report, ids[4]);
    assert_eq!(value(late.postgres.as_ref().unwrap(), "event_time"), "2026-01-03 18:40:00.000");
    assert_eq!(value(&late.clickhouse[0].columns, "event_time"), "2026-01-03 19:40:00.000");
    let half = of(&report, ids[6]);
    assert_eq!(half.clickhouse.len(), 2, "both states of the key are told, also the one that is right");
    assert_eq!(of(&report, ids[2]).clickhouse[0].sum, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_gone_is_counted_and_as_much_of_it_listed_as_wanted() {
    let servers = Servers::start().await;
    let stream = stream(&servers).await;
    servers.clickhouse.execute("ALTER TABLE it.likes DROP PARTITION 20260105").await.unwrap();
    let report = now(&servers, &stream).await;
    assert_eq!((report.tally.missing, report.tally.total(), report.listed_all), (1_440, 1_440, false));
    assert_eq!(report.differences.len(), 1_000);
    let few = CompareOptions { max_listed: 10_000, ..options() };
    let report = as_of(&servers, servers.snapshot().await, &stream, &few).await;
    assert_eq!((report.tally.missing, report.differences.len(), report.listed_all), (1_440, 1_440, true));

    let day = 86_400_000;
    let start = 1_767_225_600_000_i64;
    for (from, to, missing) in [(start, start + 4 * day, 0), (start + 4 * day, start + 5 * day, 1_440)] {
        let scope = Scope { since_ms: Some(from), until_ms: Some(to), incremental: false };
        let some = CompareOptions { scope, ..options() };
        let report = as_of(&servers, servers.snapshot().await, &stream, &some).await;
        assert_eq!(report.tally.missing, missing, "{from}");
    }
}

/// GIVEN a snapshot, and transactions before it, open at it and after it / WHEN all have ended and arrived / THEN both
/// sides are equal as of the snapshot, although they are not as of now.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_compared_with_what_it_sees_whatever_has_arrived_since() {
    let servers = Servers::start().await;
    let stream = stream(&servers).await;
    let mut open = servers.postgres.begin().await.unwrap();
    let transaction: i64 = sqlx::query_scalar("SELECT txid_current()").fetch_one(&mut *open).await.unwrap();
    sqlx::query("DELETE FROM likes WHERE n <= 100").execute(&mut *open).await.unwrap();
    // Somebody who begins later and ends earlier makes the open one lie between xmin and xmax.
    servers.sql("UPDATE likes SET who = 'before' WHERE n = 200").await;
    arrived(&servers, 200, "before", 3).await;

    let snapshot = servers.snapshot().await;
    assert!(snapshot.taken().running.contains(&transaction.unsigned_abs()), "{:?}", snapshot.taken());
    open.commit().await.unwrap();
    let lsn = snapshot.taken().lsn;
    servers
        .clickhouse
        .execute(&format!(
            "INSERT INTO it.likes SELECT * REPLACE (-1 AS sign, {transaction} AS source_tx, {lsn} AS source_lsn) \
             FROM it.likes WHERE n <= 100"
        ))
        .await
        .unwrap();
    let after: i64 = sqlx::query_scalar(
        "WITH made AS (UPDATE likes SET who = 'after' WHERE n = 300 RETURNING 1) \
                                         SELECT txid_current() FROM made",
    )
    .fetch_one(&servers.postgres)
    .await
    .unwrap();
    for (sign, who) in [(-1, "user 300"), (1, "after")] {
        again(
            &servers,
            300,
            &format!("{sign} AS sign, '{who}' AS who, {after} AS source_tx, {lsn} + 100 AS source_lsn"),
        )
        .await;
    }
    assert_eq!(as_of(&servers, snapshot, &stream, &options()).await.differences, []);
    assert_eq!(now(&servers, &stream).await.differences, [], "as of now");
}

/// The update of a row's `who`, as of a transaction long ended.
async fn arrived(servers: &Servers, n: i64, who: &str, transaction: i64) {
    again(servers, n, &format!("-1 AS sign, {transaction} AS source_tx")).await;
    again(servers, n, &format!("'{who}' AS who, {transaction} AS source_tx")).await;
}

/// GIVEN a row that was taken back since the last good run, and one that is gone without a trace / THEN a run over
/// touched windows finds the first, and a full one both.
#[tokio::test(flavor = "multi_thread")]
async fn touched_windows_are_those_with_new_rows_and_those_that_are_newer() {
    let servers = Servers::start().await;
    let stream = stream(&servers).await;
    again(&servers, 1_000, "-1 AS sign, now64(3) AS ingested_at").await;
    servers.clickhouse.execute("DELETE FROM it.likes WHERE n = 5000").await.unwrap();
    let since = |since_ms| CompareOptions { touched: Some(Touched { since_ms }), ..options() };

    let february = 1_769_904_000_000;
    let report = as_of(&servers, servers.snapshot().await, &stream, &since(february)).await;
    assert_eq!(found(&report), [(DifferenceKind::Missing, id(&servers, 1_000).await)]);
    assert_eq!(report.windows.len(), 1, "the only window with a new row");
    assert_eq!(report.windows[0].tally.missing, 1);
    // The rows end on 14 January: what is newer than the third is compared in any case.
    let third = 1_767_398_400_000;
    let report = as_of(&servers, servers.snapshot().await, &stream, &since(third)).await;
    assert_eq!(report.tally.missing, 2);
    assert_eq!(now(&servers, &stream).await.tally.missing, 2);
}
