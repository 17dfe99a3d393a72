//! The dashboard of a running worker in a real Chromium, driven by Playwright (`dashboard.mjs`).
//!
//! `SCREENSHOTS=FOLDER` keeps pictures to be looked at.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use xtask::artifacts::Cache;
use xtask::workspace;

use crate::checks::goes_on;
use crate::wait::s;
use crate::world::World;

/// GIVEN a worker that works, and a comparison on record / WHEN its page is open / THEN it shows the flow, is told
/// what is new, fits phones and both colour schemes, and asks nobody but nova.
pub(crate) async fn dashboard(world: &mut World) -> Result<()> {
    goes_on(world).await?;
    let compared = world.nova(&["reconcile"]).await?;
    ensure!(compared.code == Some(0), "{}{}", compared.stdout, compared.stderr);
    let modules = Cache::open()?.playwright().await?;
    let worker = world.worker().dashboard.clone();
    let mut browser = Command::new("node");
    browser
        .arg(workspace::root().join("tests/end_to_end/dashboard.mjs"))
        .args([
            modules.as_os_str(),
            worker.as_ref(),
            std::env::var_os("SCREENSHOTS").unwrap_or_default().as_ref(),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output =
        tokio::time::timeout(s(90), browser.output()).await.context("the browser took too long")??;
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "dashboard.mjs: {text}{errors}");
    let seen: Value = serde_json::from_str(text.trim()).with_context(|| text.to_string())?;
    world.note(&format!("the page shows {seen}"));
    let nodes: Vec<&str> = seen["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(nodes == ["PostgreSQL", "Debezium", "Kafka", "nova", "ClickHouse"], "{seen}");
    let streams = seen["streams"].as_array().map_or(0, Vec::len);
    ensure!(streams >= 5, "{seen}");
    ensure!(
        seen["workers"].as_array().is_some_and(|workers| workers.iter().any(|name| name == "likes")),
        "{seen}"
    );
    for what in ["runs", "cells"] {
        ensure!(seen[what].as_u64().is_some_and(|number| number >= 5), "{what}: {seen}");
    }
    ensure!(seen["complaints"].as_array().is_some_and(Vec::is_empty), "{seen}");
    Ok(())
}
