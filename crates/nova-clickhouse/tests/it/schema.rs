//! What the server says about tables and grants.

use nova_clickhouse::{TableInfo, check_grant, grants};
use nova_pipeline::ErrorKind;
use nova_streams::ColumnType;
use serde::Deserialize;

use crate::server::Server;

#[tokio::test]
async fn columns_and_facts_are_the_tables() {
    let server = Server::start().await;
    let client = server.client();
    client
        .execute(
            "CREATE TABLE it.t (at DateTime64(3, 'UTC'), kind LowCardinality(String), n UInt8 DEFAULT 7, \
             m Map(String, String) DEFAULT map(), twice UInt16 ALIAS n * 2) \
             ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (at, kind) \
             SETTINGS non_replicated_deduplication_window = 123",
        )
        .await
        .unwrap();
    let info = TableInfo::read(&client, "t").await.unwrap();
    let columns: Vec<(&str, &ColumnType, bool)> =
        info.schema.columns.iter().map(|c| (c.name.as_str(), &c.column_type, c.has_default)).collect();
    assert_eq!(
        columns,
        [
            ("at", &ColumnType::DateTime64(3), false),
            ("kind", &ColumnType::String, false),
            ("n", &ColumnType::UInt(8), true),
            ("twice", &ColumnType::UInt(16), true),
        ]
    );
    assert_eq!(info.type_text("kind"), Some("LowCardinality(String)"));
    assert_eq!((info.engine.as_str(), info.deduplication_window), ("MergeTree", 123));
    assert_eq!((info.partition_key.as_str(), info.sorting_key.as_str()), ("toYYYYMM(at)", "at, kind"));
}

#[tokio::test]
async fn a_table_without_the_setting_has_the_servers_default_and_a_missing_one_says_so() {
    let server = Server::start().await;
    let client = server.client();
    client.execute("CREATE TABLE it.t (id UInt64) ENGINE = MergeTree ORDER BY id").await.unwrap();
    assert_eq!(TableInfo::read(&client, "t").await.unwrap().deduplication_window, 0);
    let error = TableInfo::read(&client, "likes").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("no table `likes` in database `it`"), "{error}");
}

#[tokio::test]
async fn grants_can_be_asked_for() {
    let server = Server::start().await;
    let client = server.client();
    client.execute("CREATE TABLE it.t (id UInt64) ENGINE = MergeTree ORDER BY id").await.unwrap();
    assert!(check_grant(&client, "INSERT", "t").await.unwrap());
    assert!(grants(&client).await.unwrap().iter().any(|grant| grant.contains("INSERT")));
}

#[tokio::test]
async fn rows_carry_whole_64_bit_numbers() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        big: u64,
        small: i64,
        text: String,
    }
    let server = Server::start().await;
    let sql = "SELECT toUInt64(18446744073709551615) AS big, toInt64(-9223372036854775808) AS small, 'a\\nb' AS text";
    let rows: Vec<Row> = server.client().query_rows(sql, &[]).await.unwrap();
    assert_eq!(rows, [Row { big: u64::MAX, small: i64::MIN, text: "a\nb".to_owned() }]);
}
