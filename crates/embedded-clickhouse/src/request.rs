//! What a request asks for: the statement's part outside the body, settings, parameters, formats.
//!
//! Invariant: each URL parameter is either one of the interface's own names, a `param_x`, or a setting that the
//! engine checks; none is dropped in silence. Source: <https://clickhouse.com/docs/interfaces/http>.

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{HeaderMap, Method, Uri};

use crate::engine::Parameters;
use crate::exception::Exception;
use crate::multipart;

/// A request without its body.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// The statement, or its beginning; the body continues it after a line break.
    pub(crate) sql: String,
    /// The only role that the request has; `None` for all of them.
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) parameters: Parameters,
    /// Output format unless the statement names one.
    pub(crate) format: String,
    /// Sent back in `X-ClickHouse-Query-Id`.
    pub(crate) id: String,
    /// GET requests may not write.
    pub(crate) read_only: bool,
    /// The body is block-framed.
    pub(crate) decompress: bool,
    /// The answer is to be block-framed.
    pub(crate) compress: bool,
}

/// The URL's parameters, decoded, in order.
pub(crate) fn url_parameters(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

impl Query {
    pub(crate) fn new(
        user: Option<String>,
        method: &Method,
        headers: &HeaderMap,
        url: Vec<(String, String)>,
    ) -> Result<Self, Exception> {
        refuse_content_encoding(headers)?;
        let header = |name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut query = Self {
            user,
            database: header("x-clickhouse-database"),
            format: header("x-clickhouse-format").unwrap_or_else(|| "TabSeparated".to_owned()),
            read_only: method != Method::POST,
            ..Self::default()
        };
        for (name, value) in url {
            query.take(name, value)?;
        }
        if query.id.is_empty() {
            query.id = uuid::Uuid::new_v4().to_string();
        }
        // A read-only session refuses further settings.
        query.settings.sort_by_key(|(name, _)| name == "readonly");
        Ok(query)
    }

    fn take(&mut self, name: String, value: String) -> Result<(), Exception> {
        match name.as_str() {
            "query" => self.sql = value,
            "database" if value.is_empty() => {}
            "database" => self.database = Some(value),
            "default_format" => self.format = value,
            "query_id" => self.id = value,
            "compress" => self.compress = is_true(&value),
            "decompress" => self.decompress = is_true(&value),
            "role" => self.roles.push(value),
            // The answer is always complete before its first byte is sent, so these change nothing.
            "user"
            | "password"
            | "quota_key"
            | "stacktrace"
            | "buffer_size"
            | "wait_end_of_query"
            | "client_protocol_version" => {}
            "session_id" | "session_timeout" | "session_check" | "close_session" => {
                let message = format!("{name}: sessions are not available here, each request stands alone");
                return Err(Exception::new(Exception::NOT_IMPLEMENTED, message));
            }
            _ => match name.strip_prefix("param_") {
                Some(parameter) => self.parameters.0.push((parameter.to_owned(), value)),
                None => self.settings.push((name, value)),
            },
        }
        Ok(())
    }

    /// Adds the fields of a multipart/form-data body.
    pub(crate) fn take_fields(&mut self, body: &Bytes, boundary: &str) -> Result<(), Exception> {
        for (name, value) in multipart::fields(body, boundary)? {
            if name != "query" && !name.starts_with("param_") {
                let message = format!("multipart/form-data field {name}: only query and param_… are known");
                return Err(Exception::new(Exception::BAD_ARGUMENTS, message));
            }
            self.take(name, value)?;
        }
        Ok(())
    }
}

/// The boundary of a multipart/form-data request.
pub(crate) fn multipart_boundary(headers: &HeaderMap) -> Option<&str> {
    multipart::boundary(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}

fn refuse_content_encoding(headers: &HeaderMap) -> Result<(), Exception> {
    match headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("" | "identity") => Ok(()),
        Some(other) => {
            let message = format!(
                "Content-Encoding: {other} is not available here: send the body plain, or block-framed with decompress=1"
            );
            Err(Exception::new(Exception::NOT_IMPLEMENTED, message))
        }
    }
}

fn is_true(value: &str) -> bool {
    matches!(value, "1" | "true")
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, Method};

    use super::{Query, url_parameters};

    fn query(url: &str) -> Result<Query, u32> {
        let url = url_parameters(&url.parse().unwrap());
        Query::new(None, &Method::POST, &HeaderMap::new(), url).map_err(|e| e.code)
    }

    #[test]
    fn every_parameter_goes_somewhere() {
        let query = query("/?query=SELECT+%27%C3%A4%27&readonly=2&max_threads=1&param_a=%5Ct&database=d&compress=1&query_id=x").unwrap();
        assert_eq!(query.sql, "SELECT 'ä'");
        assert_eq!(
            query.settings,
            [("max_threads", "1"), ("readonly", "2")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert_eq!(query.parameters.0, [("a".to_owned(), "\\t".to_owned())]);
        assert_eq!((query.database.as_deref(), query.id.as_str()), (Some("d"), "x"));
        assert!(query.compress && !query.decompress && !query.read_only);
    }

    #[test]
    fn sessions_and_content_encodings_are_refused() {
        assert_eq!(query("/?session_id=1").unwrap_err(), 48);
        let gzip: HeaderMap =
            [("content-encoding".parse().unwrap(), "gzip".parse().unwrap())].into_iter().collect();
        assert_eq!(Query::new(None, &Method::POST, &gzip, Vec::new()).unwrap_err().code, 48);
    }
}
