//! Snapshots of a real hot standby, under load: what they see is told exactly.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nova_reconcile::{PostgresAccess, ReconcileError, Snapshot, Verdict, compare};
use nova_streams::Stream;
use sqlx::{AssertSqlSafe, PgPool};
use xtask::stack::free_port;

use crate::comparing::{CH_ID, PG_ID, options, stream};
use crate::servers::Servers;

const SNAPSHOTS: usize = 20;
const WRITERS: usize = 4;

/// A standby that streams from the primary; it ends with this value.
struct Replica {
    server: Child,
    postgres: PgPool,
    access: PostgresAccess,
}

impl Replica {
    async fn start(servers: &Servers) -> Self {
        let primary = servers.stack.postgres().unwrap();
        let owner = std::fs::metadata(primary.data()).unwrap();
        let data = primary.data().with_file_name("replica");
        let command = |program: &str| {
            let mut command = Command::new(primary.bin().join(program));
            command.current_dir("/").uid(owner.uid()).gid(owner.gid());
            command
        };
        let copied = command("pg_basebackup")
            .args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", &primary.url("postgres"), "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let port = free_port().unwrap();
        let log = std::fs::File::create(primary.data().with_file_name("replica.log")).unwrap();
        let server = command("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", &format!("port={port}")])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let options = servers.access.options.clone().port(port);
        let access = PostgresAccess { replica: Some(options.clone()), ..servers.access.clone() };
        let deadline = Instant::now() + Duration::from_secs(60);
        let postgres = loop {
            match PgPool::connect_with(options.clone()).await {
                Ok(pool) => break pool,
                Err(error) => assert!(Instant::now() < deadline, "the replica is not ready: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        Self { server, postgres, access }
    }

    /// How long a reader may keep the log from being replayed.
    async fn patience(&self, delay: &str) {
        for sql in [
            format!("ALTER SYSTEM SET max_standby_streaming_delay = '{delay}'"),
            "SELECT pg_reload_conf()".into(),
        ] {
            sqlx::query(AssertSqlSafe(sql)).execute(&self.postgres).await.unwrap();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.server.id().try_into().unwrap()), Signal::SIGQUIT);
        let _ = self.server.wait();
    }
}

/// A row and the transaction that made it: `xmin` of a row would be the subtransaction.
fn row(who: &str) -> String {
    format!(
        "WITH r AS (INSERT INTO made SELECT nextval('rows'), txid_current() RETURNING n) INSERT INTO likes \
         SELECT {PG_ID}, timestamptz '2026-01-01 00:00:00.0007Z' + n * interval '1 minute', '{who}', n FROM r;"
    )
}

/// Short transactions, with and without subtransactions, some of them rolled back.
async fn write(postgres: &PgPool, done: &AtomicBool) -> usize {
    let row = row("load");
    let kinds = [
        row.clone(),
        format!(
            "BEGIN; SAVEPOINT a; {row} RELEASE a; SAVEPOINT b; {row} ROLLBACK TO b; SAVEPOINT c; {row} COMMIT"
        ),
        format!("BEGIN; {row} SAVEPOINT a; {row} ROLLBACK"),
        format!("{row} {row}"),
    ];
    let mut connection = postgres.acquire().await.unwrap();
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        let sql = kinds[count % kinds.len()].clone();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
        count += 1;
    }
    count
}

/// All that was committed, as the pipeline would have written it.
async fn arrive(servers: &Servers, lsn: u64) -> usize {
    let made: Vec<(i64, i64)> = sqlx::query_as("SELECT n, tx FROM made JOIN likes USING (n)")
        .fetch_all(&servers.postgres)
        .await
        .unwrap();
    for some in made.chunks(5_000) {
        let values: Vec<String> = some.iter().map(|(n, tx)| format!("({n}, {tx})")).collect();
        let sql = format!(
            "INSERT INTO it.likes SELECT toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + n * 60, 'load', n, 'like', 1, \
             generateUUIDv4(), {CH_ID}, {lsn}, tx, 'cdc.likes', 0, n, 0, now64(3) FROM (SELECT n, tx, \
             lower(hex(MD5(toString(n)))) AS m FROM values('n Int64, tx UInt64', {})) \
             SETTINGS max_partitions_per_insert_block = 0",
            values.join(", ")
        );
        servers.clickhouse.execute(&sql).await.unwrap();
    }
    made.len()
}

