//! The DDL of one server and of a cluster: both are what the golden files say, and both are understood by the engine.
//!
//! ON CLUSTER needs servers that carry it out, which one embedded engine is not: there the clause is parsed, then left
//! out. Everything else is made for real: replicated tables with an in-memory Keeper, and Distributed ones over two
//! shards, both of which are this very server, so that whatever is read from all shards comes twice.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use nova_clickhouse::{Client, Ddl, MIGRATIONS, MigrateError, Migrator, TableInfo};

use crate::migrations::values;
use crate::server::{Server, number};

const CLUSTER: &str = "events";
const CONFIGURATION: &str = "<zookeeper><implementation>testkeeper</implementation></zookeeper>\
    <tcp_port>9000</tcp_port><macros><shard>1</shard><replica>a</replica></macros>\
    <remote_servers><events>\
    <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>\
    <shard><replica><host>localhost</host><port>9000</port></replica></shard>\
    </events></remote_servers>";
const KEEPER: &str = "('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')";
const RECORDS: &str = "'/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'";

fn rendered(cluster: &str) -> String {
    let values = values();
    Ddl { database: "nova", cluster, values: &values, migrations: MIGRATIONS }.render().unwrap()
}

/// No statement has a semicolon at the end of a line but its own.
fn statements(text: &str) -> Vec<&str> {
    text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()).collect()
}

/// The statements as a server without `distributed_ddl` takes them.
fn here(text: &str) -> String {
    text.replace(&format!(" ON CLUSTER `{CLUSTER}`"), "")
}

async fn run(client: &Client, text: &str, wanted: impl Fn(&&str) -> bool) {
    for statement in statements(text).into_iter().filter(wanted) {
        client.execute(statement).await.unwrap_or_else(|error| panic!("{error}\n{statement}"));
    }
}

#[test]
fn the_ddl_is_what_the_golden_files_say() {
    for (cluster, file) in [("", "one_server.sql"), (CLUSTER, "cluster.sql")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(file);
        let text = rendered(cluster);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        assert!(
            text == golden,
            "{file} differs; look at `git diff` after running this test with UPDATE_GOLDEN=1"
        );
    }
}

#[tokio::test]
async fn both_are_parsed_by_the_engine() {
    let server = Server::start().await;
    let client = server.client();
    for cluster in ["", CLUSTER] {
        let text = rendered(cluster);
        for statement in statements(&text) {
            let tree = client.query_text(&format!("EXPLAIN AST {statement}"), &[]).await;
            let tree = tree.unwrap_or_else(|error| panic!("{error}\n{statement}"));
            assert!(tree.starts_with("Create") || tree.starts_with("Alter"), "{tree}");
        }
        assert_eq!(text.contains(" ON CLUSTER "), !cluster.is_empty());
    }
}

#[tokio::test]
async fn a_clusters_tables_are_made_replicated_and_its_views_refresh() {
    let server = Server::start_with("", CONFIGURATION).await;
    // A table that is read-only cannot be altered.
    run(&server.client(), &here(&rendered(CLUSTER)), |statement| !statement.contains("ALTER TABLE")).await;
    let client = server.client_for("nova", "");
    let engines = "SELECT name, engine FROM system.tables WHERE database = 'nova' \
                   AND (engine LIKE 'Replicated%' OR engine = 'Distributed') ORDER BY name";
    let engines = client.query_text(engines, &[]).await.unwrap();
    for line in [
        "dead_letter_actions\tReplicatedReplacingMergeTree",
        "nova_migrations\tReplicatedMergeTree",
        "post_engagement_events\tDistributed",
        "post_engagement_events_local\tReplicatedMergeTree",
        "post_events_local\tReplicatedMergeTree",
        "user_follow_events_local\tReplicatedMergeTree",
    ] {
        assert!(engines.lines().any(|found| found == line), "{line} is not among\n{engines}");
    }
    let path = "SELECT zookeeper_path FROM system.replicas WHERE table = 'post_events_local'";
    let path = client.query_text(path, &[]).await.unwrap();
    assert_eq!(path.trim(), "/clickhouse/tables/1/nova/post_events_local");
    refreshed(&client).await;

    let local = TableInfo::read(&client.clone().of_one_server(), "post_events_local").await.unwrap();
    assert_eq!(local.deduplication_window, 10_000);
    for (table, word) in [("post_events_local", "clickhouse.url"), ("post_events", "Distributed")] {
        let error = TableInfo::read(&client, table).await.unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("clickhouse.cluster"), "{error}");
    }
}

#[tokio::test]
async fn readers_and_views_see_all_shards() {
    let server = Server::start_with("", CONFIGURATION).await;
    let text = here(&rendered(CLUSTER));
    // The in-memory Keeper leaves replicated tables read-only.
    let text = text.replace(&format!("ReplicatedMergeTree{KEEPER}"), "MergeTree");
    let text = text.replace(&format!("ReplicatedReplacingMergeTree({RECORDS}, "), "ReplacingMergeTree(");
    run(&server.client(), &text, |_| true).await;
    let client = server.client_for("nova", "");
    for sql in [
        "INSERT INTO post_events_local (event_time, post_id, author_id, visibility, sign) SELECT now64(3) - 60, \
         reinterpretAsUUID(toUInt128(number + 1)), reinterpretAsUUID(toUInt128(7)), 'public', 1 FROM numbers(5)",
        "INSERT INTO post_engagement_events_local (event_time, event_type, post_id, user_id, sign) SELECT \
         now64(3) - 30, 'like', reinterpretAsUUID(toUInt128(number % 5 + 1)), reinterpretAsUUID(toUInt128(number)), 1 \
         FROM numbers(20)",
    ] {
        client.execute(sql).await.unwrap();
    }
    assert_eq!(number(&client, "SELECT sum(sign) FROM post_engagement_events").await, 40);
    refreshed(&client).await;
    for (sql, expected) in [
        ("SELECT sum(likes) FROM top_posts_1h", 40),
        ("SELECT sum(likes) FROM trending_24h", 40),
        ("SELECT sum(engagement) FROM feed_candidates_mv", 160),
    ] {
        assert_eq!(number(&client, sql).await, expected, "{sql}");
    }
    let through = "INSERT INTO post_events (event_time, post_id, author_id, visibility, sign) VALUES (now64(3), \
                   generateUUIDv4(), generateUUIDv4(), 'public', 1)";
    let error = client.execute(through).await.unwrap_err();
    assert_eq!(error.code(), Some(55), "without a sharding key nobody writes through it: {error}");
}

async fn refreshed(client: &Client) {
    for view in ["top_posts_1h", "trending_24h", "feed_candidates_mv"] {
        client.execute(&format!("SYSTEM REFRESH VIEW {view}")).await.unwrap();
        client.execute(&format!("SYSTEM WAIT VIEW {view}")).await.unwrap();
    }
    let failed = "SELECT view, exception FROM system.view_refreshes WHERE exception != ''";
    assert_eq!(client.query_text(failed, &[]).await.unwrap(), "");
}

#[tokio::test]
async fn a_database_of_one_server_does_not_become_one_of_a_cluster() {
    let server = Server::start().await;
    let client = server.client_for("nova", "");
    let values = values();
    let migrator = || Migrator::new(&client, &values, MIGRATIONS);
    migrator().apply().await.unwrap();
    let error = migrator().on_cluster(CLUSTER).plan().await.unwrap_err();
    assert!(matches!(&error, MigrateError::OtherForm { made_for: "one server", .. }), "{error}");
    assert_eq!(migrator().plan().await.unwrap(), []);
}
