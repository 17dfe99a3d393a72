//! Real refusals of the real engine, and the kinds they become.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_clickhouse::{Client, TableInfo, TableSink};
use nova_pipeline::{Block as _, ErrorKind, PipelineError, Sink as _};
use nova_streams::{Cell, ColumnType};

use crate::server::{Server, message, sink};

async fn table(client: &Client, settings: &str) -> TableSink {
    let sql =
        format!("CREATE TABLE it.t (id UInt64, n UInt32) ENGINE = MergeTree ORDER BY id SETTINGS {settings}");
    client.execute(&sql).await.unwrap();
    sink(client, "t", &["id", "n"]).await
}

async fn insert(sink: &TableSink, token: &str) -> Result<(), PipelineError> {
    let mut block = sink.block();
    block.push(&message(0, &[vec![Cell::UInt(1), Cell::UInt(2)]])).unwrap();
    sink.insert(&block, token).await
}

#[tokio::test]
async fn a_table_altered_under_the_worker_halts_and_names_the_column() {
    let server = Server::start().await;
    let client = server.client();
    let sink = table(&client, "non_replicated_deduplication_window = 100").await;
    insert(&sink, "1").await.unwrap();

    client.execute("ALTER TABLE it.t MODIFY COLUMN n UInt64").await.unwrap();
    let error = insert(&sink, "2").await.unwrap_err();
    assert_eq!(error.kind.policy(), nova_pipeline::Policy::Halt, "{error}");
    assert!(error.message.contains("'n'") && error.message.contains("UInt64"), "{error}");

    client.execute("ALTER TABLE it.t DROP COLUMN n").await.unwrap();
    let error = insert(&sink, "3").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaMismatch);
    assert!(error.message.contains('n') && error.message.contains("code 16"), "{error}");

    client.execute("DROP TABLE it.t SYNC").await.unwrap();
    let error = insert(&sink, "4").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaMismatch);
    assert!(error.message.contains("`t`") && error.message.contains("code 60"), "{error}");
}

#[tokio::test]
async fn refusals_that_pass_are_retried_under_their_own_kinds() {
    let server = Server::start().await;
    let client = server.client();
    let sink = table(&client, "parts_to_delay_insert = 0, parts_to_throw_insert = 2").await;
    client.execute("SYSTEM STOP MERGES it.t").await.unwrap();
    for token in ["1", "2"] {
        insert(&sink, token).await.unwrap();
    }
    let error = insert(&sink, "3").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.message.contains("252 TOO_MANY_PARTS"), "{error}");
    assert!(!error.message.contains("(version") && !error.message.contains('\n'), "{error}");

    client.execute("DROP TABLE it.t SYNC").await.unwrap();
    let sink = table(&client, "min_free_disk_bytes_to_perform_insert = 1000000000000000").await;
    assert_eq!(insert(&sink, "1").await.unwrap_err().kind, ErrorKind::DiskFull);

    client.execute("DROP TABLE it.t SYNC").await.unwrap();
    let sink = table(&client, "table_readonly = 1").await;
    assert_eq!(insert(&sink, "1").await.unwrap_err().kind, ErrorKind::ReadOnly);
}

#[tokio::test]
async fn a_replica_that_has_lost_its_keeper_is_read_only() {
    // The engine has a Keeper in memory, and no replication: a replicated table can be made, and stays read-only.
    let keeper = "<zookeeper><implementation>testkeeper</implementation></zookeeper>";
    let server = Server::start_with("", keeper).await;
    let client = server.client().of_one_server();
    client
        .execute(
            "CREATE TABLE it.t (id UInt64, n UInt32) ENGINE = ReplicatedMergeTree('/t', 'r') ORDER BY id",
        )
        .await
        .unwrap();
    assert_eq!(TableInfo::read(&client, "t").await.unwrap().deduplication_window, 10_000);
    let error = insert(&sink(&client, "t", &["id", "n"]).await, "1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ReadOnly, "{error}");
    assert!(error.message.contains("242 TABLE_IS_READ_ONLY"), "{error}");
}

#[tokio::test]
async fn a_refused_repeat_is_not_remembered_as_done() {
    let server = Server::start().await;
    let client = server.client();
    let settings =
        "parts_to_delay_insert = 0, parts_to_throw_insert = 1, non_replicated_deduplication_window = 100";
    let sink = table(&client, settings).await;
    insert(&sink, "1").await.unwrap();
    assert_eq!(insert(&sink, "2").await.unwrap_err().kind, ErrorKind::Overloaded);
    client.execute("ALTER TABLE it.t MODIFY SETTING parts_to_throw_insert = 100").await.unwrap();
    insert(&sink, "2").await.unwrap();
    assert_eq!(client.query_text("SELECT count() FROM t", &[]).await.unwrap(), "2\n");
}

#[tokio::test]
async fn passwords_databases_and_queries_have_their_kinds() {
    let server = Server::start_with("right; 'pass' ü", "").await;
    let kind = |outcome: Result<String, nova_clickhouse::ClickHouseError>| outcome.unwrap_err().kind();
    let wrong = server.client_for("it", "wrong");
    assert_eq!(kind(wrong.query_text("SELECT 1", &[]).await), ErrorKind::AccessDenied);
    wrong.ping().await.unwrap();

    let right = server.client_for("it", "right; 'pass' ü");
    assert_eq!(
        right.query_text("SELECT {x:String}", &[("x", "tab\tquote'\\")]).await.unwrap(),
        "tab\\tquote\\'\\\\\n"
    );
    assert_eq!(kind(right.query_text("SELECT nope", &[]).await), ErrorKind::SchemaMismatch);
    assert_eq!(kind(right.query_text("SELEC", &[]).await), ErrorKind::Rejected);
    assert_eq!(
        kind(right.query_text("SELECT throwIf(number = 5) FROM numbers(10)", &[]).await),
        ErrorKind::Unknown
    );
    let nowhere = server.client_for("nowhere", "right; 'pass' ü");
    assert_eq!(kind(nowhere.query_text("SELECT 1", &[]).await), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn a_sink_for_columns_that_the_table_has_otherwise_is_not_made() {
    let server = Server::start().await;
    let client = server.client();
    table(&client, "index_granularity = 8192").await;
    let info = TableInfo::read(&client, "t").await.unwrap();
    for column in [("n", ColumnType::UInt(64)), ("m", ColumnType::UInt(32))] {
        let columns = [(column.0.to_owned(), column.1)];
        let error = TableSink::new(client.clone(), &info, &columns).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(error.to_string().contains(&format!("`{}`", column.0)), "{error}");
    }
}
