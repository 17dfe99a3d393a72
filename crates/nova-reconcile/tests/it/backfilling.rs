//! Backfills on both real servers: what ClickHouse lacks is written once, whatever is killed, repeated or written beside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nova_reconcile::backfill::{Backfill, Driver, FillOptions, Filled, Plan, Range};
use nova_reconcile::{DifferenceKind, ReconcileError, Snapshot, StreamReport};
use nova_streams::Stream;
use uuid::Uuid;

use crate::comparing::{again, id, now, stream};
use crate::servers::Servers;

const DAY: i64 = 86_400_000;
/// 2026-01-01.
const START: i64 = 1_767_225_600_000;
const OPTIONS: FillOptions = FillOptions { window_rows: 2_000, max_snapshot_age: Duration::from_secs(60) };
const JOB: Uuid = Uuid::from_u128(7);

/// Drives without a pace; ends after so many windows.
struct Plain<'s> {
    servers: &'s Servers,
    most_windows: usize,
    filled: Mutex<Filled>,
    done: Mutex<BTreeSet<usize>>,
    snapshots: AtomicUsize,
}

impl<'s> Plain<'s> {
    fn new(servers: &'s Servers) -> Self {
        let (filled, done, snapshots) = Default::default();
        Self { servers, most_windows: usize::MAX, filled, done, snapshots }
    }

    fn into_filled(self) -> Filled {
        self.filled.into_inner().unwrap()
    }
}

impl Driver for Plain<'_> {
    async fn snapshot(&self) -> Result<Snapshot, ReconcileError> {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        Snapshot::open(&self.servers.access).await
    }

    fn filled(&self, _window: usize, filled: &Filled) {
        *self.filled.lock().unwrap() += filled.clone();
    }

    async fn go_on(&self, _rows: usize) -> bool {
        self.done.lock().unwrap().len() < self.most_windows
    }

    fn done(&self, window: usize) {
        assert!(self.done.lock().unwrap().insert(window), "window {window} twice");
    }
}

/// The table of the comparison, with whole old rows.
async fn source(servers: &Servers) -> Stream {
    let stream = stream(servers).await;
    servers.sql("ALTER TABLE likes REPLICA IDENTITY FULL").await;
    stream
}

async fn open<'a>(servers: &'a Servers, stream: &'a Stream, range: Range) -> Backfill<'a> {
    Backfill::open(&servers.clickhouse, stream, range, OPTIONS).await.unwrap()
}

async fn plan(servers: &Servers, stream: &Stream, range: Range) -> Result<Plan, ReconcileError> {
    open(servers, stream, range).await.plan(&Plain::new(servers)).await
}

/// Plans and fills.
async fn fill(servers: &Servers, stream: &Stream, range: Range) -> Filled {
    let backfill = open(servers, stream, range).await;
    let driver = Plain::new(servers);
    let Plan { windows, .. } = backfill.plan(&driver).await.unwrap();
    assert!(backfill.fill(&windows, |_| false, JOB, &driver).await.unwrap());
    assert_eq!(driver.done.lock().unwrap().len(), windows.len());
    driver.into_filled()
}

fn found(report: &StreamReport) -> Vec<(DifferenceKind, Uuid)> {
    let mut found: Vec<_> = report.differences.iter().map(|found| (found.kind, found.source_key)).collect();
    found.sort_unstable();
    found
}

