//! The check of a table's de-duplication window, and what it protects.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use nova_clickhouse::{Client, ReplayHorizon, TableInfo};
use nova_pipeline::{Block as _, ErrorKind, PipelineError, Sink as _};
use nova_streams::Cell;

use crate::recovery::{TABLE, migrated};
use crate::server::{Server, message, number, sink};

/// The defaults of `config/nova.toml`.
fn defaults(streams: u64) -> ReplayHorizon {
    ReplayHorizon {
        streams,
        linger: Duration::from_millis(300),
        request_timeout: Duration::from_secs(60),
        session_timeout: Duration::from_secs(45),
    }
}

async fn table(client: &Client, name: &str) -> TableInfo {
    TableInfo::read(client, name).await.unwrap()
}

#[tokio::test]
async fn shipped_tables_pass_and_a_short_window_is_refused_with_the_statement_that_cures_it() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    for name in ["post_engagement_events", "user_follow_events", "post_events"] {
        defaults(3).check("nova", &table(&client, name).await).unwrap();
    }
    client
        .execute("CREATE TABLE nova.`odd ``name` (id UInt64) ENGINE = MergeTree ORDER BY id")
        .await
        .unwrap();
    let short = defaults(2).check("nova", &table(&client, "odd `name").await).unwrap_err();
    assert_eq!((short.table.as_str(), short.found, short.needed), ("odd `name", 0, 5_600));
    let error = PipelineError::from(short.clone());
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    for part in ["`odd `name`", "last 0 parts", "5600", "non_replicated_deduplication_window", &short.cure] {
        assert!(error.message.contains(part), "{part}: {error}");
    }
    client.execute(&short.cure).await.unwrap();
    defaults(2).check("nova", &table(&client, "odd `name").await).unwrap();
    assert!(defaults(3).check("nova", &table(&client, "odd `name").await).is_err());
}

#[tokio::test]
async fn the_window_counts_parts_and_what_lies_behind_it_is_forgotten() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    client
        .execute(&format!("ALTER TABLE {TABLE} MODIFY SETTING non_replicated_deduplication_window = 4"))
        .await
        .unwrap();
    let sink = sink(&client, TABLE, &["event_time"]).await;
    let insert = async |token: &str, months: i64| {
        let mut block = sink.block();
        for month in 0..months {
            block.push(&message(month, &[vec![Cell::Ticks(month * 31 * 86_400_000)]])).unwrap();
        }
        sink.insert(&block, token).await.unwrap();
        number(&client, &format!("SELECT count() FROM {TABLE}")).await
    };
    assert_eq!(insert("batch", 1).await, 1);
    assert_eq!(insert("other", 3).await, 4);
    assert_eq!(insert("batch", 1).await, 4, "three parts later");
    assert_eq!(insert("more", 1).await, 5);
    assert_eq!(insert("batch", 1).await, 6, "four parts later: only lineage would know");
}

#[tokio::test]
async fn the_newer_setting_decides_so_inserts_must_name_both() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    let twice = async |settings: &str| {
        for _ in 0..2 {
            let row = format!("INSERT INTO {TABLE} (event_time) SETTINGS {settings} VALUES ('2026-01-01')");
            client.execute(&row).await.unwrap();
        }
        let count = number(&client, &format!("SELECT count() FROM {TABLE}")).await;
        client.execute(&format!("TRUNCATE TABLE {TABLE}")).await.unwrap();
        count
    };
    let token = |token: &str| format!("insert_deduplication_token = '{token}'");
    let off = format!("{}, insert_deduplicate = 1, deduplicate_insert = 'disable'", token("a"));
    assert_eq!(twice(&off).await, 2, "a profile with this would double what is repeated");
    let on = format!("{}, insert_deduplicate = 0, deduplicate_insert = 'enable'", token("b"));
    assert_eq!(twice(&on).await, 1);
}
