//! Inserts: data arrive byte for byte, broken ones not at all, repeated ones once.

use crate::support::{PASSWORD, Server, failure, summary};

/// RowBinary of (UInt32, String). 0x0A0A0A0A and strings of line breaks would cut a careless front's data short.
fn rows(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    numbers.flat_map(|n| [n.to_le_bytes().as_slice(), b"\x06a\n\n\nb\n"].concat()).collect()
}

const INSERT: (&str, &str) = ("query", "INSERT INTO t FORMAT RowBinary");

async fn server_with_table() -> Server {
    let server = Server::start();
    let sql = "CREATE TABLE t (a UInt32, s String) ENGINE = MergeTree ORDER BY a \
               SETTINGS non_replicated_deduplication_window = 100";
    server.sql(sql).await;
    server
}

#[tokio::test]
async fn empty_lines_in_binary_data_survive() {
    let server = server_with_table().await;
    let answer = server.post(&[INSERT], rows([0x0A0A_0A0A, 10, 0x0A0A].into_iter())).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(summary(&answer, "written_rows"), 3);
    let in_body = [b"INSERT INTO t FORMAT RowBinary\n".to_vec(), rows(std::iter::once(0x0A0A_0A0A))].concat();
    assert_eq!(server.post(&[], in_body).await.status(), 200);
    let sql = "SELECT count(), countIf(s = 'a\\n\\n\\nb\\n'), countIf(a = 0x0A0A0A0A) FROM t";
    assert_eq!(server.sql(sql).await, "4\t4\t2\n");
}

#[tokio::test]
async fn text_formats_and_settings_in_the_statement() {
    let server = server_with_table().await;
    for (sql, data) in [
        ("INSERT INTO t FORMAT JSONEachRow", "{\"a\":1,\"s\":\"x\"}\n\n{\"a\":2}"),
        (
            "INSERT INTO t (a) SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow",
            "{\"a\":3,\"b\":1}",
        ),
        ("INSERT INTO t FORMAT CSV", "4,\"x\n\ny\"\n"),
        ("INSERT INTO t VALUES", "(2 + 3, upper('a;b')), (6, 'x');"),
    ] {
        let answer = server.post(&[("query", sql)], data).await;
        assert_eq!(answer.status(), 200, "{sql}: {}", answer.text().await.unwrap());
    }
    server.sql("INSERT INTO t SELECT number + 7, 'from' FROM numbers(2)").await;
    assert_eq!(
        server.sql("SELECT sum(a), countIf(s = 'x\\n\\ny'), countIf(s = 'A;B') FROM t").await,
        "36\t1\t1\n"
    );
}

#[tokio::test]
async fn broken_data_write_nothing() {
    let server = server_with_table().await;
    let mut cut = rows(0..1000);
    cut.pop();
    assert_eq!(failure(&server.post(&[INSERT], cut).await), (500, 33));
    let refused =
        reqwest::Client::new().post(&server.url).query(&[INSERT]).header("Content-Encoding", "gzip");
    let refused = refused.header("X-ClickHouse-Key", PASSWORD.as_bytes()).body("x").send().await.unwrap();
    assert_eq!(failure(&refused), (501, 48));
    assert!(refused.text().await.unwrap().contains("gzip"));
    assert_eq!(server.sql("SELECT count() FROM t").await, "0\n");
}

/// A client that goes away in the middle has inserted nothing, although all its rows so far were whole.
#[tokio::test]
async fn a_body_that_breaks_off_is_cancelled() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = server_with_table().await;
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let data = rows(0..100);
    let url = "/?query=INSERT+INTO+t+FORMAT+RowBinary&user=default&password=s%C3%A9cret";
    let head =
        format!("POST {url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", data.len());
    stream.write_all(&[head.into_bytes(), data, b"\r\n".to_vec()].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.sql("SELECT count() FROM t").await, "0\n");
}

#[tokio::test]
async fn a_repeated_token_is_dropped() {
    let server = server_with_table().await;
    for token in ["a", "a", "b"] {
        let answer = server.post(&[INSERT, ("insert_deduplication_token", token)], rows(0..1000)).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(summary(&answer, "written_rows"), 1000, "counts what was handed over");
    }
    assert_eq!(server.sql("SELECT count() FROM t").await, "2000\n");
}

#[tokio::test]
async fn many_rows_are_one_block() {
    let server = server_with_table().await;
    let start = std::time::Instant::now();
    assert_eq!(server.post(&[INSERT], rows(0..1_000_000)).await.status(), 200);
    eprintln!("1,000,000 rows: {:?}", start.elapsed());
    let sql = "SELECT count(), (SELECT count() FROM system.parts WHERE table = 't') FROM t";
    assert_eq!(server.sql(sql).await, "1000000\t1\n");
}
