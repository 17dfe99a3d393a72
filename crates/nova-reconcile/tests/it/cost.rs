//! What comparing costs: nothing wrong against one scan by PostgreSQL, and everything wrong in bounded memory.
//!
//! `cargo test --release -p nova-reconcile --test it cost -- --ignored --nocapture --test-threads 1`; `COST_ROWS` sets
//! the number of rows, 10,000,000 otherwise.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, a measurement is told"
)]

use std::fs;
use std::time::{Duration, Instant};

use nova_reconcile::{CompareOptions, PostgresAccess, Scope, Snapshot, StreamReport, Verdict, compare};
use nova_streams::{Stream, StreamSet};

use crate::servers::Servers;

const LIMIT: f64 = 1.5;
/// `reconcile.parallel` by default.
const DEFAULT_PARALLEL: usize = 2;
/// What a comparison may add to the memory of this process and of ClickHouse, in MiB, however much is wrong.
const MEMORY_MB: (u64, u64) = (512, 2_048);
/// One pass over the table that looks at every row's time and adds something up, in one session.
const SCAN: &str = "SELECT count(*), sum(extract(epoch FROM created_at)) FROM likes";
/// By the hour: what a report would ask for. For comparison only; it costs PostgreSQL more than the scan.
const GROUPED: &str =
    "SELECT date_trunc('hour', created_at), count(*), max(created_at) FROM likes GROUP BY 1 ORDER BY 1";

