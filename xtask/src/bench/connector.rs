//! How fast one connector task reads a backlog of PostgreSQL's log: it is stopped, an application writes, it goes on.
//!
//! Counting starts with the first row that becomes visible, so the task's own start is not in it, and ends with the last.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use tokio::time::sleep;

use super::args::{BenchArgs, Measurement};
use super::freshness::Source;
use super::process::Usage;
use super::report::{Bound, Outcome, Requirement};
use super::spread::Spread;
use crate::installation::{DATABASE, clickhouse_number};
use crate::say;

const ROWS_PER_TRANSACTION: u32 = 10;
/// The name that `nova connector apply` gives it.
const CONNECTOR: &str = "nova-cdc";
const VISIBLE_WITHIN: Duration = Duration::from_secs(300);

pub(super) async fn measure(source: &Source, args: &BenchArgs) -> Result<Outcome> {
    let users = users(args.messages(Measurement::Connector));
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let [rate, cpu] = once(source, round, users).await?;
        say(&format!(
            "round {round} of {}: {rate:.0} changes/s, Connect {cpu:.0} µs per change",
            args.rounds
        ));
        rounds.push([rate, cpu]);
    }
    let [rate, cpu] =
        [0, 1].map(|index| rounds.iter().filter_map(|round| round.get(index)).copied().collect::<Vec<_>>());
    let cells = [&rate, &cpu].map(|figures| Spread::of(figures.clone()));
    let cells = cells.map(|spread| spread.map_or_else(String::new, |spread| spread.to_string()));
    let requirements = [
        Requirement::new("changes/s of one connector task", rate, Bound::None),
        Requirement::new("CPU µs of Kafka Connect per change", cpu, Bound::None),
    ];
    Ok(Outcome {
        name: "connector".to_owned(),
        conditions: format!(
            "{} rows of `follows` in transactions of {ROWS_PER_TRANSACTION} at most, written while the connector was \
             stopped; exactly-once delivery, transaction metadata on; {} rounds, median (least–greatest)",
            users * (users - 1),
            args.rounds
        ),
        columns: vec!["changes/s", "CPU µs per change, Connect"],
        lines: vec![("PostgreSQL to ClickHouse".to_owned(), cells.to_vec())],
        requirements: requirements.into_iter().flatten().collect(),
        rounds: json!(rounds),
    })
}

/// Everybody follows everybody else: so many users make about so many rows.
fn users(rows: u64) -> u32 {
    u32::try_from(rows.isqrt() + 1).unwrap_or(u32::MAX)
}

async fn once(source: &Source, round: u32, users: u32) -> Result<[f64; 2]> {
    let before = rows(source).await?;
    order(source, "stop").await?;
    write(source, round, users).await?;
    let connect = source.stack.connect()?.process.pid();
    order(source, "resume").await?;
    let deadline = Instant::now() + VISIBLE_WITHIN;
    let expected = i64::from(users * (users - 1));
    let (first, first_at, first_cpu) = loop {
        let rows = rows(source).await? - before;
        if rows > 0 {
            break (rows, Instant::now(), Usage::of(connect)?.cpu_seconds);
        }
        ensure!(Instant::now() < deadline, "no change is visible 5 min after the connector was resumed");
        sleep(Duration::from_millis(50)).await;
    };
    loop {
        let rows = rows(source).await? - before;
        if rows >= expected {
            ensure!(rows == expected, "{rows} rows, not {expected}");
            break;
        }
        ensure!(Instant::now() < deadline, "{rows} of {expected} rows after 5 min");
        sleep(Duration::from_millis(50)).await;
    }
    let (took, cpu) = (first_at.elapsed().as_secs_f64(), Usage::of(connect)?.cpu_seconds - first_cpu);
    let changes = f64::from(u32::try_from(expected - first)?);
    Ok([changes / took, cpu * 1e6 / changes])
}

async fn rows(source: &Source) -> Result<i64> {
    let sql = format!("SELECT count() FROM {DATABASE}.user_follow_events");
    clickhouse_number(source.stack.clickhouse()?, &sql).await
}

/// Stops or resumes the connector (KIP-875).
async fn order(source: &Source, what: &str) -> Result<()> {
    let url = format!("{}/connectors/{CONNECTOR}/{what}", source.stack.connect()?.url());
    reqwest::Client::new().put(&url).send().await?.error_for_status()?;
    Ok(())
}

async fn write(source: &Source, round: u32, users: u32) -> Result<()> {
    say("an application writes while the connector is stopped");
    let mut connection = source.installation.postgres.acquire().await?;
    // Each by itself: a block that commits must not run within a transaction. The numbers are our own.
    let statements = [
        "CREATE TEMPORARY TABLE IF NOT EXISTS bench_users (n int PRIMARY KEY, id uuid NOT NULL)".to_owned(),
        "TRUNCATE bench_users".to_owned(),
        format!("INSERT INTO bench_users SELECT n, gen_random_uuid() FROM generate_series(1, {users}) AS n"),
        format!("INSERT INTO users (id, handle) SELECT id, 'bench-{round}-' || n FROM bench_users"),
        format!(
            "DO $$ BEGIN FOR follower IN 1..{users} LOOP FOR low IN 1..{users} BY {ROWS_PER_TRANSACTION} LOOP \
               INSERT INTO follows (follower_id, followee_id) SELECT a.id, b.id FROM bench_users a, bench_users b \
               WHERE a.n = follower AND b.n BETWEEN low AND low + {ROWS_PER_TRANSACTION} - 1 AND a.n <> b.n; \
               COMMIT; \
             END LOOP; END LOOP; END $$"
        ),
    ];
    for statement in statements {
        connection
            .execute(sqlx::raw_sql(AssertSqlSafe(statement.clone())))
            .await
            .with_context(|| statement)?;
    }
    Ok(())
}
