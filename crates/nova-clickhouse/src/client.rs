//! Statements over ClickHouse's HTTP interface, HTTP/1.1 with or without TLS, one request each, no retries.
//!
//! Source: <https://clickhouse.com/docs/interfaces/http>.
//!
//! Invariant: every request asks for `wait_end_of_query=1`, so the server's verdict is known before the first byte
//! of the answer, and a 200 means that the statement has run to its end. User and password go into a header, never
//! into the URL.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use nova_tls::Fault;
use reqwest::{RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::ClickHouseError;
use crate::answer::{bounded, code_in_text, readable, trailing_exception};
use crate::sql::parameter_value;

/// Idle connections are dropped before the server drops them (its `keep_alive_timeout` was 3 s for long): a request
/// on a connection that the server is closing would look like a lost reply.
const POOL_IDLE: Duration = Duration::from_secs(2);

/// The server's default `max_query_size`, in bytes; a longer statement, one with many identities in it, says how long
/// it is.
const MAX_QUERY_SIZE: usize = 262_144;

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `http://host:port` or `https://host:port`, nothing behind it.
    pub url: String,
    /// PEM file of the CAs that are trusted; the system's when there is none. For `https` only.
    pub ca_file: Option<PathBuf>,
    /// The database that statements run in.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
    /// Limit for establishing a connection.
    pub connect_timeout: Duration,
    /// Limit for a whole request, from its first byte to the last byte of the answer.
    pub request_timeout: Duration,
}