fn rows() -> u64 {
    std::env::var("COST_ROWS").map_or(10_000_000, |rows| rows.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: minutes, and a machine at rest"]
async fn ten_million_equal_rows_cost_at_most_half_more_than_one_scan() {
    let (servers, stream) = made("n * interval '10 ms'").await;
    fill(&servers, "number * 10 + 10").await;
    let (mut scan, mut grouped) = (Cost::MOST, Cost::MOST);
    let mut comparisons = [(1, Cost::MOST), (DEFAULT_PARALLEL, Cost::MOST)];
    for _ in 0..3 {
        scan = scan.min(asked(&servers, SCAN).await);
        grouped = grouped.min(asked(&servers, GROUPED).await);
        for (parallel, least) in &mut comparisons {
            let (report, cost) = compared(&servers, &stream, *parallel, 10).await;
            *least = (*least).min(cost);
            assert_eq!(report.verdict, Verdict::Equal);
        }
    }
    println!("{} rows\nscan        {scan:?}\ngrouped     {grouped:?}", rows());
    let mut ratio = f64::MAX;
    for (parallel, comparison) in comparisons {
        ratio = comparison.took.as_secs_f64() / scan.took.as_secs_f64();
        let busy = comparison.postgres_cpu.as_secs_f64() / scan.postgres_cpu.as_secs_f64();
        println!("parallel {parallel}  {comparison:?}");
        println!("  {ratio:.2} times the scan; {busy:.2} times PostgreSQL's processor time");
    }
    assert!(ratio <= LIMIT, "{ratio:.2} times by default");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: minutes"]
async fn ten_million_differences_over_a_day_fit_into_bounded_memory() {
    all_wrong("n * interval '10 ms'", "number * 10 + 3600010").await;
}

/// As after an import in one transaction: one window has all rows.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: minutes"]
async fn ten_million_differences_in_one_window_fit_into_bounded_memory() {
    all_wrong("interval '0 ms'", "3600000").await;
}

/// GIVEN rows / WHEN ClickHouse has all of them an hour late, then none / THEN as much is listed as was wanted, the rest
/// is counted, and memory stays bounded.
async fn all_wrong(time: &str, late: &str) {
    let (servers, stream) = made(time).await;
    fill(&servers, late).await;
    for what in ["an hour late", "none"] {
        let before = memory(&servers);
        let (report, cost) = compared(&servers, &stream, 2, 10_000).await;
        let (nova, clickhouse) = memory(&servers);
        println!("{what}: {cost:?}, nova {nova} MiB, ClickHouse {clickhouse} MiB, before {before:?}");
        println!("{:?}, {} listed", report.tally, report.differences.len());
        assert_eq!((report.verdict, report.listed_all), (Verdict::Different, false));
        assert_eq!(report.differences.len(), 10_000);
        // What is not listed is counted by its windows' rows, so those that both have as many of are one each.
        assert!(what != "none" || report.tally.total() >= rows(), "{:?}", report.tally);
        assert!(nova <= before.0 + MEMORY_MB.0, "nova: {nova} MiB");
        assert!(clickhouse <= before.1 + MEMORY_MB.1, "ClickHouse: {clickhouse} MiB");
        servers.clickhouse.execute("TRUNCATE TABLE it.likes").await.unwrap();
    }
}

/// PostgreSQL's table with its rows, this time after the first of January, and ClickHouse's without.
async fn made(time: &str) -> (Servers, Stream) {
    let servers = Servers::start().await;
    servers
        .sql(&format!(
            "CREATE UNLOGGED TABLE likes (id uuid NOT NULL, post_id uuid NOT NULL, user_id uuid NOT NULL, created_at timestamptz NOT NULL); \
             INSERT INTO likes SELECT md5('i' || n)::uuid, md5('p' || n)::uuid, md5('u' || n)::uuid, \
             timestamptz '2026-01-01Z' + {time} FROM generate_series(1, {}) AS n", rows()
        ))
        .await;
    servers.sql("ALTER TABLE likes ADD PRIMARY KEY (id)").await;
    servers.sql("VACUUM ANALYZE likes").await;
    let table = "CREATE TABLE it.likes (event_time DateTime64(3, 'UTC'), event_type Enum8('view' = 1, 'like' = 2), \
                 post_id UUID, user_id UUID, dwell_time_ms UInt32, sign Int8, event_id UUID, source_key UUID, \
                 source_lsn UInt64, source_tx UInt64, topic LowCardinality(String), kafka_partition UInt32, \
                 kafka_offset UInt64, ordinal UInt8) \
                 ENGINE = MergeTree PARTITION BY toYYYYMM(event_time) ORDER BY (event_time, user_id)";
    servers.clickhouse.execute(table).await.unwrap();
    let text = "[streams.likes]\nworker = \"cdc\"\ntopic = \"cdc.likes\"\nformat = \"debezium\"\n\
                source = \"public.likes\"\ntable = \"likes\"\nkey = [\"id\"]\ntime = \"created_at\"\n\
                [streams.likes.columns]\nevent_time = { field = \"created_at\" }\nevent_type = { value = \"like\" }\n\
                post_id = { field = \"post_id\" }\nuser_id = { field = \"user_id\" }\ndwell_time_ms = { value = 0 }\n";
    let stream = StreamSet::parse("cost.toml", text).unwrap().get("likes").unwrap().clone();
    (servers, stream)
}

/// The same rows in ClickHouse, so many milliseconds after the first of January.
async fn fill(servers: &Servers, late_ms: &str) {
    let id = |letter: &str| {
        let digits = format!("lower(hex(MD5(concat('{letter}', toString(number + 1)))))");
        format!(
            "toUUID(concat(substring({digits}, 1, 8), '-', substring({digits}, 9, 4), '-', substring({digits}, 13, 4), '-', substring({digits}, 17, 4), '-', substring({digits}, 21)))"
        )
    };
    let sql = format!(
        "INSERT INTO it.likes SELECT fromUnixTimestamp64Milli(toInt64(1767225600000 + {late_ms}), 'UTC'), \
         'like', {}, {}, 0, 1, generateUUIDv4(), {}, 1, 1, 'cdc.likes', 0, number, 0 FROM numbers({})",
        id("p"),
        id("u"),
        id("i"),
        rows()
    );
    servers.clickhouse.execute(&sql).await.unwrap();
}

async fn asked(servers: &Servers, sql: &'static str) -> Cost {
    let mut connection = servers.postgres.acquire().await.unwrap();
    sqlx::raw_sql("SET max_parallel_workers_per_gather = 0; SET jit = off")
        .execute(&mut *connection)
        .await
        .unwrap();
    let meter = Meter::start(servers);
    sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    meter.stop(servers)
}

async fn compared(
    servers: &Servers,
    stream: &Stream,
    parallel: usize,
    listed: usize,
) -> (StreamReport, Cost) {
    let access =
        PostgresAccess { parallel, statement_timeout: Duration::from_secs(600), ..servers.access.clone() };
    let options = CompareOptions { scope: Scope::default(), max_listed: listed, parallel, touched: None };
    let mut snapshot = Snapshot::open(&access).await.unwrap();
    let meter = Meter::start(servers);
    let report = compare(&servers.clickhouse, &mut snapshot, stream, &options).await.unwrap();
    let cost = meter.stop(servers);
    snapshot.close().await;
    (report, cost)
}

/// Time on the clock, and the servers' time on processors.
#[derive(Debug, Clone, Copy)]
struct Cost {
    took: Duration,
    postgres_cpu: Duration,
    #[expect(dead_code, reason = "printed")]
    clickhouse_cpu: Duration,
}

impl Cost {
    const MOST: Self =
        Self { took: Duration::MAX, postgres_cpu: Duration::ZERO, clickhouse_cpu: Duration::ZERO };

    fn min(self, other: Self) -> Self {
        if self.took <= other.took { self } else { other }
    }
}

struct Meter {
    begun: Instant,
    postgres: Duration,
    clickhouse: Duration,
}

impl Meter {
    fn start(servers: &Servers) -> Self {
        let (postgres, clickhouse) = servers.pids();
        Self { begun: Instant::now(), postgres: cpu(postgres), clickhouse: cpu(clickhouse) }
    }

    fn stop(self, servers: &Servers) -> Cost {
        let took = self.begun.elapsed();
        let (postgres, clickhouse) = servers.pids();
        Cost {
            took,
            postgres_cpu: cpu(postgres) - self.postgres,
            clickhouse_cpu: cpu(clickhouse) - self.clickhouse,
        }
    }
}

/// Time on processors of a process and of its children, those that ended included.
fn cpu(pid: i32) -> Duration {
    // Behind the name in brackets: state, parent; utime to cstime are the 14th to 17th field (proc(5)), in 1/100 s.
    let fields = |pid: &str| -> Option<Vec<i64>> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(text.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
    };
    let own: i64 = fields(&pid.to_string()).unwrap()[11..15].iter().sum();
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let children = processes.filter_map(|other| fields(&other)).filter(|fields| fields[1] == i64::from(pid));
    let theirs: i64 = children.map(|fields| fields[11] + fields[12]).sum();
    Duration::from_millis(10 * (own + theirs).unsigned_abs())
}

/// The most memory that this process and ClickHouse have had since the last call, in MiB.
fn memory(servers: &Servers) -> (u64, u64) {
    let most = |pid: String| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
    };
    (most("self".to_owned()), most(servers.pids().1.to_string()))
}
