//! Start, end and restart of the server process.

use std::process::Stdio;
use std::time::Duration;

use embedded_clickhouse::{EmbeddedClickHouse, Options};
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;

use crate::support::{PASSWORD, Server, command, library};

const CREATE: &str = "CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a";

#[tokio::test]
async fn sigterm_finishes_requests_and_keeps_the_data() {
    let mut server = Server::start();
    server.sql(CREATE).await;
    server.sql("INSERT INTO t VALUES (1), (2)").await;
    let running = server.sql("SELECT sleep(1)");
    let stop = async {
        // The statement is under way when the engine lists it.
        while !server.sql("SELECT query FROM system.processes").await.contains("sleep(1)") {}
        server.signal(Signal::SIGTERM);
    };
    assert_eq!(tokio::join!(running, stop).0, "0\n");
    assert_eq!(server.wait().await.code(), Some(0));
    let server = Server::start_over(server.into_data());
    assert_eq!(server.sql("SELECT sum(a) FROM t").await, "3\n");
}

#[tokio::test]
async fn sigkill_keeps_a_finished_insert() {
    let mut server = Server::start();
    server.sql(CREATE).await;
    server.sql("INSERT INTO t SELECT number FROM numbers(100000)").await;
    server.sql("INSERT INTO t VALUES (1)").await;
    server.signal(Signal::SIGKILL);
    assert_eq!(server.wait().await.code(), None);
    let server = Server::start_over(server.into_data());
    assert_eq!(server.sql("SELECT count() FROM t").await, "100001\n");
}

#[tokio::test]
async fn a_second_server_over_the_same_data_is_refused() {
    let server = Server::start();
    let second = command(server.data.path()).stdout(Stdio::null()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("is in use by another"));
    assert_eq!(server.sql("SELECT 1").await, "1\n");
}

/// A client that never ends its body does not hold the server up, and its insert leaves nothing.
#[tokio::test]
async fn sigterm_cuts_a_hanging_insert_off_at_the_deadline() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(data, &["--shutdown-seconds", "1"]);
    server.sql(CREATE).await;
    let mut stream =
        tokio::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let url = "/?query=INSERT+INTO+t+FORMAT+TSV&password=s%C3%A9cret";
    let head = format!("POST {url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1\n2\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    while !server.sql("SELECT query FROM system.processes").await.contains("INSERT INTO t") {}
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().await.code(), Some(0));
    let server = Server::start_over(server.into_data());
    assert_eq!(server.sql("SELECT count() FROM t").await, "0\n");
}

#[tokio::test]
async fn files_for_readiness_and_password() {
    let files = tempfile::tempdir().unwrap();
    let (ready, password) = (files.path().join("ready"), files.path().join("password"));
    std::fs::write(&password, "other\n").unwrap();
    let flags = ["--ready-file", ready.to_str().unwrap(), "--password-file", password.to_str().unwrap()];
    let server = Server::start_with(tempfile::tempdir().unwrap(), &flags);
    assert_eq!(std::fs::read_to_string(&ready).unwrap(), server.url);
    let select = |password| {
        reqwest::Client::new().post(&server.url).basic_auth("default", Some(password)).body("SELECT 1")
    };
    assert_eq!(select("other").send().await.unwrap().status(), 200);
    assert_eq!(select(PASSWORD).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn the_configuration_file_counts() {
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("config.xml");
    let flags = ["--config-file", config.to_str().unwrap()];
    let missing = command(files.path()).args(flags).stdout(Stdio::null()).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read the configuration file"));
    let elsewhere = files.path().join("elsewhere");
    std::fs::write(&config, format!("<clickhouse><path>{}</path></clickhouse>", elsewhere.display()))
        .unwrap();
    let moved = command(files.path()).args(flags).stdout(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&moved.stderr).contains("remove <path> from it"));
    std::fs::write(&config, "<clickhouse><macros><shard>7</shard></macros></clickhouse>").unwrap();
    let server = Server::start_with(tempfile::tempdir().unwrap(), &flags);
    let sql = "SELECT getMacro('shard')";
    assert_eq!(server.sql(sql).await, "7\n");
}

/// What Nova's tables need of the engine, over a restart: an Atomic database, a refreshable view, a remembered token.
#[tokio::test]
async fn databases_views_and_tokens_survive_a_restart() {
    let mut server = Server::start();
    server.sql("CREATE DATABASE nova ENGINE = Atomic").await;
    let window = "SETTINGS non_replicated_deduplication_window = 100";
    server.sql(&format!("CREATE TABLE nova.t (a UInt32) ENGINE = MergeTree ORDER BY a {window}")).await;
    let view = "CREATE MATERIALIZED VIEW nova.v REFRESH EVERY 1 SECOND ENGINE = MergeTree ORDER BY c AS SELECT count() AS c FROM nova.t";
    server.sql(view).await;
    let insert = [("query", "INSERT INTO nova.t FORMAT TSV"), ("insert_deduplication_token", "x")];
    assert_eq!(server.post(&insert, "1\n2\n3\n").await.status(), 200);
    server.signal(Signal::SIGKILL);
    server.wait().await;
    let server = Server::start_over(server.into_data());
    assert_eq!(server.post(&insert, "1\n2\n3\n").await.status(), 200);
    assert_eq!(server.sql("SELECT count() FROM nova.t").await, "3\n");
    let refreshed = async {
        while server.sql("SELECT c FROM nova.v").await != "3\n" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refreshed).await.expect("the view refreshes itself");
}

/// The library form: served inside this process, once, and a clean end.
#[tokio::test]
async fn in_process() {
    let data = tempfile::tempdir().unwrap();
    let server = EmbeddedClickHouse::start(Options::new(library(), data.path())).await.unwrap();
    let url = server.url();
    let answer = reqwest::get(format!("{url}/?query=SELECT+1")).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "1\n");
    server.shutdown(Duration::from_secs(10)).await.unwrap();
    assert!(reqwest::get(format!("{url}/ping")).await.is_err());
    let again = EmbeddedClickHouse::start(Options::new(library(), data.path())).await.err().unwrap();
    assert!(again.to_string().contains("already started"), "{again}");
}