/// GIVEN a day and single rows that are lost, one that is altered, one doubled, one that PostgreSQL has no more / WHEN that
/// is backfilled / THEN what was lost is there, the others are left to a repair and named, and once more writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_written_once_and_what_differs_is_named() {
    let servers = Servers::start().await;
    let stream = source(&servers).await;
    servers.clickhouse.execute("ALTER TABLE it.likes DROP PARTITION 20260105").await.unwrap();
    servers.clickhouse.execute("DELETE FROM it.likes WHERE n IN (1, 1000, 20000)").await.unwrap();
    servers
        .clickhouse
        .execute("ALTER TABLE it.likes UPDATE who = 'x' WHERE n = 3000 SETTINGS mutations_sync = 2")
        .await
        .unwrap();
    again(&servers, 2_000, "").await;
    // As a row that a repair has not met: its time is another one by a month.
    again(&servers, 4_000, "event_time + INTERVAL 31 DAY AS event_time").await;
    again(&servers, 4_000, "-1 AS sign, toDateTime64('2026-01-03 18:40:00', 3, 'UTC') AS event_time").await;
    servers.sql("DELETE FROM likes WHERE n = 10000").await;

    let planned = plan(&servers, &stream, Range::default()).await.unwrap();
    assert_eq!((planned.rows, planned.there), (19_999, Some(20_000 - 1_440 - 3 + 1)));
    assert!(planned.bytes > 19_999 * 20 && !planned.by_time, "{planned:?}");
    assert!(
        planned.windows.len() > 5 && planned.windows.iter().all(|window| window.rows <= 2_000),
        "{planned:?}"
    );
    let pairs = planned.windows.windows(2);
    assert!(pairs.into_iter().all(|pair| pair[0].to_ms == pair[1].from_ms), "{planned:?}");
    let sample = planned.sample.unwrap().filled;
    assert_eq!(sample.read, sample.there + sample.written + sample.differing);
    assert_eq!(now(&servers, &stream).await.tally.missing, 1_443, "a plan writes nothing");

    let filled = fill(&servers, &stream, Range::default()).await;
    assert_eq!((filled.read, filled.written, filled.differing, filled.refused), (19_999, 1_443, 3, 0));
    let mut left: Vec<Uuid> = filled.named.iter().map(|named| named.key.parse().unwrap()).collect();
    left.sort_unstable();
    let mut expected = Vec::new();
    for n in [2_000, 3_000, 4_000] {
        expected.push(id(&servers, n).await);
    }
    expected.sort_unstable();
    assert_eq!(left, expected);
    use DifferenceKind::{Different, Doubled, Extra};
    let mut expected = vec![
        (Doubled, id(&servers, 2_000).await),
        (Different, id(&servers, 3_000).await),
        (Different, id(&servers, 4_000).await),
        (Extra, id(&servers, 10_000).await),
    ];
    expected.sort_unstable();
    assert_eq!(found(&now(&servers, &stream).await), expected);

    let again = fill(&servers, &stream, Range::default()).await;
    assert_eq!((again.written, again.there, again.differing), (0, 19_996, 3));
    let lineage = "SELECT count(), uniqExact(kafka_offset), uniqExact(event_id), uniqExact(kafka_partition) FROM it.likes \
                   WHERE kafka_partition > 2147483000";
    assert_eq!(servers.clickhouse.query_text(lineage, &[]).await.unwrap(), "1443\t1443\t1443\t1\n");
}

/// Drives with one snapshot, behind which the application goes on before anything is read.
struct Overtaken<'s> {
    plain: Plain<'s>,
    behind: Mutex<Option<Snapshot>>,
}

impl Driver for Overtaken<'_> {
    async fn snapshot(&self) -> Result<Snapshot, ReconcileError> {
        Ok(self.behind.lock().unwrap().take().unwrap())
    }

    fn filled(&self, window: usize, filled: &Filled) {
        Driver::filled(&self.plain, window, filled);
    }

    async fn go_on(&self, rows: usize) -> bool {
        self.plain.go_on(rows).await
    }

    fn done(&self, window: usize) {
        self.plain.done(window);
    }
}