/// A client of one server and one database; cheap to clone, clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
    database: String,
    user: String,
    password: SecretString,
    /// The name of the server that has answered first, where only one may answer.
    only: Option<Arc<OnceLock<String>>>,
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClickHouseError::Options`] for a URL that is not `http(s)://host:port`, and for a CA file that cannot be used.
    pub fn new(options: ClientOptions) -> Result<Self, ClickHouseError> {
        let ClientOptions { url, ca_file, database, user, password, connect_timeout, request_timeout } =
            options;
        let endpoint = parse_endpoint(&url)?;
        let builder = reqwest::Client::builder();
        let builder = if endpoint.scheme() == "https" {
            let tls = nova_tls::client_config(ca_file.as_deref());
            builder
                .tls_backend_preconfigured(tls.map_err(|error| ClickHouseError::Options(error.to_string()))?)
        } else {
            // Else the system's certificates would be read, and a system without any be refused.
            builder.tls_certs_only([])
        };
        let http = builder
            .connect_timeout(connect_timeout)
            .timeout(request_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .build()
            .map_err(|error| ClickHouseError::Options(chain(&error)))?;
        Ok(Self { http, endpoint, database, user, password, only: None })
    }

    /// The same, bound to the server that answers first: an answer of another one is
    /// [`ClickHouseError::AnotherServer`]. Servers are told apart by `display_name`, their host's name by default.
    #[must_use]
    pub fn of_one_server(mut self) -> Self {
        self.only = Some(Arc::default());
        self
    }

    /// Whether [`Client::of_one_server`] made it.
    pub(crate) fn is_of_one_server(&self) -> bool {
        self.only.is_some()
    }

    /// The database that statements run in.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether a server answers at all (`/ping`); user and database are not looked at.
    ///
    /// # Errors
    /// No server, or an answer that is not ClickHouse's `Ok.`
    pub async fn ping(&self) -> Result<(), ClickHouseError> {
        let mut url = self.endpoint.clone();
        url.set_path("/ping");
        let body = self.exchange(self.http.get(url)).await?;
        if body.trim_ascii() == b"Ok." {
            return Ok(());
        }
        Err(self.unreadable(format!("/ping said `{}`", bounded(&String::from_utf8_lossy(&body), 80))))
    }

    /// Runs a query and returns the answer as text: TabSeparated, if the query names no format.
    ///
    /// `parameters` fill `{name:Type}` in the query, on the server.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn query_text(
        &self,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, ClickHouseError> {
        let body = self.exchange(self.statement(sql, parameters, "TabSeparated")).await?;
        String::from_utf8(body.into()).map_err(|error| self.unreadable(error.to_string()))
    }

    /// Runs a query and returns the answer as it comes, in `RowBinary`. The query must not name a format.
    pub(crate) async fn query_binary(
        &self,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Bytes, ClickHouseError> {
        self.exchange(self.statement(sql, parameters, "RowBinary")).await
    }

    /// Runs a query and returns its rows, by column name. The query must not name a format.
    ///
    /// # Errors
    /// See [`ClickHouseError`]; [`ClickHouseError::Answer`] for rows that `T` does not fit.
    pub async fn query_rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<T>, ClickHouseError> {
        let request = self
            .statement(sql, parameters, "JSONEachRow")
            // Numbers as numbers; and an exception never as something that looks like a row.
            .query(&[
                ("output_format_json_quote_64bit_integers", "0"),
                ("http_write_exception_in_output_format", "0"),
            ]);
        let body = self.exchange(request).await?;
        body.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .enumerate()
            .map(|(row, line)| {
                // Neither the row nor the parser's words, which repeat values: they may be user data.
                serde_json::from_slice(line).map_err(|error| {
                    let (row, column) = (row + 1, error.column());
                    self.unreadable(format!("row {row} is not what was asked for, at its byte {column}"))
                })
            })
            .collect()
    }

    /// Runs a statement that returns nothing: DDL, `SYSTEM`, `INSERT … SELECT`.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn execute(&self, sql: &str) -> Result<(), ClickHouseError> {
        self.exchange(self.statement(sql, &[], "Null")).await.map(drop)
    }

    /// The same outside of the client's database, which may not exist yet.
    pub(crate) async fn execute_outside(&self, sql: &str) -> Result<(), ClickHouseError> {
        self.exchange(self.post().body(sql.to_owned())).await.map(drop)
    }

    /// Sends an INSERT whose data is the body.
    pub(crate) async fn insert(
        &self,
        sql: &str,
        settings: &[(&str, &str)],
        data: Bytes,
    ) -> Result<(), ClickHouseError> {
        let request =
            self.post().query(&[("database", self.database.as_str()), ("query", sql)]).query(settings);
        self.exchange(request.body(data)).await.map(drop)
    }

    /// A statement goes into the body, where its length has no limit; its parameters go into the URL.
    fn statement(&self, sql: &str, parameters: &[(&str, &str)], format: &str) -> RequestBuilder {
        let parameters: Vec<(String, String)> = parameters
            .iter()
            .map(|(name, value)| (format!("param_{name}"), parameter_value(value)))
            .collect();
        let request = self
            .post()
            .query(&[("database", self.database.as_str()), ("default_format", format)])
            .query(&parameters);
        let request = if sql.len() < MAX_QUERY_SIZE {
            request
        } else {
            request.query(&[("max_query_size", sql.len() + 1)])
        };
        request.body(sql.to_owned())
    }

    fn post(&self) -> RequestBuilder {
        self.http
            .post(self.endpoint.clone())
            .basic_auth(&self.user, Some(self.password.expose_secret()))
            .query(&[("wait_end_of_query", "1")])
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Bytes, ClickHouseError> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        self.same_server(&response)?;
        let status = response.status();
        let code =
            header(&response, "X-ClickHouse-Exception-Code").and_then(|value| value.trim().parse().ok());
        let tag = header(&response, "X-ClickHouse-Exception-Tag").map(str::to_owned);
        let body = match response.bytes().await {
            Ok(body) => body,
            // The verdict has arrived even if its words have not.
            Err(_) if code.is_some() => Bytes::new(),
            Err(error) => return Err(self.broken(&error)),
        };
        if status.is_success() && code.is_none() {
            return match trailing_exception(&body, tag.as_deref()) {
                Some(found) => Err(self.refused(status.as_u16(), found.code, &found.message)),
                None => Ok(body),
            };
        }
        let text = String::from_utf8_lossy(&body);
        Err(self.refused(status.as_u16(), code.or_else(|| code_in_text(&text)), &text))
    }

    fn same_server(&self, response: &Response) -> Result<(), ClickHouseError> {
        let (Some(only), Some(name)) = (&self.only, header(response, "X-ClickHouse-Server-Display-Name"))
        else {
            return Ok(());
        };
        let first = only.get_or_init(|| name.to_owned());
        if first == name {
            return Ok(());
        }
        let (endpoint, first, name) = (self.endpoint.to_string(), first.clone(), name.to_owned());
        Err(ClickHouseError::AnotherServer { endpoint, first, name })
    }

    fn refused(&self, status: u16, code: Option<i32>, text: &str) -> ClickHouseError {
        let (endpoint, message) = (self.endpoint.to_string(), readable(text));
        match code {
            Some(code) => ClickHouseError::Exception { endpoint, code, message },
            None => ClickHouseError::Status { endpoint, status, message },
        }
    }

    fn broken(&self, error: &reqwest::Error) -> ClickHouseError {
        let (endpoint, reason) = (self.endpoint.to_string(), chain(error));
        if let Some(fault) = Fault::of(error).filter(|_| error.is_connect()) {
            ClickHouseError::Untrusted { endpoint, fault }
        } else if error.is_connect() {
            ClickHouseError::NotSent { endpoint, reason }
        } else if error.is_builder() {
            ClickHouseError::Options(reason)
        } else {
            ClickHouseError::NoReply { endpoint, reason }
        }
    }

    pub(crate) fn unreadable(&self, reason: String) -> ClickHouseError {
        ClickHouseError::Answer { endpoint: self.endpoint.to_string(), reason }
    }
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn parse_endpoint(url: &str) -> Result<Url, ClickHouseError> {
    // The text itself may hold a password, so it is not repeated.
    let refuse = |what: &str| {
        Err(ClickHouseError::Options(format!(
            "the URL {what}; write `http://host:8123` or `https://host:8443`, user and password apart"
        )))
    };
    let Ok(parsed) = Url::parse(url) else { return refuse("cannot be parsed") };
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return refuse("is neither an `http://` nor an `https://` URL");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return refuse("contains a user or a password");
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return refuse("has something behind the path");
    }
    Ok(parsed)
}

/// The error and its causes in one line. reqwest repeats the URL, whose query can be long; it is left out.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if error.is_timeout() {
        text.insert_str(0, "timed out: ");
    }
    bounded(&text, 300)
}
