//! From the commit in PostgreSQL until visible in ClickHouse, through Debezium, as `cargo xtask demo` measures it, with
//! everything of our own built for speed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::args::BenchArgs;
use super::report::{Bound, Outcome, Requirement};
use super::spread::Spread;
use crate::cli::DemoArgs;
use crate::demo;
use crate::installation::{Installation, RunningWorker};
use crate::stack::{Lifetime, Stack, StackOptions};
use crate::{say, workspace};

/// Transactions per second that come to about 1,000 row changes per second.
const RATE: u32 = 550;
const SECONDS: u64 = 20;

/// All servers, from PostgreSQL to ClickHouse, with the workers between.
pub(super) struct Source {
    pub(super) stack: Stack,
    pub(super) installation: Installation,
    workers: Vec<RunningWorker>,
}

impl Source {
    pub(super) async fn start(args: &BenchArgs) -> Result<Self> {
        say("building nova and the ClickHouse front for speed");
        let nova = workspace::build_release("nova", "--bin", "nova", "").await?;
        let options = StackOptions { announce: true, release: true, ..StackOptions::default() };
        let stack = Stack::start(options).await?;
        let installation = Installation::prepare_with(nova, &stack, Lifetime::WithOwner).await?;
        installation.install().await?;
        let mut workers = Vec::new();
        for name in ["cdc", "events"] {
            let mut worker = Vec::from([name, "--from-beginning"]);
            worker.extend(args.set.iter().flat_map(|setting| ["--set", setting]));
            workers.push(installation.run_worker(name, &worker).await?);
        }
        Ok(Self { stack, installation, workers })
    }

    pub(super) async fn stop(self) -> Result<()> {
        for worker in self.workers {
            worker.process.stop(Duration::from_secs(30));
        }
        self.stack.stop().await
    }
}

pub(super) async fn measure(source: &Source, args: &BenchArgs) -> Result<Outcome> {
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let demo = DemoArgs { seconds: SECONDS, rate: RATE, seed: round.into(), keep: false };
        let report = demo::perform(&demo, &source.stack, &source.installation).await?;
        ensure!(report.different() == 0, "ClickHouse differs from PostgreSQL:\n{report}");
        let [p50, p99] = report.quantiles([0.5, 0.99]).context("nothing was inserted")?;
        let found = [report.changes_per_second(), p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3];
        say(&format!("round {round} of {}: changes/s, p50 ms, p99 ms: {found:.0?}", args.rounds));
        rounds.push(found);
    }
    let [rate, p50, p99] = [0, 1, 2]
        .map(|index| rounds.iter().filter_map(|round| round.get(index)).copied().collect::<Vec<_>>());
    let cells = [&rate, &p50, &p99].map(|figures| Spread::of(figures.clone()));
    let cells = cells.map(|spread| spread.map_or_else(String::new, |spread| spread.to_string()));
    let requirements = [
        // On a machine that cannot make so many changes, the other two mean little.
        Requirement::new("changes/s", rate, Bound::AtLeast(1000.0)),
        Requirement::new("commit to visible, p50 ms", p50, Bound::AtMost(500.0)),
        Requirement::new("commit to visible, p99 ms", p99, Bound::AtMost(1500.0)),
    ];
    Ok(Outcome {
        name: "freshness".to_owned(),
        conditions: format!(
            "{RATE} transactions/s of the demo's application for {SECONDS} s, PostgreSQL, Kafka, Connect with Debezium, \
             ClickHouse and nova on the same machine; afterwards both ends are equal; {} rounds, median \
             (least–greatest)",
            args.rounds
        ),
        columns: vec!["changes/s", "commit to visible, p50 ms", "p99 ms"],
        lines: vec![("nova".to_owned(), cells.to_vec())],
        requirements: requirements.into_iter().flatten().collect(),
        rounds: json!(rounds),
    })
}
