//! Kafka Connect's REST interface, as far as Nova needs it.
//!
//! Source: <https://kafka.apache.org/documentation/#connect_rest>. Invariant: no error carries a request's body,
//! which holds passwords.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::Reading;
use super::answer::{Finding, Status, Validated, message_in};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A validation opens a connection to PostgreSQL, which has its own limits.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A worker answers 409 while its group rebalances.
const REBALANCE_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A request that Connect did not fulfil.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// There is no address: the connector is looked after by something else, Strimzi for one.
    #[error("connect.url is empty, so Kafka Connect is not asked from here")]
    NotOurs,
    /// No answer.
    #[error("Kafka Connect at {url} cannot be reached: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What the attempt ended in.
        reason: String,
    },
    /// An answer that is no success.
    #[error("Kafka Connect refused {what} (HTTP status {status}): {message}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// Connect's message.
        message: String,
    },
    /// An answer that cannot be read.
    #[error("the answer of {url} to {what} cannot be read: {reason}; is it Kafka Connect?")]
    Answer {
        /// The address.
        url: String,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A client of one Connect cluster.
#[derive(Debug, Clone)]
pub struct Connect {
    http: reqwest::Client,
    url: String,
}

impl Connect {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ConnectError::NotOurs`] without an address, [`ConnectError::Unreachable`] when no client can be made.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        if url.is_empty() {
            return Err(ConnectError::NotOurs);
        }
        let url = url.trim_end_matches('/').to_owned();
        let builder = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN);
        // The system's certificates are wanted for TLS alone; a system may have none.
        let builder = if url.starts_with("https://") { builder } else { builder.tls_certs_only([]) };
        match builder.build() {
            Ok(http) => Ok(Self { http, url }),
            Err(error) => Err(ConnectError::Unreachable { url, reason: causes(&error) }),
        }
    }

    /// The version of the worker's Kafka.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn version(&self) -> Result<String, ConnectError> {
        #[derive(Deserialize)]
        struct Root {
            version: String,
        }
        let what = "its version";
        let root: Root = self.read(what, self.ask(Method::GET, "/", what, None).await?)?;
        Ok(root.version)
    }

    /// Lets Connect check settings; it also opens a connection to PostgreSQL. The findings, none when all is well.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn validate(
        &self,
        name: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<Vec<Finding>, ConnectError> {
        let mut body = settings.clone();
        body.insert("name".to_owned(), name.to_owned());
        let what = "to check the connector's settings";
        let path = "/connector-plugins/PostgresConnector/config/validate";
        let validated: Validated = self.read(what, self.ask(Method::PUT, path, what, Some(&body)).await?)?;
        Ok(validated.findings())
    }

    /// The settings of a registered connector.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn config(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, ConnectError> {
        let what = format!("the settings of connector {name}");
        self.find(&format!("/connectors/{name}/config"), &what).await
    }

    /// The state of a registered connector; nothing before its first state is known.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn status(&self, name: &str) -> Result<Option<Status>, ConnectError> {
        let what = format!("the state of connector {name}");
        self.find(&format!("/connectors/{name}/status"), &what).await
    }

    /// Registers a connector, or gives it these settings.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn put(&self, name: &str, settings: &BTreeMap<String, String>) -> Result<(), ConnectError> {
        let what = format!("to register connector {name}");
        self.ask(Method::PUT, &format!("/connectors/{name}/config"), &what, Some(settings)).await.map(drop)
    }

    /// Takes a connector away.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn delete(&self, name: &str) -> Result<(), ConnectError> {
        let what = format!("to delete connector {name}");
        self.ask(Method::DELETE, &format!("/connectors/{name}"), &what, None).await.map(drop)
    }

    /// Starts what failed of a connector once more.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn restart_failed(&self, name: &str) -> Result<(), ConnectError> {
        let what = format!("to restart connector {name}");
        let path = format!("/connectors/{name}/restart?includeTasks=true&onlyFailed=true");
        self.ask(Method::POST, &path, &what, None).await.map(drop)
    }

    /// Ends the tasks and keeps the settings; until it is resumed nothing runs.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn stop(&self, name: &str) -> Result<(), ConnectError> {
        let what = format!("to stop connector {name}");
        self.ask(Method::PUT, &format!("/connectors/{name}/stop"), &what, None).await.map(drop)
    }

    /// Lets a stopped or paused connector run again.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn resume(&self, name: &str) -> Result<(), ConnectError> {
        let what = format!("to resume connector {name}");
        self.ask(Method::PUT, &format!("/connectors/{name}/resume"), &what, None).await.map(drop)
    }

    /// Lets a stopped connector forget where it was (KIP-875).
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn delete_offsets(&self, name: &str) -> Result<(), ConnectError> {
        let what = format!("to delete the offsets of connector {name}");
        self.ask(Method::DELETE, &format!("/connectors/{name}/offsets"), &what, None).await.map(drop)
    }

    /// Where a registered connector is; nothing before it has written that down.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn reading(&self, name: &str) -> Result<Option<Reading>, ConnectError> {
        let what = format!("the offsets of connector {name}");
        let offsets: Option<Value> = self.find(&format!("/connectors/{name}/offsets"), &what).await?;
        Ok(offsets.as_ref().and_then(Reading::of))
    }

    async fn find<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        what: &str,
    ) -> Result<Option<T>, ConnectError> {
        match self.ask(Method::GET, path, what, None).await {
            Ok(answer) => self.read(what, answer).map(Some),
            Err(ConnectError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, what: &str, answer: Value) -> Result<T, ConnectError> {
        serde_json::from_value(answer).map_err(|error| self.unreadable(what, &error.to_string()))
    }

    fn unreadable(&self, what: &str, reason: &str) -> ConnectError {
        ConnectError::Answer { url: self.url.clone(), what: what.to_owned(), reason: reason.to_owned() }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        what: &str,
        body: Option<&BTreeMap<String, String>>,
    ) -> Result<Value, ConnectError> {
        let deadline = Instant::now() + REBALANCE_WITHIN;
        loop {
            let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            let status = response.status();
            let text = response.text().await.map_err(|error| self.unreachable(&error))?;
            if status == StatusCode::CONFLICT && Instant::now() < deadline {
                sleep(ASK_AGAIN_AFTER).await;
                continue;
            }
            if !status.is_success() {
                let (what, status) = (what.to_owned(), status.as_u16());
                return Err(ConnectError::Refused { what, status, message: message_in(&text) });
            }
            if text.is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_str(&text).map_err(|error| self.unreadable(what, &error.to_string()));
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ConnectError {
        ConnectError::Unreachable { url: self.url.clone(), reason: causes(error) }
    }
}

/// The causes of a failed request in one line, without its URL.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::from(if error.is_timeout() { "timed out" } else { "" });
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