/// GIVEN a replica, transactions that stay open, one of them with more subtransactions than a standby keeps, and many
/// that commit while snapshots are taken / WHEN all have ended and arrived / THEN each snapshot is equal to what its
/// transactions say of ClickHouse.
#[tokio::test(flavor = "multi_thread")]
async fn a_replicas_snapshot_sees_what_it_is_said_to_see_under_load() {
    let servers = Servers::start().await;
    let stream = stream(&servers).await;
    servers.sql("CREATE SEQUENCE rows START 100000; CREATE TABLE made (n int8, tx int8)").await;
    let replica = Replica::start(&servers).await;
    replica.patience("-1").await;

    let mut long = servers.postgres.begin().await.unwrap();
    let subtransactions = format!("SAVEPOINT s; {} RELEASE s;", row("load")).repeat(100);
    sqlx::raw_sql(AssertSqlSafe(subtransactions)).execute(&mut *long).await.unwrap();
    let id: i64 = sqlx::query_scalar("SELECT txid_current()").fetch_one(&mut *long).await.unwrap();
    let done = AtomicBool::new(false);
    let writers = futures_util::future::join_all((0..WRITERS).map(|_| write(&servers.postgres, &done)));
    let taking = async {
        let mut snapshots = Vec::new();
        for _ in 0..SNAPSHOTS {
            let mut other = servers.postgres.begin().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(row("load"))).execute(&mut *other).await.unwrap();
            let begun = Instant::now();
            let snapshot = Snapshot::open(&replica.access).await;
            println!("a snapshot in {:.0?}", begun.elapsed());
            other.commit().await.unwrap();
            snapshots.push(snapshot);
        }
        done.store(true, Ordering::Relaxed);
        snapshots
    };
    let begun = Instant::now();
    let (counts, snapshots) = tokio::join!(writers, taking);
    let each_second = counts.iter().sum::<usize>() as f64 / begun.elapsed().as_secs_f64();
    println!("{each_second:.0} transactions a second");
    long.commit().await.unwrap();
    let snapshots: Vec<Snapshot> = snapshots.into_iter().map(Result::unwrap).collect();
    let rows = arrive(&servers, snapshots.last().unwrap().taken().lsn).await;
    let mut ranges = 0;
    for mut snapshot in snapshots {
        let taken = snapshot.taken().clone();
        assert!(taken.running.contains(&id.unsigned_abs()), "{taken:?}");
        ranges += taken.running.len();
        let report = compare(&servers.clickhouse, &mut snapshot, &stream, &options()).await.unwrap();
        assert_eq!(
            (report.verdict, report.tally.total()),
            (Verdict::Equal, 0),
            "{taken:?} {:?}",
            report.differences
        );
        snapshot.close().await;
    }
    println!("{rows} rows, {ranges} running transactions in {SNAPSHOTS} snapshots");

    a_reader_in_the_way_is_ended_and_told_why(&servers, &replica, &stream).await;
    // The primary is no replica of itself.
    let access = PostgresAccess { replica: Some(servers.access.options.clone()), ..servers.access.clone() };
    let error = Snapshot::open(&access).await.unwrap_err().to_string();
    assert!(error.contains("not a hot standby"), "{error}");
}

/// A replica that would rather replay than let somebody read.
async fn a_reader_in_the_way_is_ended_and_told_why(servers: &Servers, replica: &Replica, stream: &Stream) {
    replica.patience("0").await;
    let mut snapshot = Snapshot::open(&replica.access).await.unwrap();
    servers.sql("DELETE FROM likes WHERE n < 5000").await;
    servers.sql("VACUUM likes").await;
    let lsn: i64 = sqlx::query_scalar("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8")
        .fetch_one(&servers.postgres)
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let replayed = "SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8";
    while sqlx::query_scalar::<_, i64>(replayed).fetch_one(&replica.postgres).await.unwrap() < lsn {
        assert!(Instant::now() < deadline, "the replica does not follow");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = compare(&servers.clickhouse, &mut snapshot, stream, &options()).await.unwrap_err();
    assert!(matches!(&error, ReconcileError::Source(_)), "{error}");
    assert!(error.to_string().contains("max_standby_streaming_delay"), "{error}");
}
