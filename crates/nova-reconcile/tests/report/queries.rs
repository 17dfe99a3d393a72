//! The queries that a report shows are run as they stand, in a real ClickHouse.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_reconcile::{DifferenceKind, Report, render};
use serde_json::Value;

use crate::samples::{self, DAY, HOUR, add, difference};
use crate::server::Server;

/// The data of the page, as its script reads it.
fn data(report: &Report) -> Value {
    let html = render::html(report);
    let (_, rest) = html.split_once("<script id=\"data\" type=\"application/json\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[tokio::test]
async fn clickhouse_answers_them() {
    let server = Server::start().await;
    let client = server.client();
    let mut report = samples::well();
    report.streams.truncate(1);
    let stream = &mut report.streams[0];
    (stream.table, stream.topic) = ("odd `table`\\".to_owned(), "it's \\".to_owned());
    stream.table_time = "event time".to_owned();
    let extra = difference(DifferenceKind::Extra, 3, 7);
    let key = extra.source_key;
    add(stream, extra);
    client
        .execute(
            "CREATE TABLE `odd ``table``\\\\` (`event time` DateTime64(3, 'UTC'), sign Int8, source_key UUID, \
             source_lsn UInt64, topic String, kafka_partition UInt32, kafka_offset UInt64, ordinal UInt8) \
             ENGINE = MergeTree ORDER BY source_key",
        )
        .await
        .unwrap();
    // One row at the very beginning of its window, one just behind its end, one of another topic.
    let (begin, end) = (DAY + 3 * HOUR, DAY + 4 * HOUR);
    client
        .execute(&format!(
            "INSERT INTO `odd ``table``\\\\` SELECT fromUnixTimestamp64Milli(ms, 'UTC'), 1, '{key}', 5, of, 3, 40, 0 \
             FROM (SELECT arrayJoin([({begin}, 'it\\'s \\\\'), ({end}, 'it\\'s \\\\'), ({begin}, 'other')]) AS one, \
             one.1 AS ms, one.2 AS of)"
        ))
        .await
        .unwrap();
    let data = data(&report);
    let sql = |pointer: &str| data.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let count = sql("/streams/0/cells/3/sql/1");
    assert_eq!(client.query_text(&count, &[]).await.unwrap(), "1\n", "{count}");
    let history = sql("/streams/0/differences/0/sql/1");
    let rows = client.query_text(&history, &[]).await.unwrap();
    assert_eq!(rows.lines().count(), 2, "{history}\n{rows}");
    assert!(rows.contains(&key.to_string()), "{rows}");
}
