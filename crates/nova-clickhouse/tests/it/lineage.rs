//! `TableSink::present` on the real engine: the answer is what the table has, row for row.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use nova_clickhouse::{Client, TableSink};
use nova_pipeline::{ErrorKind, Ranges, RowId, Sink as _};
use uuid::Uuid;

use crate::recovery::{TABLE, migrated};
use crate::server::{Server, number, sink};

async fn events(client: &Client) -> TableSink {
    sink(client, TABLE, &["event_time"]).await
}

fn event(offset: i64) -> Uuid {
    Uuid::from_u128(offset.unsigned_abs().into())
}

/// One row in the month, for a message.
async fn add(client: &Client, topic: &str, month: u8, (partition, offset, ordinal): (i32, i64, u8)) {
    let topic = topic.replace('\\', "\\\\").replace('\'', "\\'");
    let sql = format!(
        "INSERT INTO {TABLE} (event_time, topic, kafka_partition, kafka_offset, ordinal, event_id) \
         SETTINGS deduplicate_insert = 'disable' VALUES \
         ('2026-{month:02}-01', '{topic}', {partition}, {offset}, {ordinal}, '{}')",
        event(offset)
    );
    client.execute(&sql).await.unwrap();
}

fn ranges(ranges: &[(i32, std::ops::Range<i64>)]) -> Ranges {
    ranges.iter().cloned().collect()
}

async fn present(sink: &TableSink, topic: &str, wanted: &Ranges) -> Vec<(i32, i64, u8)> {
    let rows = sink.present(topic, wanted).await.unwrap();
    assert!(rows.iter().all(|row| row.event_id == event(row.offset)), "{rows:?}");
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|RowId { partition, offset, ordinal, .. }| (partition, offset, ordinal))
        .collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn rows_of_all_ranges_are_found_and_of_nothing_else() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    let sink = events(&client).await;
    let inside = [(0, 100, 0), (0, 100, 1), (0, 249, 0), (3, 40, 0), (3, 89, 1)];
    let outside = [(0, 99, 0), (0, 250, 0), (3, 39, 0), (3, 90, 0), (1, 100, 0), (1, 40, 0), (30, 40, 0)];
    for (month, row) in (1..).zip(inside.into_iter().chain(outside)) {
        add(&client, "cdc.likes", month, row).await;
    }
    for topic in ["cdc.like", "cdc.likes2", "cdc_likes", "CDC.likes", ""] {
        add(&client, topic, 1, (0, 101, 0)).await;
    }
    let wanted = ranges(&[(0, 100..250), (3, 40..90)]);
    assert_eq!(present(&sink, "cdc.likes", &wanted).await, inside);
    assert_eq!(present(&sink, "cdc.likes", &ranges(&[(2, 0..1_000)])).await, []);
    assert_eq!(present(&sink, "cdc.likes", &ranges(&[(0, 101..249)])).await, [], "between two rows");
    assert_eq!(present(&sink, "cdc.likes", &ranges(&[(0, 100..100)])).await, [], "an empty range");
    assert_eq!(present(&sink, "cdc.likes", &Ranges::default()).await, [], "no range at all");
    let widest = ranges(&[(i32::MAX, 0..i64::MAX), (3, 0..i64::MAX)]);
    assert_eq!(present(&sink, "cdc.likes", &widest).await, [(3, 39, 0), (3, 40, 0), (3, 89, 1), (3, 90, 0)]);
}

#[tokio::test]
async fn a_row_that_is_there_twice_comes_twice_before_and_after_merges() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    let sink = events(&client).await;
    for row in [(0, 1, 0), (0, 2, 0), (0, 2, 0), (0, 3, 0)] {
        add(&client, "cdc.likes", 5, row).await;
    }
    let (wanted, found) = (ranges(&[(0, 0..10)]), [(0, 1, 0), (0, 2, 0), (0, 2, 0), (0, 3, 0)]);
    assert_eq!(present(&sink, "cdc.likes", &wanted).await, found);
    client.execute(&format!("OPTIMIZE TABLE {TABLE} FINAL")).await.unwrap();
    let parts = format!("SELECT count() FROM system.parts WHERE active AND table = '{TABLE}'");
    assert_eq!(number(&client, &parts).await, 1);
    assert_eq!(present(&sink, "cdc.likes", &wanted).await, found);
}

