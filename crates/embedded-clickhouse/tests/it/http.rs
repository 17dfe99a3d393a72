//! Statements, formats, settings, parameters, errors and authentication over HTTP.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::{PASSWORD, Server, failure, summary};

#[tokio::test]
async fn ping_formats_and_headers() {
    let server = Server::start();
    for path in ["/ping", "/replicas_status", "/"] {
        let answer = reqwest::get(format!("{}{path}", server.url)).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (200, "Ok.\n"),
            "{path}"
        );
    }
    assert_eq!(server.sql("SELECT 1, 'a'").await, "1\ta\n");
    assert_eq!(server.sql("SELECT 1 AS x, 'a' AS y FORMAT CSVWithNames").await, "\"x\",\"y\"\n1,\"a\"\n");
    assert!(server.sql("SELECT 1 AS x FORMAT JSON").await.contains("\"rows\": 1"));
    let answer = server
        .post(&[("default_format", "RowBinary"), ("query_id", "q-1")], "SELECT number FROM numbers(5)")
        .await;
    assert_eq!(answer.headers()["x-clickhouse-query-id"], "q-1");
    assert_eq!(answer.headers()["x-clickhouse-format"], "RowBinary");
    assert!(answer.headers().contains_key("x-clickhouse-timezone"));
    assert_eq!((summary(&answer, "read_rows"), summary(&answer, "result_rows")), (5, 5));
    assert_eq!(answer.bytes().await.unwrap().len(), 40);
}

#[tokio::test]
async fn settings_and_use_do_not_leak() {
    let server = Server::start();
    let plain = server.sql("SELECT getSetting('max_block_size'), currentDatabase()").await;
    let set = server.post(
        &[("max_block_size", "77"), ("database", "system")],
        "SELECT getSetting('max_block_size'), currentDatabase()",
    );
    assert_eq!(set.await.text().await.unwrap(), "77\tsystem\n");
    server.sql("SET max_block_size = 78").await;
    server.sql("USE system").await;
    server.sql("CREATE TEMPORARY TABLE gone (a UInt8)").await;
    assert_eq!(server.sql("SELECT getSetting('max_block_size'), currentDatabase()").await, plain);
    assert_eq!(failure(&server.post(&[], "SELECT * FROM gone").await), (404, 60));
}

#[tokio::test]
async fn parameters_in_url_and_multipart() {
    let server = Server::start();
    let sql = "SELECT {a:String}, {b:UInt8} + 1";
    let answer = server.post(&[("param_a", "x'\\ty"), ("param_b", "6")], sql).await;
    assert_eq!(answer.text().await.unwrap(), "x\\'\\ty\t7\n");
    let body = format!(
        "--B\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n{sql}\r\n\
         --B\r\nContent-Disposition: form-data; name=\"param_a\"\r\n\r\nö\r\n\
         --B\r\nContent-Disposition: form-data; name=\"param_b\"\r\n\r\n1\r\n--B--\r\n"
    );
    let request = reqwest::Client::new().post(&server.url).header("X-ClickHouse-Key", PASSWORD.as_bytes());
    let request = request.header("Content-Type", "multipart/form-data; boundary=B").body(body);
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "ö\t2\n");
    assert_eq!(failure(&server.post(&[("param_a", "1")], sql).await).1, 456, "parameter b is not set");
}

#[tokio::test]
async fn errors_have_the_code_and_status_of_a_server() {
    let server = Server::start();
    server.sql("CREATE TABLE t (a UInt8) ENGINE = Memory").await;
    for (sql, expected) in [
        ("SELECT * FROM nosuch", (404, 60)),
        ("SELEC 1", (400, 62)),
        ("selec", (400, 62)),
        ("SELECT 1; SELECT 2", (400, 62)),
        ("-- nothing", (400, 62)),
        ("SELECT throwIf(1)", (500, 395)),
        ("SELECT 1 FORMAT Nosuch", (404, 73)),
        ("INSERT INTO nosuch VALUES (1)", (404, 60)),
        ("INSERT INTO t VALUES (x)", (404, 47)),
        ("INSERT INTO t FROM INFILE '/etc/hostname' FORMAT TSV", (404, 78)),
        ("CREATE USER u", (500, 497)),
    ] {
        let answer = server.post(&[], sql).await;
        assert_eq!(failure(&answer), expected, "{sql}");
        assert!(answer.text().await.unwrap().starts_with(&format!("Code: {}. DB::Exception: ", expected.1)));
    }
    for (parameter, expected) in
        [(("nosuch", "1"), (404, 115)), (("database", "x"), (404, 81)), (("session_id", "1"), (501, 48))]
    {
        assert_eq!(failure(&server.post(&[parameter], "SELECT 1").await), expected, "{parameter:?}");
    }
    let get = reqwest::Client::new().get(&server.url).header("X-ClickHouse-Key", PASSWORD.as_bytes());
    let get = get.query(&[("query", "DROP TABLE t")]).send().await.unwrap();
    assert_eq!(failure(&get).1, 164, "GET may not write");
    assert_eq!(server.sql("SELECT count() FROM t").await, "0\n");
}

#[tokio::test]
async fn only_the_right_password_comes_in() {
    let server = Server::start();
    let client = reqwest::Client::new();
    let select = || client.post(&server.url).body("SELECT 1");
    for wrong in [
        select(),
        select().basic_auth("default", Some("wrong")),
        select().basic_auth("other", Some(PASSWORD)),
        select().query(&[("user", "default"), ("password", "")]),
        select().header("X-ClickHouse-Key", "wrong"),
    ] {
        assert_eq!(failure(&wrong.send().await.unwrap()), (403, 516));
    }
    for right in [select().basic_auth("default", Some(PASSWORD)), select().query(&[("password", PASSWORD)])] {
        assert_eq!(right.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn eight_statements_run_side_by_side() {
    let server = Server::start();
    let start = Instant::now();
    let all = join_all((0..8).map(|_| server.sql("SELECT sleep(1)"))).await;
    assert_eq!(all, ["0\n"; 8]);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn curl_works() {
    let server = Server::start();
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--user", &format!("default:{PASSWORD}")])
            .args(arguments)
            .output();
        let output = output.expect("curl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&[&server.url, "-d", "CREATE TABLE t (a UInt8) ENGINE = Memory"]), "");
    let insert = format!("{}/?query=INSERT+INTO+t+FORMAT+TSV", server.url);
    assert_eq!(
        curl(&[&insert, "-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked", "-d", "1\n2"]),
        ""
    );
    assert_eq!(curl(&[&server.url, "-d", "INSERT INTO t VALUES (3), (4)"]), "");
    assert_eq!(curl(&["-G", &server.url, "--data-urlencode", "query=SELECT sum(a) FROM t"]), "10\n");
}
