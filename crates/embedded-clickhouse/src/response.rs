//! Answers with ClickHouse's headers.
//!
//! Invariant: an answer that carries an exception has a status other than 200 and `X-ClickHouse-Exception-Code`; the
//! summary holds only numbers that are true (see the crate's documentation).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use crate::exception::Exception;
use crate::execute::Answer;
use crate::framing;

pub(crate) type Reply = Response<Full<Bytes>>;

/// What every answer to a query carries.
pub(crate) struct Identity {
    pub(crate) timezone: String,
    /// The engine's version; ends the text of exceptions, as on a server.
    pub(crate) version: String,
}

/// Fixed texts such as `/ping`'s.
pub(crate) fn text(status: StatusCode, body: &'static str) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    reply
}

/// The answer to a query or insert.
pub(crate) fn answer(answer: Answer, compress: bool, query_id: &str, identity: &Identity) -> Reply {
    let summary = summary(&answer);
    let body =
        if compress { framing::encode(answer.outcome.as_ref()) } else { Bytes::from_owner(answer.outcome) };
    let mut reply = Response::new(Full::new(body));
    identify(&mut reply, query_id, identity);
    header(&mut reply, "x-clickhouse-summary", &summary);
    header(&mut reply, "x-clickhouse-format", &answer.format);
    header(&mut reply, CONTENT_TYPE.as_str(), content_type(&answer.format));
    reply
}

/// The answer to a request that failed.
pub(crate) fn exception(exception: &Exception, compress: bool, query_id: &str, identity: &Identity) -> Reply {
    let mut text = exception.text.trim_end().to_owned();
    let version = format!(" (version {})", identity.version);
    if !text.ends_with(&version) {
        text.push_str(&version);
    }
    text.push('\n');
    let body = if compress { framing::encode(text.as_bytes()) } else { text.into() };
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = exception.status();
    if exception.status() == StatusCode::UNAUTHORIZED {
        header(&mut reply, WWW_AUTHENTICATE.as_str(), "Basic realm=\"ClickHouse server HTTP API\"");
    }
    identify(&mut reply, query_id, identity);
    header(&mut reply, "x-clickhouse-exception-code", &exception.code.to_string());
    header(&mut reply, CONTENT_TYPE.as_str(), "text/plain; charset=UTF-8");
    reply
}

fn identify(reply: &mut Reply, query_id: &str, identity: &Identity) {
    header(reply, "x-clickhouse-query-id", query_id);
    header(reply, "x-clickhouse-timezone", &identity.timezone);
    header(reply, "x-clickhouse-server-display-name", "embedded-clickhouse");
}

/// A value that is no legal header value (a query id with a line break) is left out.
fn header(reply: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

fn summary(answer: &Answer) -> String {
    let counters = answer.outcome.counters;
    let read = if answer.insert {
        // Here the result of an insert is what it wrote, as on a server; rows read are unknown.
        format!(r#""result_rows":"{}","result_bytes":"{}""#, counters.written_rows, counters.written_bytes)
    } else {
        format!(
            r#""read_rows":"{}","read_bytes":"{}","result_rows":"{}","result_bytes":"{}""#,
            counters.read_rows, counters.read_bytes, counters.result_rows, counters.result_bytes
        )
    };
    format!(
        r#"{{{read},"written_rows":"{}","written_bytes":"{}","elapsed_ns":"{}"}}"#,
        counters.written_rows,
        counters.written_bytes,
        answer.elapsed.as_nanos()
    )
}

fn content_type(format: &str) -> &'static str {
    match format {
        "JSON" | "JSONCompact" | "JSONStrings" | "JSONColumns" => "application/json; charset=UTF-8",
        name if name.starts_with("JSON") => "application/x-ndjson; charset=UTF-8",
        "CSV" => "text/csv; charset=UTF-8; header=absent",
        name if name.starts_with("CSV") => "text/csv; charset=UTF-8; header=present",
        name if name.starts_with("TabSeparated") || name.starts_with("TSV") => {
            "text/tab-separated-values; charset=UTF-8"
        }
        name if name.starts_with("RowBinary") => "application/octet-stream",
        "Native" | "Parquet" | "Arrow" | "ArrowStream" | "ORC" | "Avro" => "application/octet-stream",
        _ => "text/plain; charset=UTF-8",
    }
}
