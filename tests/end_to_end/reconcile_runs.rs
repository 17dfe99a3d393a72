//! Runs of `nova reconcile` as operators make them: one that is killed and goes on, one on a schedule, and what they leave.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::admin::metric;
use crate::checks::equal;
use crate::metrics::{OF_RECONCILE, Scrape};
use crate::wait::{s, until};
use crate::world::{World, ended};

/// GIVEN a run with a checkpoint that is killed between two streams / THEN the same command goes on with it. GIVEN an event
/// that became a dead letter / THEN the page says so, and runs on a schedule tell it by their metrics and the history.
pub(crate) async fn reconcile_runs(world: &mut World) -> Result<()> {
    world.traffic(2, 100.0).await?;
    equal(world).await?;
    let folder = world.stack.run_dir.subdir("reconcile")?;
    let run = killed_and_gone_on(world, &folder.join("run.json")).await?;

    let newer = uuid::Uuid::now_v7();
    sqlx::query(
        "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload) \
         VALUES ($1, 'engagement', $1, 'view', '{\"version\": 4}')",
    )
    .bind(newer)
    .execute(world.postgres())
    .await?;
    let page = folder.join("report.html").display().to_string();
    let answer = world.nova(&["reconcile", "--stream", "engagement", "--html", &page]).await?;
    ensure!(answer.code == Some(3), "{answer:?}");
    let text = std::fs::read_to_string(&page)?;
    for part in ["<!doctype html>", "1 difference in 1 of 1 stream, all explained by dead letters"] {
        ensure!(text.to_lowercase().contains(&part.to_lowercase()), "the page lacks `{part}`");
    }

    on_a_schedule(world).await?;
    let events = &world.events().admin;
    until("the worker of events tells what others found", s(60), async || {
        let labels = [("stream", "engagement"), ("kind", "missing")];
        let found = metric(events, "nova_reconcile_differences", &labels).await?;
        ensure!((found - 1.0).abs() < 0.5, "{found} differences");
        Ok(())
    })
    .await?;
    let answer = world.nova(&["reconcile", "history", "-o", "json"]).await?;
    let runs: Value = serde_json::from_str(&answer.stdout).with_context(|| answer.stdout.clone())?;
    let runs = runs.as_array().context("no runs")?;
    let explained = runs.iter().filter(|run| run["stream"] == "engagement" && run["verdict"] == "explained");
    ensure!(explained.count() >= 3, "one run by hand and two on the schedule: {runs:?}");
    let of_run: Vec<&Value> = runs.iter().filter(|found| found["run_id"] == run).collect();
    ensure!(of_run.len() == 5, "{of_run:?}");
    ensure!(of_run.iter().all(|found| found["verdict"] == "equal"), "{of_run:?}");
    // The event that no version of Nova knows would be a difference to whoever comes next.
    sqlx::query("DELETE FROM engagement_outbox WHERE id = $1").bind(newer).execute(world.postgres()).await?;
    equal(world).await.map(drop)
}

/// Kills a run that has compared the streams before `likes`, and starts it again. Answers the run's identity.
async fn killed_and_gone_on(world: &World, file: &Path) -> Result<Value> {
    let name = file.display().to_string();
    let args = ["reconcile", "--checkpoint", &name, "-o", "json"];
    // The run cannot read the table as long as this transaction holds it.
    let mut holder = world.postgres().begin().await?;
    sqlx::query("LOCK TABLE likes IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await?;
    let mut command = Command::new(&world.installation.nova);
    command.arg("--config").arg(&world.installation.config).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = command.kill_on_drop(true).spawn()?;
    let kept = until("the streams before `likes` are kept", s(60), async || {
        let kept: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        ensure!(kept["done"].as_array().is_some_and(|done| done.len() == 3), "{}", kept["done"]);
        Ok(kept)
    })
    .await?;
    first.kill().await?;
    holder.rollback().await?;

    let answer = world.nova(&args).await?;
    ensure!(answer.code == Some(0), "{answer:?}");
    let report: Value = serde_json::from_str(&answer.stdout)?;
    ensure!(report["run_id"] == kept["run_id"], "another run: {}", report["run_id"]);
    let streams = report["streams"].as_array().context("streams")?;
    let snapshots: Vec<&Value> = streams.iter().map(|stream| &stream["snapshots"][0]["taken_ms"]).collect();
    let before = &kept["done"][0]["snapshots"][0]["taken_ms"];
    ensure!(snapshots.len() == 5 && snapshots[..3].iter().all(|taken| *taken == before), "{snapshots:?}");
    ensure!(snapshots[3].as_i64() > before.as_i64(), "{snapshots:?}");
    ensure!(!file.exists(), "the checkpoint is still there");
    Ok(kept["run_id"].clone())
}

async fn on_a_schedule(world: &World) -> Result<()> {
    let worker =
        world.installation.run_worker("reconcile", &["reconcile", "--set", "reconcile.every=2s"]).await?;
    let admin = &worker.admin;
    until("two runs", s(60), async || {
        let runs = metric(admin, "nova_reconcile_runs_total", &[("verdict", "explained")]).await?;
        ensure!(runs >= 2.0, "{runs} runs");
        Ok(())
    })
    .await?;
    for (name, labels, expected) in [
        ("nova_reconcile_explained_differences", [("stream", "engagement")].as_slice(), 1.0),
        ("nova_reconcile_differences", &[("stream", "engagement"), ("kind", "missing")], 1.0),
        ("nova_reconcile_differences", &[("stream", "likes")], 0.0),
        ("nova_reconcile_last_verdict", &[("stream", "likes"), ("verdict", "equal")], 1.0),
    ] {
        let found = metric(admin, name, labels).await?;
        ensure!((found - expected).abs() < 0.5, "{name} {labels:?} is {found}");
    }
    let good = metric(admin, "nova_reconcile_last_good_timestamp_seconds", &[("stream", "likes")]).await?;
    ensure!(good > 1.0e9, "likes were equal at {good}");
    Scrape::of(admin).await?.fits(|name| name.starts_with(OF_RECONCILE))?;
    let code = ended(&worker.process, Signal::SIGTERM).await?;
    ensure!(code == Some(0), "`nova run reconcile` ended with {code:?}");
    Ok(())
}
