//! The generator on real databases: repeatable from its seed, complete in kinds, and exact in what it reports.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;
use xtask::traffic::{self, CommittedChange, MIX, Op, Table, TrafficCounters, TrafficOptions, TrafficReport};

use crate::postgres::Postgres;

pub(crate) const OPTIONS: TrafficOptions =
    TrafficOptions { seed: 42, writers: 1, rate: 200.0, users: 200, duration: Duration::from_secs(5) };

pub(crate) async fn count(pool: &PgPool, sql: &str) -> u64 {
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(pool).await.unwrap();
    count.try_into().unwrap()
}

/// The rows that the report says are there, and the keys that the callbacks leave over, are the table's.
async fn assert_report_is_true(pool: &PgPool, report: &TrafficReport, changes: &[CommittedChange]) {
    for table in Table::ALL {
        let name = table.name();
        let rows = count(pool, &format!("SELECT count(*) FROM {name}")).await;
        let [inserts, updates, deletes] =
            [Op::Insert, Op::Update, Op::Delete].map(|op| report.rows(table, op));
        assert_eq!(inserts - deletes, rows, "{name}\n{report}");
        let called = changes.iter().filter(|change| change.table == name).count();
        assert_eq!(u64::try_from(called).unwrap(), inserts + updates + deletes, "{name}\n{report}");
    }
    let orphans = "SELECT count(*) FROM (SELECT post_id, post_created_at FROM likes UNION ALL \
                   SELECT post_id, post_created_at FROM comments) AS child \
                   WHERE NOT EXISTS (SELECT FROM posts WHERE id = post_id AND created_at = post_created_at)";
    assert_eq!(count(pool, orphans).await, 0);
}

pub(crate) async fn run(pool: &PgPool, options: &TrafficOptions) -> (TrafficReport, Vec<CommittedChange>) {
    let changes = Mutex::new(Vec::new());
    let on_commit = |change| changes.lock().unwrap().push(change);
    let report = traffic::run(pool, options, on_commit, CancellationToken::new()).await.unwrap();
    (report, changes.into_inner().unwrap())
}

#[tokio::test]
async fn one_writer_repeats_itself_from_the_seed() {
    let postgres = Postgres::start().await;
    let (first, second) = (postgres.migrated("first").await, postgres.migrated("second").await);
    let ((report, changes), (mut again, _)) = tokio::join!(run(&first, &OPTIONS), run(&second, &OPTIONS));
    println!("{report}");

    again.elapsed = report.elapsed;
    assert_eq!(report, again);
    assert_eq!(report.transactions, 1000);
    for (activity, _) in MIX {
        assert!(report.activities(activity) > 0, "{activity:?} did not occur\n{report}");
    }
    assert_report_is_true(&first, &report, &changes).await;

    // Cascades: more likes and comments are gone than were taken back one by one.
    let taken_back =
        report.activities(traffic::Activity::Unlike) + report.activities(traffic::Activity::DeleteComment);
    let gone = report.rows(Table::Likes, Op::Delete) + report.rows(Table::Comments, Op::Delete);
    assert!(gone > taken_back, "{report}");
    // Inserts are reported in commit order: each post before the last of its deletes.
    let keys: BTreeMap<_, _> = changes
        .iter()
        .filter(|change| change.table == "posts")
        .map(|change| (&change.key, change.op))
        .collect();
    let live = count(&first, "SELECT count(*) FROM posts").await;
    assert_eq!(keys.values().filter(|op| **op != Op::Delete).count(), usize::try_from(live).unwrap());
}

#[tokio::test]
async fn many_writers_race_without_error_and_report_the_truth() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    // GIVEN few users, so that writers meet in the same rows
    let options =
        TrafficOptions { writers: 8, rate: 600.0, users: 5, duration: Duration::from_secs(3), ..OPTIONS };
    let (report, mut changes) = run(&pool, &options).await;
    println!("{report}");
    assert!(report.conflicts > 0);
    assert_report_is_true(&pool, &report, &changes).await;

    // A second run with the same seed continues on what is there.
    let short = TrafficOptions { duration: Duration::from_secs(1), ..options };
    let (second, more) = run(&pool, &short).await;
    changes.extend(more);
    for table in Table::ALL {
        let left = report.rows(table, Op::Insert) + second.rows(table, Op::Insert)
            - report.rows(table, Op::Delete)
            - second.rows(table, Op::Delete);
        assert_eq!(left, count(&pool, &format!("SELECT count(*) FROM {}", table.name())).await, "{table:?}");
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM users").await, 5);
}

#[tokio::test]
async fn shutdown_ends_the_run_between_transactions() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    let options = TrafficOptions { writers: 3, duration: Duration::from_secs(3600), ..OPTIONS };
    let (shutdown, counters) = (CancellationToken::new(), TrafficCounters::default());
    let on_commit = |_| {
        if counters.transactions() >= 50 {
            shutdown.cancel();
        }
    };
    let run = traffic::run_counted(&pool, &options, &counters, on_commit, shutdown.clone());
    let report = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    assert!((50..60).contains(&report.transactions), "{report}");
    assert_eq!(
        counters.rows(),
        Table::ALL
            .iter()
            .map(|table| {
                [Op::Insert, Op::Update, Op::Delete].iter().map(|op| report.rows(*table, *op)).sum::<u64>()
            })
            .sum::<u64>()
    );
}

#[tokio::test]
async fn a_database_without_the_schema_is_refused_with_the_cure() {
    let postgres = Postgres::start().await;
    let pool = postgres.pool("postgres", "postgres").await.unwrap();
    let error = traffic::run(&pool, &OPTIONS, drop, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("apply the migrations"), "{error:#}");
}
