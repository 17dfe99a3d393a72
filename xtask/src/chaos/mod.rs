//! `cargo xtask chaos`: an application writes, a seeded nemesis breaks servers and Nova, an oracle that asks only the
//! servers says whether each committed change arrived exactly once.
//!
//! Invariant: a verdict "ok" was found by checks that, at the end of the same run, also found a row corrupted on
//! purpose.

mod again;
mod at_least_once;
mod checks;
mod clock;
mod commands;
mod connector;
mod corrupt;
mod drain;
mod evidence;
mod fail_points;
mod faults;
mod fleet;
mod hanging;
mod harm;
mod hush;
mod ledger;
mod messages;
mod nemesis;
mod offsets;
mod poison;
mod produce;
mod report;
mod sampler;
mod site;
mod snapshots;
mod timeline;
mod traffic;
mod wire;

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use tokio_util::sync::CancellationToken;

pub use faults::Fault;

use crate::cli::ChaosArgs;
use crate::compare::compare_all;
use crate::prerequisites::{self, Need};
use crate::say;
use crate::traffic::{TrafficCounters, TrafficOptions};
use checks::{Check, accounting, aggregates, durable, letters, once, order};
use evidence::Evidence;
use messages::Messages;
use nemesis::Nemesis;
use poison::Poison;
use report::{Outcome, summary};
use site::Site;

const WRITERS: usize = 6;
/// Few, so that the same rows are changed again and again.
const USERS: usize = 100;

/// A promise was broken. Exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0} of {1} runs broke a promise; run one again with --seed")]
pub struct Failed(usize, usize);

/// Runs say nothing, because Kafka itself lost sight of a transaction.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} of {1} runs cannot be judged: Kafka has lost sight of a transaction of its own; run another --seed"
)]
pub struct Void(usize, usize);

/// Runs all seeds.
///
/// # Errors
/// [`Failed`] when a check failed; [`Void`] when nothing failed and a run says nothing; whatever keeps a run from its end.
#[expect(clippy::print_stdout, reason = "the report is the command's data")]
pub async fn run(args: ChaosArgs) -> Result<()> {
    prerequisites::ensure(&Need::STACK).await?;
    let mut outcomes = Vec::new();
    for seed in (args.seed..).take(usize::try_from(args.seeds)?) {
        let outcome = run_seed(&args, seed).await;
        println!("{outcome}");
        outcomes.push(outcome);
    }
    if outcomes.len() > 1 {
        println!("{}", summary(&outcomes));
    }
    let count = |which: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| which(outcome)).count();
    match (count(|outcome| !outcome.holds() && !outcome.is_void()), count(Outcome::is_void)) {
        (0, 0) => Ok(()),
        (0, void) => Err(Void(void, outcomes.len()).into()),
        (failed, _) => Err(Failed(failed, outcomes.len()).into()),
    }
}

/// One run on servers of its own. What keeps it from its end is a finding too, and no reason to leave out the others.
async fn run_seed(args: &ChaosArgs, seed: u64) -> Outcome {
    let begun = Instant::now();
    say(&format!("seed {seed}: starting the servers and Nova"));
    let mut outcome = match Site::start(args, seed).await {
        Ok(mut site) => {
            let done = perform(args, seed, &site).await;
            let mut outcome = done.unwrap_or_else(|error| Outcome::unfinished(seed, &error));
            if !outcome.holds() {
                outcome.hanging = hanging::find(&*site.kafka.read().await).await.unwrap_or_default();
            }
            outcome.timeline = site.timeline.entries();
            outcome.conditions = site.conditions.clone();
            let folder = (!outcome.holds()).then(|| site.keep_logs());
            stop(site).await;
            outcome.kept = folder;
            outcome
        }
        Err(error) => Outcome::unfinished(seed, &error),
    };
    outcome.took = begun.elapsed();
    outcome
}

/// Stops everything off the async threads.
async fn stop(site: Site) {
    let _ = tokio::task::spawn_blocking(move || drop(site)).await;
}

async fn perform(args: &ChaosArgs, seed: u64, site: &Site) -> Result<Outcome> {
    let (stop, lasts) = (CancellationToken::new(), Duration::from_secs(args.seconds));
    say(&format!("seed {seed}: faults for {} s; {}", args.seconds, site.conditions));
    let work = async {
        let done = disturb(args, seed, site, lasts).await;
        stop.cancel();
        done
    };
    let (done, samples) = tokio::join!(work, sampler::watch(site, &stop));
    let Disturbed { interruptions, faults, poison, messages, orderly } = done?;

    let evidence = Evidence::gather(site, messages, poison, samples).await?;
    let (postgres, clickhouse) = (&site.installation.postgres, site.clickhouse.read().await);
    let mut checks = vec![
        orderly,
        checks::state(&compare_all(postgres, &clickhouse).await?),
        once::check(&evidence),
        order::check(&evidence),
        durable::check(&evidence),
        accounting::check(&evidence),
        letters::check(&evidence),
        aggregates::check(&clickhouse).await?,
    ];
    // With differences there already, or rows that were not there before, it would show nothing.
    if checks.iter().all(Check::holds) {
        checks.push(again::check(site, &evidence).await?);
    }
    if checks.iter().all(Check::holds) {
        checks.push(commands::agree(site).await?);
    }
    // Among other differences one more would prove nothing.
    if checks.iter().all(Check::holds) {
        checks.push(corrupt::check(seed, site, &evidence, &clickhouse).await?);
    }
    Ok(Outcome {
        seed,
        faults,
        changes: evidence.changes.len(),
        event_rows: evidence.rows.values().map(Vec::len).sum(),
        interruptions,
        checks,
        ..Outcome::default()
    })
}

struct Disturbed {
    /// How often the application lost PostgreSQL.
    interruptions: u64,
    faults: u64,
    poison: Vec<Poison>,
    messages: Messages,
    orderly: Check,
}

/// Traffic, poison and faults side by side, then the drain.
async fn disturb(args: &ChaosArgs, seed: u64, site: &Site, lasts: Duration) -> Result<Disturbed> {
    let options =
        TrafficOptions { seed, writers: WRITERS, rate: f64::from(args.rate), users: USERS, duration: lasts };
    let kinds = if args.faults.is_empty() { Fault::value_variants() } else { &args.faults };
    let counters = TrafficCounters::default();
    let traffic = traffic::keep_writing(site, options, &counters);
    let poison = async { Ok(poison::spread(&site.broker, seed, lasts).await) };
    let faults = Nemesis::new(seed, kinds).rage(site, lasts);
    let (interruptions, poison, faults) = tokio::try_join!(traffic, poison, faults)?;
    say("everything is healed; waiting until all has arrived");
    let (messages, orderly) = drain::drain(site).await?;
    Ok(Disturbed { interruptions, faults, poison, messages, orderly })
}
