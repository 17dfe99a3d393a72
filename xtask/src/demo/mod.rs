//! `cargo xtask demo`: the main job, whole. A social application writes to PostgreSQL, Nova brings it to ClickHouse,
//! and both ends are compared row by row.

mod freshness;
mod progress;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::compare::{TableComparison, compare_all};
use crate::installation::{DATABASE, Installation, clickhouse_number};
use crate::prerequisites::{self, Need};
use crate::say;
use crate::stack::{ClickHouseServer, Lifetime, Stack, StackOptions};
use crate::traffic::{self, TrafficCounters, TrafficOptions};
use crate::up::{leave_running, refuse_if_up};
use freshness::Freshness;
use progress::Progress;
pub(crate) use report::DemoReport;

/// How long both ends may take to become equal after the last transaction.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);
const WRITERS: usize = 8;
const USERS: usize = 500;

/// Both ends differ. Exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("ClickHouse differs from PostgreSQL in {0} rows")]
pub struct Different(pub u64);

/// Runs it.
///
/// # Errors
/// [`Different`] when both ends differ at the end; whatever fails on the way.
#[expect(clippy::print_stdout, reason = "the report is the command's data")]
pub async fn run(args: DemoArgs) -> Result<()> {
    let lifetime = if args.keep { Lifetime::Detached } else { Lifetime::WithOwner };
    if args.keep {
        refuse_if_up()?;
    }
    prerequisites::ensure(&Need::STACK).await?;
    let stack = Stack::start(StackOptions { lifetime, announce: true, ..StackOptions::default() }).await?;
    say("installing Nova: source schema, ClickHouse tables, connector");
    let installation = Installation::prepare(&stack, lifetime).await?;
    installation.install().await?;
    let worker = installation.run_worker("cdc", &["cdc", "--from-beginning"]).await?;
    let events = installation.run_worker("events", &["events", "--from-beginning"]).await?;
    say(&format!("the application writes for {} s at {} transactions/s", args.seconds, args.rate));

    let report = perform(&args, &stack, &installation).await?;
    println!("{report}");
    if args.keep {
        println!("{}", addresses(&stack, &installation, [&worker.admin, &events.admin])?);
        leave_running(stack, vec![worker.process, events.process])?;
    } else {
        worker.process.stop(Duration::from_secs(30));
        events.process.stop(Duration::from_secs(30));
        stack.stop().await?;
    }
    match report.different() {
        0 => Ok(()),
        different => Err(Different(different).into()),
    }
}

/// Traffic, drain, comparison, on an installation whose worker runs.
///
/// # Errors
/// What a server or a writer fails with; a difference is no error here.
pub(crate) async fn perform(
    args: &DemoArgs,
    stack: &Stack,
    installation: &Installation,
) -> Result<DemoReport> {
    let clickhouse = stack.clickhouse()?;
    let (freshness, counters) = (Freshness::default(), Arc::new(TrafficCounters::default()));
    let options = TrafficOptions {
        seed: args.seed,
        writers: WRITERS,
        rate: f64::from(args.rate),
        users: USERS,
        duration: Duration::from_secs(args.seconds),
    };
    let (started, stop) = (Instant::now(), CancellationToken::new());
    let traffic = async {
        let on_commit = |change: traffic::CommittedChange| freshness.offer(&change);
        let end = CancellationToken::new();
        let report =
            traffic::run_counted(&installation.postgres, &options, &counters, on_commit, end).await?;
        say("the application has stopped; waiting until both ends are equal");
        let tables = drained(installation, clickhouse, &freshness).await?;
        let took = started.elapsed();
        stop.cancel();
        Ok::<_, anyhow::Error>((report, tables, took))
    };
    let watch = freshness.watch(clickhouse, &stop);
    let show = show_progress(clickhouse, &counters, &freshness, &stop);
    let ((traffic, tables, took), (), ()) = tokio::try_join!(traffic, watch, show)?;
    let event_rows = event_rows(clickhouse).await?;
    Ok(DemoReport { traffic, tables, freshness, event_rows, took })
}

/// Compares until both ends are equal, or the deadline has passed: then the last comparison stands.
async fn drained(
    installation: &Installation,
    clickhouse: &ClickHouseServer,
    freshness: &Freshness,
) -> Result<Vec<TableComparison>> {
    let deadline = Instant::now() + DRAIN_WITHIN;
    loop {
        let tables = compare_all(&installation.postgres, clickhouse).await?;
        let equal = tables.iter().all(|table| table.different == 0) && freshness.waiting() == 0;
        if equal || Instant::now() >= deadline {
            return Ok(tables);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn show_progress(
    clickhouse: &ClickHouseServer,
    counters: &TrafficCounters,
    freshness: &Freshness,
    stop: &CancellationToken,
) -> Result<()> {
    let mut progress = Progress::new();
    let (mut last, mut last_at) = (0, Instant::now());
    while stop.run_until_cancelled(sleep(Duration::from_millis(500))).await.is_some() {
        let (rows, at) = (counters.rows(), Instant::now());
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = rows.saturating_sub(last) as f64 / (at - last_at).as_secs_f64();
        (last, last_at) = (rows, at);
        let [p50, p99] = freshness.quantiles(None, [0.5, 0.99]).unwrap_or_default();
        progress.show(format!(
            "{} transactions, {rows} row changes ({rate:.0}/s) | {} event rows | behind {} ms, visible after p50 {} ms p99 {} ms",
            counters.transactions(),
            event_rows(clickhouse).await?,
            freshness.behind().as_millis(),
            p50.as_millis(),
            p99.as_millis(),
        ));
    }
    progress.finish("both ends are at rest");
    Ok(())
}

async fn event_rows(clickhouse: &ClickHouseServer) -> Result<i64> {
    let sql = format!(
        "SELECT sum(total_rows) FROM system.tables WHERE database = '{DATABASE}' AND name IN \
         ('post_events', 'user_follow_events', 'post_engagement_events')"
    );
    clickhouse_number(clickhouse, &sql).await
}

fn addresses(stack: &Stack, installation: &Installation, [cdc, events]: [&str; 2]) -> Result<String> {
    let clickhouse = stack.clickhouse()?;
    Ok(format!(
        "everything is left running; `cargo xtask down` ends it\n\
         PostgreSQL  {}\nKafka       {}\nConnect     {}\nClickHouse  {} (user {}, password {})\n\
         Nova cdc    {cdc}/health/ready  {cdc}/metrics\n\
         Nova events {events}/health/ready  {events}/metrics\nconfiguration  {}",
        stack.postgres()?.admin_url(),
        stack.kafka()?.bootstrap(),
        stack.connect()?.url(),
        clickhouse.url(),
        clickhouse.user(),
        clickhouse.password(),
        installation.config.to_str().context("a path that is not UTF-8")?,
    ))
}