#[tokio::test]
async fn names_that_need_quoting_are_taken_as_they_are() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    let topics =
        ["it's", "a\\b", "tab\there", "line\nfeed", "{topic:String}", "%", "a' OR '1'='1", "ü–日本", "a`b"];
    let sink = events(&client).await;
    for (offset, topic) in (0..).zip(topics) {
        add(&client, topic, 1, (0, offset, 0)).await;
    }
    for (offset, topic) in (0..).zip(topics) {
        assert_eq!(present(&sink, topic, &ranges(&[(0, 0..100)])).await, [(0, offset, 0)], "{topic:?}");
    }
    let odd = "CREATE TABLE nova.`odd ``t'able` AS nova.post_engagement_events";
    client.execute(odd).await.unwrap();
    let copy = format!("INSERT INTO `odd ``t'able` SELECT * FROM {TABLE} WHERE kafka_offset = 0");
    client.execute(&copy).await.unwrap();
    let odd = crate::server::sink(&client, "odd `t'able", &["event_time"]).await;
    assert_eq!(present(&odd, topics[0], &ranges(&[(0, 0..100)])).await, [(0, 0, 0)]);
}

#[tokio::test]
async fn a_hundred_partitions_are_one_question_and_a_missing_table_an_error() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    let sink = events(&client).await;
    let sql = format!(
        "INSERT INTO {TABLE} (event_time, topic, kafka_partition, kafka_offset) \
         SELECT '2026-01-01', 'cdc.likes', number % 150, 1000000000 + intDiv(number, 150) FROM numbers(1500)"
    );
    client.execute(&sql).await.unwrap();
    let wanted: Ranges = (0..100).map(|partition| (partition, 1_000_000_002..1_000_000_007)).collect();
    assert_eq!(sink.present("cdc.likes", &wanted).await.unwrap().len(), 500);
    client.execute(&format!("DROP TABLE {TABLE} SYNC")).await.unwrap();
    let error = sink.present("cdc.likes", &wanted).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaMismatch);
    assert!(error.message.contains(TABLE) && error.message.contains("cdc.likes"), "{error}");
}

#[tokio::test]
async fn a_batch_is_found_among_a_million_rows_through_the_index() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    // Two years of likes, offsets in the order of time as a topic has them, 12 partitions, one part a month.
    let fill = format!(
        "INSERT INTO {TABLE} (event_time, post_id, user_id, sign, topic, kafka_partition, kafka_offset) \
         SELECT toDateTime64('2024-01-01 00:00:00', 3, 'UTC') + toIntervalSecond(number * 63), \
         reinterpretAsUUID(toUInt128(number % 100)), reinterpretAsUUID(toUInt128(number)), 1, 'cdc.likes', \
         number % 12, intDiv(number, 12) FROM numbers(1000000) SETTINGS max_insert_block_size = 1000000"
    );
    client.execute(&fill).await.unwrap();
    let sink = events(&client).await;
    // 24,000 rows at the end, which a recovery asks for; and as many in the middle, of a long replay.
    for start in [81_300, 40_000] {
        let wanted: Ranges = (0..12).map(|partition| (partition, start..start + 2_000)).collect();
        let begun = Instant::now();
        let rows = sink.present("cdc.likes", &wanted).await.unwrap();
        let took = begun.elapsed();
        println!("{} rows among 1,000,000 in {took:?}", rows.len());
        assert_eq!(rows.len(), 24_000);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let plan = format!(
        "EXPLAIN indexes = 1 SELECT kafka_partition FROM {TABLE} WHERE topic = 'cdc.likes' \
         AND (kafka_partition = 0 AND kafka_offset >= 81300 AND kafka_offset < 83300)"
    );
    let plan = client.query_text(&plan, &[]).await.unwrap();
    let index = plan.split("by_offset").nth(1).unwrap();
    let granules = index.lines().find_map(|line| line.trim().strip_prefix("Granules: ")).unwrap();
    let (read, of) = granules.split_once('/').unwrap();
    println!("granules {granules}");
    let (read, of): (u32, u32) = (read.parse().unwrap(), of.parse().unwrap());
    assert!(read * 10 < of, "{plan}");
}
