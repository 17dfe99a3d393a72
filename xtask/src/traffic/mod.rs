//! A seeded generator that acts as a social application on a real PostgreSQL: people post, follow, like, comment, view,
//! share, edit and delete, in every shape of transaction that change capture has to get right.
//!
//! Invariants: it writes to PostgreSQL and nowhere else; each reported change is committed; races between its own
//! writers are counted as conflicts and never end the run. Writer `i` takes its decisions from the seed plus `i`;
//! with one writer and an empty database the same seed gives the same decisions and outcomes.

mod actions;
mod events;
mod mix;
mod report;
mod statements;
mod text;
mod transaction;
mod world;
mod writer;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::PgPool;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use mix::{Activity, MIX};
pub use report::{CommittedChange, Op, Table, TrafficCounters, TrafficReport};
use world::{PostKey, Posts, REMEMBERED_POSTS};
use writer::{Shared, Writer};

/// How much traffic to make.
#[derive(Clone, Copy, Debug)]
pub struct TrafficOptions {
    /// Writer `i` draws from `seed + i`.
    pub seed: u64,
    /// Concurrent writers, each with a connection of the pool; at least 1.
    pub writers: usize,
    /// Committed transactions per second over all writers; above 0. Paced by a schedule: what a stall delays is
    /// made up for.
    pub rate: f64,
    /// Users to seed if there are none; at least 2. If there are more, only so many act.
    pub users: usize,
    /// The run makes `rate` × `duration` transactions. A server that cannot keep up makes it last longer, up to twice
    /// as long; then it ends short of them.
    pub duration: Duration,
}

/// Makes traffic and returns what was done; see [`run_counted`].
///
/// # Errors
/// See [`run_counted`].
pub async fn run(
    pool: &PgPool,
    options: &TrafficOptions,
    on_commit: impl Fn(CommittedChange) + Send + Sync,
    shutdown: CancellationToken,
) -> anyhow::Result<TrafficReport> {
    run_counted(pool, options, &TrafficCounters::default(), on_commit, shutdown).await
}

/// Makes traffic on a migrated database, with counters that can be read meanwhile.
///
/// `on_commit` is called for each changed row, in the order of the statements, right after COMMIT returned; it must not
/// block, since it runs on the writer. Cascaded deletes are reported like others. After `shutdown` is cancelled open
/// transactions are finished and the report covers what was done.
///
/// # Errors
/// Options out of range, an unreachable server, a missing table, and whatever statement fails for another reason than
/// a lost race. Transactions open at that moment are rolled back.
pub async fn run_counted(
    pool: &PgPool,
    options: &TrafficOptions,
    counters: &TrafficCounters,
    on_commit: impl Fn(CommittedChange) + Send + Sync,
    shutdown: CancellationToken,
) -> anyhow::Result<TrafficReport> {
    let plan = Plan::new(options)?;
    let users = prepare(pool, options.users).await?;
    let posts = Posts::new(newest_posts(pool).await?);
    let shared = Shared { pool, users: &users, posts: &posts, counters, on_commit: &on_commit };

    let start = Instant::now();
    let stop = shutdown.child_token();
    let writers = (0..options.writers).map(|index| {
        let (transactions, offset) = plan.writer(index);
        let rng = StdRng::seed_from_u64(options.seed.wrapping_add(index as u64));
        let ticks = interval_at(start + offset, plan.period);
        Writer::new(&shared, rng).run(transactions, ticks, &stop)
    });
    let all = try_join_all(writers);
    tokio::pin!(all);
    tokio::select! {
        done = &mut all => { done?; }
        () = tokio::time::sleep_until(start + 2 * options.duration) => {
            stop.cancel();
            all.await?;
        }
    }
    Ok(counters.report(start.elapsed()))
}

/// The schedule of all writers: their ticks interleave evenly.
struct Plan {
    writers: u64,
    transactions: u64,
    /// Between two ticks of one writer.
    period: Duration,
}

