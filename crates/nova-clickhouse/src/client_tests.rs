//! The client against a server that misbehaves on purpose: what is told apart, and that secrets stay out of text.

use std::time::Duration;

use nova_pipeline::ErrorKind;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{ClickHouseError, Client, ClientOptions};

fn client(url: String) -> Client {
    Client::new(ClientOptions {
        url,
        ca_file: None,
        database: "nova".to_owned(),
        user: "writer".to_owned(),
        password: "s3cret".into(),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
    })
    .unwrap()
}

/// Reads one request: head and as many body bytes as it announces.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= announced {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the client hung up early");
        seen.extend_from_slice(&chunk[..read]);
    }
}

/// Serves one request with `answer`, and returns what the client made of it together with the request.
async fn served(
    answer: &str,
    sql: &str,
    parameters: &[(&str, &str)],
) -> (Result<String, ClickHouseError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(format!("http://{}", listener.local_addr().unwrap()));
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    };
    tokio::join!(client.query_text(sql, parameters), serve)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_code_in_the_header_decides_and_the_words_do_not() {
    let lie = answer(
        "500 Internal Server Error",
        "X-ClickHouse-Exception-Code: 252\r\n",
        "Code: 53. DB::Exception: Type mismatch (version 26.5.1.1 (official build))\n",
    );
    let (outcome, _) = served(&lie, "SELECT 1", &[]).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(252), ErrorKind::Overloaded));
    assert!(error.to_string().ends_with("/ refused (code 252 TOO_MANY_PARTS): Type mismatch"), "{error}");
}

#[tokio::test]
async fn an_exception_after_the_first_rows_is_an_error() {
    let message = "Code: 159. DB::Exception: Timeout exceeded\n";
    let body = format!("1\n\r\n__exception__\r\ntag\r\n{message}{} tag\r\n__exception__\r\n", message.len());
    let (outcome, _) =
        served(&answer("200 OK", "X-ClickHouse-Exception-Tag: tag\r\n", &body), "SELECT 1", &[]).await;
    assert_eq!(outcome.unwrap_err().code(), Some(159));
}

#[tokio::test]
async fn statuses_without_a_code_keep_their_own_meaning() {
    for (status, kind) in [
        ("503 Service Unavailable", ErrorKind::Unavailable),
        ("504 Gateway Timeout", ErrorKind::LostReply),
        ("403 Forbidden", ErrorKind::AccessDenied),
        ("418 Teapot", ErrorKind::Unknown),
    ] {
        let (outcome, _) = served(&answer(status, "", "<html>"), "SELECT 1", &[]).await;
        assert_eq!(outcome.unwrap_err().kind(), kind, "{status}");
    }
}

#[tokio::test]
async fn a_reply_that_is_cut_off_or_never_comes_is_lost_not_unsent() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    for reply in [cut, ""] {
        let (outcome, _) = served(reply, "INSERT …", &[]).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, ClickHouseError::NoReply { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::LostReply);
    }
}

#[tokio::test]
async fn a_refused_connection_is_never_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(url.clone()).ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_so_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(format!("https://{}", listener.local_addr().unwrap()));
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(client.ping(), serve);
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(
        error.to_string().contains("does not answer in TLS; name the server's TLS port in clickhouse.url")
    );
}

#[tokio::test]
async fn a_silent_server_is_a_lost_reply_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ClientOptions {
        url: format!("http://{}", listener.local_addr().unwrap()),
        ca_file: None,
        database: "nova".to_owned(),
        user: "writer".to_owned(),
        password: "s3cret".into(),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_millis(50),
    };
    // The kernel accepts the connection; nobody ever reads from it.
    let error = Client::new(options).unwrap().execute("SELECT 1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LostReply);
    assert!(error.to_string().contains("timed out"), "{error}");
}

#[tokio::test]
async fn parameters_and_database_go_into_the_url_and_the_password_into_a_header() {
    let (outcome, request) =
        served(&answer("200 OK", "", "ok\n"), "SELECT {x:String}", &[("x", "a\tb&c")]).await;
    assert_eq!(outcome.unwrap(), "ok\n");
    let line = request.lines().next().unwrap();
    assert!(line.contains("param_x=a%5Ctb%26c"), "{line}");
    assert!(line.contains("database=nova") && line.contains("wait_end_of_query=1"), "{line}");
    assert!(!line.contains("s3cret") && request.contains("authorization: Basic "), "{request}");
    assert!(request.ends_with("SELECT {x:String}"));
}

#[tokio::test]
async fn rows_that_do_not_fit_say_which() {
    #[derive(Debug, Deserialize)]
    struct Row {
        #[expect(dead_code, reason = "only the parsing matters")]
        n: u64,
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(format!("http://{}", listener.local_addr().unwrap()));
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        let rows = answer("200 OK", "", "{\"n\":1}\n{\"n\":\"x\"}\n");
        stream.write_all(rows.as_bytes()).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(client.query_rows::<Row>("SELECT 1", &[]), serve);
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("row 2 ") && text.contains("byte 8"), "{text}");
}

#[tokio::test]
async fn an_answer_of_another_server_is_refused_where_one_must_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(format!("http://{}", listener.local_addr().unwrap())).of_one_server();
    let serve = async {
        for name in ["ch-0", "ch-0", "ch-1"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let headers = format!("X-ClickHouse-Server-Display-Name: {name}\r\n");
            stream.write_all(answer("200 OK", &headers, "1\n").as_bytes()).await.unwrap();
        }
    };
    let ask = async {
        let clone = client.clone();
        client.query_text("SELECT 1", &[]).await.unwrap();
        clone.query_text("SELECT 1", &[]).await.unwrap();
        client.query_text("SELECT 1", &[]).await.unwrap_err()
    };
    let (error, ()) = tokio::join!(ask, serve);
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    let text = error.to_string();
    assert!(text.contains("`ch-0`") && text.contains("`ch-1`") && text.contains("clickhouse.url"), "{text}");
}

#[test]
fn urls_that_cannot_work_are_refused_without_repeating_them() {
    for url in [
        "ftp://host:8443",
        "https://u:hunter2@host",
        "http://u:hunter2@host",
        "host:8123",
        "http://host/?password=hunter2",
        "",
    ] {
        let options = ClientOptions {
            url: url.to_owned(),
            ca_file: None,
            database: "nova".to_owned(),
            user: "default".to_owned(),
            password: "".into(),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(1),
        };
        let error = Client::new(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{url}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