/// GIVEN lost rows, and a snapshot / WHEN the application deletes one of them and updates another behind it, and the stream
/// tells that before anything is written / THEN the backfill adds what the snapshot lacks, and both sides are equal.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_delivers_behind_the_snapshot_is_neither_lost_nor_doubled() {
    let servers = Servers::start().await;
    let stream = source(&servers).await;
    let backfill = open(&servers, &stream, Range::default()).await;
    let Plan { windows, .. } = backfill.plan(&Plain::new(&servers)).await.unwrap();
    let snapshot = servers.snapshot().await;
    let lsn = snapshot.taken().lsn;
    servers
        .sql("UPDATE likes SET who = 'after' WHERE n = 300; DELETE FROM likes WHERE n IN (400, 500); \
              INSERT INTO likes VALUES ('00000000-0000-0000-0000-000000000001', '2026-01-02 00:00:00Z', 'new', 30000)")
        .await;
    let after = format!("{} AS source_tx, {lsn} + 100 AS source_lsn", snapshot.taken().xmax + 5);
    again(&servers, 300, &format!("-1 AS sign, {after}")).await;
    again(&servers, 300, &format!("'after' AS who, {after}")).await;
    again(&servers, 400, &format!("-1 AS sign, {after}")).await;
    again(&servers, 500, &format!("-1 AS sign, {after}")).await;
    let new = "toUUID('00000000-0000-0000-0000-000000000001') AS source_key, 'new' AS who, 30000 AS n, \
               toDateTime64('2026-01-02 00:00:00', 3, 'UTC') AS event_time";
    again(&servers, 600, &format!("{new}, {after}")).await;
    // Lost long before: of 300 and 400 what the snapshot sees.
    servers
        .clickhouse
        .execute(&format!("DELETE FROM it.likes WHERE n IN (300, 400, 700) AND source_lsn < {lsn}"))
        .await
        .unwrap();

    let driver = Overtaken { plain: Plain::new(&servers), behind: Mutex::new(Some(snapshot)) };
    assert!(backfill.fill(&windows, |_| false, JOB, &driver).await.unwrap());
    let filled = driver.plain.into_filled();
    assert_eq!((filled.written, filled.differing), (3, 0), "300, 400 and 700 as the snapshot has them");
    // Transactions of the test's own numbers are seen by a later snapshot only once PostgreSQL has passed them.
    for _ in 0..10 {
        servers.sql("SELECT txid_current()").await;
    }
    assert_eq!(now(&servers, &stream).await.differences, []);
}

/// GIVEN rows that ClickHouse lacks / WHEN the application deletes one, changes one and moves one to another time before
/// they are backfilled / THEN what the stream has taken back of them sums up to nothing, and both sides are equal.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_taken_back_before_they_came_leave_nothing_behind() {
    let servers = Servers::start().await;
    let stream = source(&servers).await;
    servers
        .sql(
            "DELETE FROM likes WHERE n = 100; UPDATE likes SET who = 'x' WHERE n = 200; \
              UPDATE likes SET at = at + interval '5 days' WHERE n = 300",
        )
        .await;
    let arrived = "2 AS source_tx";
    for n in [100, 200, 300] {
        again(&servers, n, &format!("-1 AS sign, {arrived}")).await;
    }
    again(&servers, 200, &format!("'x' AS who, {arrived}")).await;
    again(&servers, 300, &format!("event_time + INTERVAL 5 DAY AS event_time, {arrived}")).await;
    servers
        .clickhouse
        .execute("DELETE FROM it.likes WHERE n IN (100, 200, 300, 400) AND source_tx = 1")
        .await
        .unwrap();
    assert_eq!(now(&servers, &stream).await.tally.total(), 4);
    let filled = fill(&servers, &stream, Range::default()).await;
    assert_eq!((filled.completed, filled.written, filled.differing), (3, 1, 0));
    assert_eq!(now(&servers, &stream).await.differences, []);
    let again = fill(&servers, &stream, Range::default()).await;
    assert_eq!((again.completed, again.written), (0, 0));
}

