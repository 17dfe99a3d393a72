//! The `clickhouse` crate with its defaults: LZ4, RowBinaryWithNamesAndTypes, column checks.

use std::time::Instant;

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};

use crate::support::{PASSWORD, Server};

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Event {
    id: u64,
    name: String,
    note: Option<String>,
}

fn events(count: u64) -> impl Iterator<Item = Event> {
    (0..count).map(|id| Event { id, name: format!("n\n\n{id}"), note: (id % 2 == 0).then(|| "e".to_owned()) })
}

async fn client(server: &Server) -> Client {
    let client = Client::default().with_url(&server.url).with_user("default").with_password(PASSWORD);
    client.query("CREATE DATABASE d ENGINE = Atomic").execute().await.unwrap();
    let client = client.with_database("d");
    let sql = "CREATE TABLE e (id UInt64, name String, note Nullable(String)) ENGINE = MergeTree ORDER BY id";
    client.query(sql).execute().await.unwrap();
    client
}

#[tokio::test]
async fn rows_there_and_back() {
    let server = Server::start();
    let client = client(&server).await;
    let mut insert = client.insert::<Event>("e").await.unwrap();
    for event in events(1000) {
        insert.write(&event).await.unwrap();
    }
    insert.end().await.unwrap();
    let back = client.query("SELECT ?fields FROM e ORDER BY id").fetch_all::<Event>().await.unwrap();
    assert!(back.into_iter().eq(events(1000)));
    let bound = client.query("SELECT count() FROM e WHERE id < ? AND name != ?").bind(10).bind("n\n\n3");
    assert_eq!(bound.fetch_one::<u64>().await.unwrap(), 9);
    let parameter = client.query("SELECT count() FROM e WHERE name = {name:String}").param("name", "n\n\n7");
    assert_eq!(parameter.fetch_one::<u64>().await.unwrap(), 1);
    let error = client.query("SELECT * FROM nosuch").execute().await.unwrap_err().to_string();
    assert!(error.contains("Code: 60."), "{error}");
}

#[tokio::test]
async fn errors_of_an_insert_reach_the_client() {
    let server = Server::start();
    let client = client(&server).await;
    client.query("ALTER TABLE e ADD CONSTRAINT c CHECK id < 5").execute().await.unwrap();
    let mut insert = client.insert::<Event>("e").await.unwrap();
    for event in events(10) {
        insert.write(&event).await.unwrap();
    }
    let error = insert.end().await.unwrap_err().to_string();
    assert!(error.contains("Code: 469."), "{error}");
    assert_eq!(client.query("SELECT count() FROM e").fetch_one::<u64>().await.unwrap(), 0);
}

#[tokio::test]
async fn a_million_rows() {
    let server = Server::start();
    let client = client(&server).await;
    let start = Instant::now();
    let mut insert = client.insert::<Event>("e").await.unwrap();
    for event in events(1_000_000) {
        insert.write(&event).await.unwrap();
    }
    insert.end().await.unwrap();
    eprintln!("1,000,000 rows through the clickhouse crate: {:?}", start.elapsed());
    assert_eq!(client.query("SELECT uniqExact(id) FROM e").fetch_one::<u64>().await.unwrap(), 1_000_000);
}