impl Plan {
    fn new(options: &TrafficOptions) -> anyhow::Result<Self> {
        let TrafficOptions { writers, rate, users, duration, .. } = *options;
        ensure!(writers > 0, "writers must be at least 1");
        ensure!(users >= 2, "users must be at least 2, since nobody follows himself; it is {users}");
        ensure!(rate.is_finite() && rate > 0.0, "rate must be above 0 transactions per second; it is {rate}");
        let writers = u64::try_from(writers).context("writers")?;
        let share = u32::try_from(writers).context("writers must be below 2^32")?;
        let period = Duration::try_from_secs_f64(f64::from(share) / rate)
            .ok()
            .filter(|period| !period.is_zero())
            .with_context(|| format!("a rate of {rate} transactions per second is out of range"))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both factors are positive, and a float cast saturates"
        )]
        let transactions = (rate * duration.as_secs_f64()).round() as u64;
        Ok(Self { writers, transactions, period })
    }

    /// How many transactions a writer makes, and how long after the start its first tick comes.
    fn writer(&self, index: usize) -> (u64, Duration) {
        let index = index as u64;
        let extra = u64::from(index < self.transactions % self.writers);
        #[expect(clippy::cast_precision_loss, reason = "a fraction below 1")]
        let offset = self.period.mul_f64(index as f64 / self.writers as f64);
        (self.transactions / self.writers + extra, offset)
    }
}

/// Makes sure of users and of partitions for as long as a run may last, and returns the users who act.
async fn prepare(pool: &PgPool, users: usize) -> anyhow::Result<Vec<Uuid>> {
    let ahead = "SELECT nova_ensure_partitions((now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date + 2)";
    sqlx::query(ahead)
        .execute(pool)
        .await
        .context("cannot prepare partitions; apply the migrations in schemas/postgres/migrations first")?;
    let limit = i64::try_from(users).context("users")?;
    let seed = "INSERT INTO users (id, handle) \
                SELECT md5('nova user ' || n)::uuid, 'user_' || n FROM generate_series(1, $1) AS n \
                WHERE NOT EXISTS (SELECT FROM users) ON CONFLICT DO NOTHING";
    sqlx::query(seed).bind(limit).execute(pool).await.context("cannot seed users")?;
    let acting: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM users ORDER BY handle LIMIT $1")
        .bind(limit)
        .fetch_all(pool)
        .await
        .context("cannot read users")?;
    ensure!(acting.len() >= 2, "the table users has {} row; traffic needs two or more", acting.len());
    Ok(acting)
}

/// The posts of earlier runs that may be engaged with.
async fn newest_posts(pool: &PgPool) -> anyhow::Result<Vec<PostKey>> {
    let sql = "SELECT id, created_at FROM posts ORDER BY created_at DESC, id LIMIT $1";
    let rows: Vec<(Uuid, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(sql)
        .bind(i64::try_from(REMEMBERED_POSTS)?)
        .fetch_all(pool)
        .await
        .context("cannot read posts")?;
    Ok(rows.into_iter().map(|(id, created_at)| PostKey { id, created_at }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: TrafficOptions =
        TrafficOptions { seed: 1, writers: 4, rate: 2.0, users: 10, duration: Duration::from_secs(5) };

    #[test]
    fn writers_share_the_transactions_and_interleave() {
        let plan = Plan::new(&TrafficOptions { writers: 4, ..OPTIONS }).unwrap();
        let shares: Vec<_> = (0..4).map(|index| plan.writer(index)).collect();
        assert_eq!(plan.period, Duration::from_secs(2));
        assert_eq!(shares.iter().map(|(transactions, _)| *transactions).collect::<Vec<_>>(), [3, 3, 2, 2]);
        assert_eq!(
            shares.iter().map(|(_, offset)| offset.as_millis()).collect::<Vec<_>>(),
            [0, 500, 1000, 1500]
        );
    }

    #[test]
    fn options_out_of_range_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(Plan::new(&TrafficOptions { rate, ..OPTIONS }).is_err(), "{rate}");
        }
        assert!(Plan::new(&TrafficOptions { writers: 0, ..OPTIONS }).is_err());
        assert!(Plan::new(&TrafficOptions { users: 1, ..OPTIONS }).is_err());
    }
}