/// GIVEN a lost day / WHEN a backfill is ended after each window, begun again by two at once, and each window has a snapshot
/// of its own / THEN every row is there once.
#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_goes_on_where_it_was_ended_and_two_at_once_write_once() {
    let servers = Servers::start().await;
    let stream = source(&servers).await;
    servers.clickhouse.execute("ALTER TABLE it.likes DROP PARTITION 20260105").await.unwrap();
    servers.clickhouse.execute("ALTER TABLE it.likes DROP PARTITION 20260106").await.unwrap();
    let young = FillOptions { max_snapshot_age: Duration::ZERO, ..OPTIONS };
    let backfill = Backfill::open(&servers.clickhouse, &stream, Range::default(), young).await.unwrap();
    let Plan { windows, .. } = backfill.plan(&Plain::new(&servers)).await.unwrap();

    let mut first = Plain::new(&servers);
    first.most_windows = 3;
    assert!(!backfill.fill(&windows, |_| false, JOB, &first).await.unwrap(), "it was ended");
    let done = first.done.lock().unwrap().clone();
    assert!(done.len() >= 3 && done.len() < windows.len(), "{done:?}");

    let (one, other) = (Plain::new(&servers), Plain::new(&servers));
    let is_done = |window| done.contains(&window);
    let (left, right) = tokio::join!(
        backfill.fill(&windows, is_done, JOB, &one),
        backfill.fill(&windows, is_done, JOB, &other)
    );
    assert!(left.unwrap() && right.unwrap());
    assert_eq!(one.done.lock().unwrap().len(), windows.len() - done.len());
    let readers = servers.access.parallel;
    let snapshots = one.snapshots.load(Ordering::SeqCst);
    assert!(snapshots >= (windows.len() - done.len()) / readers, "{snapshots} snapshots");
    assert_eq!(now(&servers, &stream).await.differences, []);
}

/// GIVEN lost days / WHEN a time and a condition say which rows are meant / THEN those are written and no other, and a
/// condition that is none is refused with what PostgreSQL says.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_postgresqls_and_stays_within_its_brackets() {
    let servers = Servers::start().await;
    let stream = source(&servers).await;
    for day in 5..8 {
        servers
            .clickhouse
            .execute(&format!("ALTER TABLE it.likes DROP PARTITION 2026010{day}"))
            .await
            .unwrap();
    }
    let day = |day: i64, condition: &str| Range {
        since_ms: Some(START + (day - 1) * DAY),
        until_ms: Some(START + day * DAY),
        condition: Some(condition.to_owned()),
    };
    for wrong in ["n >", "m = 1", "true); DROP TABLE likes; SELECT (true", "n = 1; SELECT 1", ""] {
        let refusal = plan(&servers, &stream, day(5, wrong)).await.unwrap_err();
        assert!(matches!(&refusal, ReconcileError::Refused { .. }), "{wrong}: {refusal:?}");
        assert!(refusal.to_string().contains("--where"), "{refusal}");
    }
    // Whatever stands in it, the day is the day.
    let planned = plan(&servers, &stream, day(5, "n % 2 = 0) OR (n % 2 = 0 -- all days")).await.unwrap();
    assert_eq!((planned.rows, planned.there), (720, None));
    let filled = fill(&servers, &stream, day(5, "n % 2 = 0 OR who = 'nobody'")).await;
    assert_eq!((filled.read, filled.written), (720, 720));
    assert_eq!(now(&servers, &stream).await.tally.missing, 3 * 1_440 - 720);
    let filled = fill(&servers, &stream, Range { condition: None, ..day(6, "") }).await;
    assert_eq!((filled.read, filled.written), (1_440, 1_440));
    assert_eq!(now(&servers, &stream).await.tally.missing, 2 * 1_440 - 720);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_whole_old_rows_is_refused_and_so_is_one_that_is_not_there() {
    let servers = Servers::start().await;
    let stream = stream(&servers).await;
    let refusal = plan(&servers, &stream, Range::default()).await.unwrap_err().to_string();
    assert!(refusal.contains("ALTER TABLE likes REPLICA IDENTITY FULL"), "{refusal}");
    let other = Stream { source: "public.unlikes".to_owned(), ..stream };
    let refusal = plan(&servers, &other, Range::default()).await.unwrap_err().to_string();
    assert!(refusal.contains("public.unlikes"), "{refusal}");
}
