//! Repairs on both real servers: what a report says can be written again, whatever the type and wherever the row.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use nova_clickhouse::{TableInfo, TableSink};
use nova_reconcile::repair::{Application, Applied, Look, Plan, Selection};
use nova_reconcile::{
    CompareOptions, Difference, DifferenceKind, REPORT_VERSION, ReconcileError, Report, Scope, SnapshotTaken,
    StreamReport, compare,
};
use nova_streams::{Mapping, Stream};
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use crate::comparing::{again, id, now};
use crate::hashes::{compared, fill, pairs};
use crate::servers::Servers;
use crate::{comparing, hashes};

/// The comparison of the ranges, as `nova repair apply` does it.
struct Live<'s> {
    servers: &'s Servers,
    stream: &'s Stream,
}

impl Look for Live<'_> {
    type Error = ReconcileError;

    async fn look(&self, ranges: &[(i64, i64)]) -> Result<(SnapshotTaken, Vec<Difference>), ReconcileError> {
        let scope = Scope {
            since_ms: ranges.iter().map(|(from, _)| *from).min(),
            until_ms: ranges.iter().map(|(_, to)| *to).max(),
            incremental: false,
        };
        let options = CompareOptions { scope, max_listed: 10_000, parallel: 2, touched: None };
        let mut snapshot = self.servers.snapshot().await;
        let report = compare(&self.servers.clickhouse, &mut snapshot, self.stream, &options).await;
        let taken = snapshot.taken().clone();
        snapshot.close().await;
        Ok((taken, report?.differences))
    }
}

fn plan(report: StreamReport) -> Plan {
    let report = Report {
        version: REPORT_VERSION,
        run_id: Uuid::new_v4(),
        started_ms: 0,
        finished_ms: 0,
        nova_version: String::new(),
        scope: Scope::default(),
        streams: vec![report],
    };
    Plan::of(&report, &Selection::default()).unwrap()
}

async fn apply(servers: &Servers, stream: &Stream, plan: &Plan) -> Applied {
    let info = TableInfo::read(&servers.clickhouse, &stream.table).await.unwrap();
    let mapping = Mapping::compile(stream, &info.schema).unwrap();
    let sink = TableSink::new(servers.clickhouse.clone(), &info, mapping.columns()).unwrap();
    let look = Live { servers, stream };
    let part = &plan.streams[0];
    let application = Application::new(plan, part, (stream, mapping.columns()), sink, &look).unwrap();
    application.write(&mut |_| {}).await.unwrap()
}

fn by_kind(report: &StreamReport) -> BTreeMap<DifferenceKind, usize> {
    let mut counts = BTreeMap::new();
    for difference in &report.differences {
        *counts.entry(difference.kind).or_default() += 1;
    }
    counts
}

/// GIVEN rows with values of every pair of types / WHEN some are lost, some doubled, some gone from PostgreSQL and all of
/// that is repaired / THEN both sides are equal: what either server says of a value is written as that value.
#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_are_written_again_from_what_either_server_says() {
    let servers = Servers::start().await;
    let pairs = pairs();
    let stream = hashes::stream(&servers, &pairs).await;
    let mut runner = TestRunner::new(Config::default());
    fill(&servers, &stream, &pairs, &mut runner).await;
    for sql in [
        "DELETE FROM it.pairs WHERE kafka_offset < 30",
        "INSERT INTO it.pairs SELECT * FROM it.pairs WHERE kafka_offset < 50",
    ] {
        servers.clickhouse.execute(sql).await.unwrap();
    }
    let gone = "SELECT groupArray(toString(source_key)) FROM it.pairs WHERE kafka_offset >= 50 FORMAT TSVRaw";
    let gone = servers.clickhouse.query_text(gone, &[]).await.unwrap();
    servers.sql(&format!("DELETE FROM pairs WHERE id::text = ANY (ARRAY{})", gone.trim())).await;

    let report = compared(&servers, &stream).await;
    use DifferenceKind::{Doubled, Extra, Missing};
    assert_eq!(by_kind(&report), BTreeMap::from([(Missing, 30), (Doubled, 20), (Extra, 30)]));
    let plan = plan(report);
    let applied = apply(&servers, &stream, &plan).await;
    // PostgreSQL's texts may have what stands for lost bytes: such keys are refused, not guessed.
    let refused = applied.left_out.len();
    assert!(applied.left_out.iter().all(|key| key.reason.contains('\u{fffd}')), "{:?}", applied.left_out);
    assert!(refused < 40, "{refused} of 80 keys refused");
    assert_eq!(compared(&servers, &stream).await.differences.len(), refused);
    assert_eq!(apply(&servers, &stream, &plan).await.there, applied.added + applied.removed);
}

/// GIVEN a row that stands in ClickHouse a month late, and another once more a month late beside itself, where the window
/// of PostgreSQL's row is equal on both sides / WHEN both are repaired / THEN they are found again and put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_versions_lie_in_windows_far_apart_is_found_again() {
    let servers = Servers::start().await;
    let stream = comparing::stream(&servers).await;
    again(&servers, 4_000, "event_time + INTERVAL 31 DAY AS event_time").await;
    again(&servers, 4_000, "-1 AS sign, toDateTime64('2026-01-03 18:40:00', 3, 'UTC') AS event_time").await;
    again(&servers, 6_000, "event_time + INTERVAL 31 DAY AS event_time").await;
    let report = now(&servers, &stream).await;
    let keys = [id(&servers, 4_000).await, id(&servers, 6_000).await];
    let mut found: Vec<Uuid> = report.differences.iter().map(|found| found.source_key).collect();
    found.sort_unstable_by_key(|key| *key != keys[0]);
    assert_eq!(found, keys);
    let whole = plan(report);
    for (key, rows) in keys.into_iter().zip([(1, 1), (0, 1)]) {
        // Each for itself: together, the one's window would cover the other's.
        let mut report = now(&servers, &stream).await;
        report.differences.retain(|difference| difference.source_key == key);
        let applied = apply(&servers, &stream, &plan(report)).await;
        assert_eq!((applied.added, applied.removed, applied.left_out), (rows.0, rows.1, vec![]), "{key}");
    }
    assert_eq!(now(&servers, &stream).await.differences, []);
    // The first plan comes too late.
    let late = apply(&servers, &stream, &whole).await;
    assert_eq!((late.added, late.removed, late.left_out.len()), (0, 0, 2));
}
