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

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A validation opens a connection to PostgreSQL, which has its own limits.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A worker answers 409 while its group rebalances.
const REBALANCE_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A request that Connect did not fulfil.
#[derive(Debug, Error)]
pub enum ConnectError {
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

/// The state of a connector and its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The connector.
    pub connector: Part,
    /// Its tasks.
    pub tasks: Vec<Part>,
}

/// The state of a connector or a task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Part {
    /// `RUNNING`, `FAILED`, `PAUSED`, `STOPPED`, `RESTARTING` or `UNASSIGNED`.
    pub state: String,
    /// The worker's REST address.
    #[serde(default)]
    pub worker_id: String,
    /// The Java stack trace of what it failed with.
    pub trace: Option<String>,
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
    /// [`ConnectError::Unreachable`] when no client can be made.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        let url = url.trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN).build();
        match http {
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

    async fn find<T: for<'de> Deserialize<'de>>(&self, path: &str, what: &str) -> Result<Option<T>, ConnectError> {
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

/// What Connect finds wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The setting.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

#[derive(Deserialize)]
struct Validated {
    configs: Vec<ValidatedSetting>,
}

#[derive(Deserialize)]
struct ValidatedSetting {
    value: ValidatedValue,
}

#[derive(Deserialize)]
struct ValidatedValue {
    name: String,
    #[serde(default)]
    errors: Vec<String>,
}

impl Validated {
    fn findings(self) -> Vec<Finding> {
        let values = self.configs.into_iter().map(|setting| setting.value);
        values
            .flat_map(|ValidatedValue { name, errors }| {
                errors.into_iter().map(move |message| Finding { key: name.clone(), message })
            })
            .collect()
    }
}

/// Connect's own words out of `{"error_code": …, "message": …}`; else the beginning of what came.
fn message_in(text: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let message = parsed.as_ref().and_then(|value| value.get("message")).and_then(Value::as_str).unwrap_or(text);
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(600).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_from_a_validation() {
        // As Connect 4.3.1 answered, shortened.
        let answer = r#"{"name":"io.debezium.connector.postgresql.PostgresConnector","error_count":1,"groups":[],
            "configs":[{"definition":{},"value":{"name":"slot.name","value":"s","recommended_values":[],"errors":[],
            "visible":true}},{"definition":{},"value":{"name":"snapshot.mode","value":"xx","recommended_values":[],
            "errors":["The 'snapshot.mode' value is invalid"],"visible":true}}]}"#;
        let validated: Validated = serde_json::from_str(answer).unwrap();
        let message = "The 'snapshot.mode' value is invalid".to_owned();
        assert_eq!(validated.findings(), [Finding { key: "snapshot.mode".into(), message }]);
    }

    #[test]
    fn messages_are_connects_own_words() {
        assert_eq!(message_in(r#"{"error_code":400,"message":"two\n lines"}"#), "two lines");
        assert_eq!(message_in("<html>proxy</html>"), "<html>proxy</html>");
    }
}
