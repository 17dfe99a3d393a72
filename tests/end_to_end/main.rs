//! End-to-end tests: the real `nova` on real servers, from a commit in PostgreSQL to the rows in ClickHouse.
//!
//! Invariant: one stack serves all scenarios, one after the other; it starts with the first that runs, is made anew
//! after one that fails, and is gone at the end whatever that is: success, failure, panic, Ctrl-C.
//!
//! A failure tells the seeds of its traffic and the end of the worker's log; `TEST_SEED` sets the first seed, and
//! `NOVA_KEEP_LOGS=1` leaves the stack's folder behind.

mod admin;
mod audit;
mod backfill;
mod bad_input;
mod canary;
mod checks;
mod collector;
mod commands;
mod connector;
mod dashboard;
mod disk_full;
mod dlq;
mod doctor;
mod drift;
mod engagement;
mod faults;
mod letters;
mod main_job;
mod metrics;
mod offsets;
mod outages;
mod outbox;
mod poison;
mod rebuild;
mod reconcile;
mod reconcile_runs;
mod recovery;
mod repair;
mod replay;
mod replay_refusals;
mod runbook;
mod runbooks;
mod stage;
mod status;
mod topics;
mod tracing;
mod truncate;
mod upgrade;
mod wait;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Conclusion, Trial};
use xtask::interrupt::unless_interrupted;

use stage::Stage;

fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    vec![
        Trial::test("runbook_form", || Ok(runbook::form()?)),
        stage.trial("main_job", main_job::main_job),
        stage.trial("views", engagement::views),
        stage.trial("audit", audit::audit),
        stage.trial("admin", admin::admin),
        stage.trial("dashboard", dashboard::dashboard),
        stage.trial("migrate", commands::migrate),
        stage.trial("config", commands::config),
        stage.trial("bad_input", bad_input::bad_input),
        stage.trial("connector_bad_password", connector::bad_password),
        stage.trial("doctor", doctor::doctor),
        stage.trial("status", status::status),
        stage.trial("poison", poison::poison),
        stage.trial("dlq", dlq::dlq),
        stage.trial("repair", repair::repair),
        stage.trial("replay_refusals", replay_refusals::replay_refusals),
        stage.trial("outbox_events", outbox::events),
        stage.trial("outbox_told_again", outbox::events_told_again),
        stage.trial("outbox_days", outbox::outbox_days),
        stage.trial("drift", drift::drift),
        stage.trial("truncate", truncate::truncate),
        stage.trial("offsets_expired", offsets::offsets_expired),
        stage.trial("offsets_topic_made_again", offsets::offsets_topic_made_again),
        stage.trial("tracing", tracing::tracing),
        stage.trial("canary", canary::canary),
        stage.trial("sigterm_under_load", faults::sigterm_under_load),
        stage.trial("rebalance", faults::rebalance),
        stage.trial_within("upgrade", upgrade::LIMIT, upgrade::upgrade),
        stage.trial("clickhouse_down", outages::clickhouse_down),
        stage.trial("kafka_restart", outages::kafka_restart),
        stage.trial("kafka_disk_full", outages::kafka_disk_full),
        stage.trial("connect_restart", outages::connect_restart),
        stage.trial("postgres_restart", outages::postgres_restart),
        stage.trial("failed_task", recovery::failed_task),
        stage.trial("dead_letters_gone", letters::dead_letters_gone),
        stage.trial_within(
            "reconcile_under_writes",
            reconcile::UNDER_WRITES_LIMIT,
            reconcile::reconcile_under_writes,
        ),
        stage.trial("reconcile_runs", reconcile_runs::reconcile_runs),
        stage.trial_that_spoils("reconcile_finds", reconcile::reconcile_finds),
        // It reads all topics from their beginning into a small table: a world that has not run for long, and whose topics
        // have lost nothing.
        stage.trial("disk_full", disk_full::disk_full),
        // What was repaired would stay a finding of the audit that it asks at its end.
        stage.trial_within("backfill", backfill::LIMIT, backfill::backfill),
        stage.trial("runbook_restored", runbooks::restored),
        stage.trial("runbook_expired", runbooks::expired),
        stage.trial_that_spoils("lost_slot", recovery::lost_slot),
        stage.trial_within("rebuild", rebuild::LIMIT, rebuild::rebuild),
        stage.trial_within("replay", replay::LIMIT, replay::replay),
    ]
}

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // They share one stack, and some of them break it for a while.
    arguments.test_threads = Some(1);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let stage = Arc::new(Stage::new());
    let trials = trials(&stage);
    let on_stage = Arc::clone(&stage);
    let mut tests = tokio::task::spawn_blocking(move || {
        let conclusion = libtest_mimic::run(&arguments, trials);
        on_stage.clear();
        conclusion
    });
    let conclusion: Result<Conclusion> = unless_interrupted(async { Ok((&mut tests).await?) }).await;
    if let Ok(conclusion) = conclusion {
        return Ok(conclusion.exit_code());
    }
    stage.interrupt();
    // What it says is known: interrupted.
    let _ = tests.await?;
    Ok(ExitCode::from(130))
}
