//! The connector, by Kafka Connect's REST interface, as an operator's tools see it.
//!
//! Source: <https://kafka.apache.org/documentation/#connect_rest>. Invariant: nothing here waits; whoever needs a state
//! asks for it again.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, Method};
use serde_json::Value;

const NAME: &str = "nova-cdc";
const TIMEOUT: Duration = Duration::from_secs(5);
/// Enough of a Java exception to know it again.
const CAUSE_CHARS: usize = 200;

/// The connector of the installation.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    client: Client,
    url: String,
}

impl Connector {
    /// `connect`: the worker's REST interface.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub(super) fn new(connect: &str) -> Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { client, url: format!("{connect}/connectors/{NAME}") })
    }

    async fn call(&self, method: Method, path: &str) -> Result<String> {
        let response = self.client.request(method, format!("{}{path}", self.url)).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    async fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.call(Method::GET, "/status").await?)?)
    }

    /// Restarts the connector's failed tasks; answers why one had failed.
    ///
    /// # Errors
    /// When Connect does not answer.
    pub(super) async fn restart_failed_tasks(&self) -> Result<Option<String>> {
        let status = self.status().await?;
        let tasks = status.get("tasks").and_then(Value::as_array).context("no tasks")?;
        let failed = |task: &&Value| task.get("state").is_some_and(|state| state == "FAILED");
        let Some(task) = tasks.iter().find(failed) else { return Ok(None) };
        let trace = task.get("trace").and_then(Value::as_str).unwrap_or_default();
        let causes: Vec<&str> = trace.lines().filter(|line| !line.starts_with(['\t', ' '])).collect();
        let cause = causes.join(" | ").chars().take(CAUSE_CHARS).collect();
        self.call(Method::POST, "/restart?includeTasks=true&onlyFailed=true").await?;
        Ok(Some(cause))
    }

    /// Whether it is stopped, its task gone.
    ///
    /// # Errors
    /// When Connect does not answer.
    pub(super) async fn is_stopped(&self) -> Result<bool> {
        let status = self.status().await?;
        let tasks = status.get("tasks").and_then(Value::as_array).map_or(0, Vec::len);
        Ok(tasks == 0 && status.pointer("/connector/state").is_some_and(|state| state == "STOPPED"))
    }

    /// Stops it, so that its offsets can be changed.
    ///
    /// # Errors
    /// When Connect refuses.
    pub(super) async fn stop(&self) -> Result<()> {
        self.call(Method::PUT, "/stop").await.map(drop)
    }

    /// Forgets how far it has read.
    ///
    /// # Errors
    /// When it is not stopped.
    pub(super) async fn forget_offsets(&self) -> Result<()> {
        self.call(Method::DELETE, "/offsets").await.map(drop)
    }

    /// Whether it has noted how far it has read, beyond a snapshot. Killed before, it takes a whole snapshot when it
    /// starts again, and what happened meanwhile is not among its changes.
    ///
    /// # Errors
    /// When Connect does not answer.
    pub(super) async fn has_noted(&self) -> Result<bool> {
        let noted: Value = serde_json::from_str(&self.call(Method::GET, "/offsets").await?)?;
        let offset = noted.pointer("/offsets/0/offset");
        let snapshot =
            offset.and_then(|offset| offset.get("snapshot")).is_some_and(|snapshot| snapshot != false);
        Ok(offset.is_some_and(Value::is_object) && !snapshot)
    }

    /// Lets it run again.
    ///
    /// # Errors
    /// When Connect refuses.
    pub(super) async fn resume(&self) -> Result<()> {
        self.call(Method::PUT, "/resume").await.map(drop)
    }

    /// Changes one of its settings.
    ///
    /// # Errors
    /// When Connect refuses.
    pub(super) async fn set(&self, name: &str, value: &str) -> Result<()> {
        let mut config: BTreeMap<String, String> =
            serde_json::from_str(&self.call(Method::GET, "/config").await?)?;
        config.insert(name.to_owned(), value.to_owned());
        let request = self.client.put(format!("{}/config", self.url));
        let request = request.header("Content-Type", "application/json").body(serde_json::to_vec(&config)?);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
