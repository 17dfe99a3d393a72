//! The admin server: what it answers, what it must never tell, and how its process ends on Ctrl-C.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::checks::goes_on;
use crate::metrics::sane;
use crate::wait::{s, until};
use crate::world::World;

/// Status and body.
pub(crate) async fn get(admin: &str, path: &str) -> Result<(u16, String)> {
    let response = reqwest::get(format!("{admin}{path}")).await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// Waits until `/health/ready` answers 200.
pub(crate) async fn ready(admin: &str, within: Duration) -> Result<()> {
    until("ready", within, async || {
        let (status, body) = get(admin, "/health/ready").await?;
        ensure!(status == 200, "/health/ready answers {status}: {body}");
        Ok(())
    })
    .await
}

/// The sum of a metric over all series that carry these labels; an error when there is none.
pub(crate) async fn metric(admin: &str, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let (_, text) = get(admin, "/metrics").await?;
    let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let series = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && wanted.iter().all(|label| line.contains(label))
    });
    let values: Vec<f64> = series.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    ensure!(!values.is_empty(), "/metrics has no {name} with {labels:?}");
    Ok(values.iter().sum())
}

/// GIVEN a worker that has worked / THEN its routes and its metrics are those that are documented, and the metrics name no user.
pub(crate) async fn admin(world: &mut World) -> Result<()> {
    goes_on(world).await?;
    let admin = world.worker().admin.clone();
    ready(&admin, s(30)).await?;
    routes(&admin).await?;
    metrics(world, &admin).await?;
    let (status, _) = get(&admin, "/nothing").await?;
    ensure!(status == 404, "an unknown path answers {status}");

    let code = world.replace_worker(Signal::SIGINT).await?;
    ensure!(code == Some(130), "exit code {code:?} after SIGINT");
    goes_on(world).await
}

async fn routes(admin: &str) -> Result<()> {
    let (_, text) = get(admin, "/openapi.json").await?;
    let document: serde_json::Value = serde_json::from_str(&text)?;
    let paths = document["paths"].as_object().context("no paths")?;
    for expected in ["/health/live", "/health/ready", "/metrics"] {
        ensure!(paths.contains_key(expected), "/openapi.json does not list {expected}");
    }
    for path in paths.keys() {
        let (status, body) = get(admin, path).await?;
        ensure!(status == 200 && !body.is_empty(), "{path} answers {status}: {body}");
    }
    let (_, body) = get(admin, "/health/ready").await?;
    let report: serde_json::Value = serde_json::from_str(&body)?;
    let workers = report["workers"].as_array().context("no workers")?;
    for name in ["posts", "follows", "likes", "comments", "kafka", "clickhouse", "postgres"] {
        ensure!(workers.iter().any(|worker| worker["name"] == name), "no worker {name} in {body}");
    }
    Ok(())
}

async fn metrics(world: &World, admin: &str) -> Result<()> {
    sane(admin).await?;
    let (_, text) = get(admin, "/metrics").await?;
    let has_uuid = text
        .split(|c: char| !(c.is_ascii_hexdigit() || c == '-'))
        .any(|word| word.len() == 36 && word.bytes().filter(|byte| *byte == b'-').count() == 4);
    ensure!(!has_uuid, "/metrics tells the key of a row");
    let handles: Vec<String> =
        sqlx::query_scalar("SELECT handle FROM users").fetch_all(world.postgres()).await?;
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        ensure!(!handles.iter().any(|handle| handle == word), "/metrics tells of the user {word}");
    }
    Ok(())
}
