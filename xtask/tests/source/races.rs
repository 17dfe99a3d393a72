//! Races that chance would seldom produce: an open transaction of the test stands in the generator's way until the
//! generator is seen waiting for it.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use xtask::traffic::{Op, Table, TrafficOptions, TrafficReport};

use crate::postgres::Postgres;
use crate::traffic::{OPTIONS, count, run};

/// Makes some traffic, then more of it while `obstacle` is executed but not committed. Returns both reports.
async fn run_against(pool: &PgPool, obstacle: &'static str) -> (TrafficReport, TrafficReport) {
    let options = TrafficOptions { users: 20, duration: Duration::from_secs(1), ..OPTIONS };
    let (before, _) = run(pool, &options).await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::raw_sql(obstacle).execute(&mut *transaction).await.unwrap();
    let release = async {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'nova' AND wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while count(pool, waiting).await == 0 {
            assert!(Instant::now() < deadline, "the generator never met the open transaction");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        transaction.commit().await.unwrap();
    };
    // Rate and duration leave time for each kind of decision.
    let options = TrafficOptions { rate: 500.0, duration: Duration::from_secs(2), ..options };
    let ((during, _), ()) = tokio::join!(run(pool, &options), release);
    (before, during)
}

#[tokio::test]
async fn a_post_deleted_under_the_writer_is_a_conflict() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    let (_, during) = run_against(&pool, "DELETE FROM posts").await;
    assert!(during.conflicts > 0, "{during}");
    assert!(during.rows(Table::Posts, Op::Insert) > 0, "{during}");
}

#[tokio::test]
async fn a_like_added_under_a_delete_is_among_the_cascaded() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    // A user of the test's own, whom the generator leaves alone.
    let likes = "INSERT INTO users VALUES (gen_random_uuid(), 'visitor'); \
                 INSERT INTO likes SELECT gen_random_uuid(), p.id, p.created_at, u.id FROM posts p, users u \
                 WHERE u.handle = 'visitor'; \
                 CREATE TABLE visits AS SELECT count(*) AS likes FROM likes l, users u \
                 WHERE u.id = l.user_id AND u.handle = 'visitor'";
    let (before, during) = run_against(&pool, likes).await;
    let added = count(&pool, "SELECT likes FROM visits").await;
    let [inserted, deleted] =
        [Op::Insert, Op::Delete].map(|op| before.rows(Table::Likes, op) + during.rows(Table::Likes, op));
    assert_eq!(added + inserted - deleted, count(&pool, "SELECT count(*) FROM likes").await, "{during}");
}
