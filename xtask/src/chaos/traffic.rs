//! The application's traffic, kept alive while PostgreSQL comes and goes.
//!
//! Invariant: whether a transaction is committed is what the ledger table says, never what a writer was told: the
//! answer to a COMMIT may be lost.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::site::Site;
use crate::traffic::{TrafficCounters, TrafficOptions, run_counted};

/// Longer than any restart of the nemesis.
const AWAY_AT_MOST: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Moves some new rows months back, so that a batch has rows of several months: ClickHouse writes such an insert as
/// several parts, and a kill can leave some of them. Posts stay: their table's partitions are of now.
///
/// # Errors
/// What PostgreSQL says.
pub(super) async fn spread_over_months(postgres: &PgPool) -> Result<()> {
    let function = "CREATE FUNCTION chaos_spread() RETURNS trigger LANGUAGE plpgsql AS $$ \
                    BEGIN \
                        NEW.created_at := NEW.created_at \
                            - greatest(0, abs(hashtext(NEW::text) % 8) - 4) * interval '31 days'; \
                        RETURN NEW; \
                    END $$";
    sqlx::raw_sql(function).execute(postgres).await.context("making chaos_spread")?;
    for table in ["follows", "comments", "likes"] {
        let trigger = format!(
            "CREATE TRIGGER chaos_spread BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION chaos_spread()"
        );
        let trigger = sqlx::raw_sql(sqlx::AssertSqlSafe(trigger));
        trigger.execute(postgres).await.with_context(|| format!("trigger on {table}"))?;
    }
    Ok(())
}

/// Writes for `options.duration`, and answers how often the server went away meanwhile.
///
/// # Errors
/// When it stays away, or refuses a statement for good.
pub(super) async fn keep_writing(
    site: &Site,
    options: TrafficOptions,
    counters: &TrafficCounters,
) -> Result<u64> {
    let (pool, end) = (&site.installation.postgres, Instant::now() + options.duration);
    let (mut interruptions, mut runs, mut last_commit, mut committed) = (0, 0_u64, Instant::now(), 0);
    loop {
        let speaking = site.hush.speak().await;
        let duration = end.saturating_duration_since(Instant::now());
        if duration < Duration::from_millis(100) {
            return Ok(interruptions);
        }
        // New decisions after an interruption, or the writers would repeat those they have taken.
        let options = TrafficOptions { duration, seed: options.seed.wrapping_add(runs << 16), ..options };
        runs += 1;
        let stop = CancellationToken::new();
        let writing = run_counted(pool, &options, counters, |_| {}, stop.clone());
        let mut writing = pin!(writing);
        let outcome = tokio::select! {
            outcome = &mut writing => outcome,
            () = site.hush.wanted() => {
                stop.cancel();
                writing.await
            }
        };
        drop(speaking);
        if counters.transactions() > committed {
            (committed, last_commit) = (counters.transactions(), Instant::now());
        }
        if let Err(error) = outcome {
            interruptions += 1;
            if last_commit.elapsed() > AWAY_AT_MOST {
                bail!(error.context("the application cannot write any more"));
            }
            sleep(PAUSE).await;
        }
    }
}
