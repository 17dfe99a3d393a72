//! What the token and the settings of an insert promise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_clickhouse::{Client, TableSink};
use nova_pipeline::{Block as _, ErrorKind, Sink as _};
use nova_streams::Cell;

use crate::server::{Server, message, number, sink};

const DAY_MS: i64 = 86_400_000;

async fn events(client: &Client) -> TableSink {
    client
        .execute(
            "CREATE TABLE it.`odd ``name` (`at time` DateTime64(3, 'UTC'), id UInt64) ENGINE = MergeTree \
             PARTITION BY toYYYYMM(`at time`) ORDER BY id SETTINGS non_replicated_deduplication_window = 1000",
        )
        .await
        .unwrap();
    sink(client, "odd `name", &["id", "at time"]).await
}

fn row(id: u64, day: i64) -> Vec<Cell<'static>> {
    vec![Cell::UInt(id), Cell::Ticks(day * DAY_MS)]
}

async fn count(client: &Client) -> i64 {
    number(client, "SELECT count() FROM `odd ``name`").await
}

#[tokio::test]
async fn a_repeat_with_its_token_adds_nothing_and_another_token_adds_all() {
    let server = Server::start().await;
    let client = server.client();
    let sink = events(&client).await;
    let mut block = sink.block();
    // Rows of three months: one insert, three parts, one token.
    block.push(&message(0, &[row(1, 0), row(2, 40), row(3, 80)])).unwrap();
    for _ in 0..3 {
        sink.insert(&block, "batch-a").await.unwrap();
    }
    assert_eq!(count(&client).await, 3);
    sink.insert(&block, "batch-b").await.unwrap();
    assert_eq!(count(&client).await, 6);
    // The token decides, not the content: another block under a known token is taken for the repeat.
    let mut other = sink.block();
    other.push(&message(0, &[row(9, 0)])).unwrap();
    sink.insert(&other, "batch-a").await.unwrap();
    assert_eq!(count(&client).await, 6);
}

#[tokio::test]
async fn a_large_batch_over_many_months_is_one_insert() {
    let server = Server::start().await;
    let client = server.client();
    let sink = events(&client).await;
    let mut block = sink.block();
    // 150 months: beyond the server's default limit of 100 partitions an insert.
    for id in 0..150u64 {
        block.push(&message(0, &[row(id, i64::try_from(id).unwrap() * 31)])).unwrap();
    }
    sink.insert(&block, "months").await.unwrap();
    assert_eq!(count(&client).await, 150);

    let mut block = sink.block();
    for id in 0..200_000u64 {
        block.push(&message(0, &[row(id, 10_000)])).unwrap();
    }
    sink.insert(&block, "large").await.unwrap();
    let parts = "SELECT count() FROM system.parts WHERE partition = '199705' AND level = 0 AND rows = 200000";
    assert_eq!(number(&client, parts).await, 1, "all rows came as one block");
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_and_an_empty_block_does_not_ask_it() {
    let mut server = Server::start().await;
    let client = server.client();
    let sink = events(&client).await;
    server.kill();
    sink.insert(&sink.block(), "t").await.unwrap();
    let mut block = sink.block();
    block.push(&message(0, &[row(1, 1)])).unwrap();
    assert_eq!(sink.insert(&block, "").await.unwrap_err().kind, ErrorKind::Misconfigured);
    // The first attempt may still find a connection that looks alive: then nobody can say what happened to it.
    let first = sink.insert(&block, "t").await.unwrap_err().kind;
    assert!(matches!(first, ErrorKind::LostReply | ErrorKind::Unavailable), "{first}");
    assert_eq!(sink.insert(&block, "t").await.unwrap_err().kind, ErrorKind::Unavailable);
}
