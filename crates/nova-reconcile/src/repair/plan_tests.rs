//! Plans over made-up reports: each kind of difference, and what a plan refuses.

use uuid::Uuid;

use super::net::{net, rows_for};
use super::*;
use crate::{
    Column, Difference, DifferenceKind, Explanation, REPORT_VERSION, Report, Scope, Side, StreamReport,
    TableRow, Tally, Verdict, Window,
};

fn columns(value: &str) -> Vec<Column> {
    vec![Column { name: "user_id".into(), value: Some(value.into()) }]
}

fn state(sum: i64, value: &str) -> TableRow {
    TableRow { sum, columns: columns(value), messages: vec!["cdc.likes/0/7".into()] }
}

fn difference(
    kind: DifferenceKind,
    key: u128,
    postgres: Option<&str>,
    clickhouse: Vec<TableRow>,
) -> Difference {
    let postgres = postgres.map(columns);
    let source_key = Uuid::from_u128(key);
    Difference { kind, window: 0, source_key, key: vec![], postgres, clickhouse, explained: None }
}

pub(super) fn report(differences: Vec<Difference>) -> Report {
    let window = Window {
        from_ms: 0,
        to_ms: 60_000,
        snapshot: 0,
        postgres: Side::default(),
        clickhouse: Side::default(),
        tally: Tally::default(),
    };
    let stream = StreamReport {
        stream: "likes".into(),
        source: "public.likes".into(),
        table: "post_engagement_events".into(),
        topic: "cdc.likes".into(),
        key: vec!["id".into()],
        time: "created_at".into(),
        table_time: "event_time".into(),
        verdict: Verdict::Different,
        reason: None,
        note: None,
        snapshots: vec![],
        windows: vec![window],
        tally: Tally::default(),
        differences,
        listed_all: true,
        left_out: Vec::new(),
    };
    Report {
        version: REPORT_VERSION,
        run_id: Uuid::from_u128(1),
        started_ms: 0,
        finished_ms: 1,
        nova_version: "0".into(),
        scope: Scope::default(),
        streams: vec![stream],
    }
}

fn planned(difference: Difference) -> Vec<(i8, String)> {
    let plan = Plan::of(&report(vec![difference]), &Selection::default()).unwrap();
    let rows = plan.streams.into_iter().flat_map(|stream| stream.entries).flat_map(|entry| entry.rows);
    rows.map(|row| (row.sign, row.columns[0].value.clone().unwrap())).collect()
}

#[test]
fn each_kind_becomes_the_rows_that_take_the_sums_to_the_state() {
    use DifferenceKind::{Different, Doubled, Extra, Missing};
    let row = |sign: i8, value: &str| (sign, value.to_owned());
    assert_eq!(planned(difference(Missing, 1, Some("a"), vec![])), [row(1, "a")]);
    assert_eq!(planned(difference(Missing, 1, Some("a"), vec![state(-1, "a")])), [row(1, "a"), row(1, "a")]);
    assert_eq!(planned(difference(Extra, 1, None, vec![state(1, "a")])), [row(-1, "a")]);
    assert_eq!(planned(difference(Extra, 1, None, vec![state(-1, "a")])), [row(1, "a")]);
    assert_eq!(planned(difference(Doubled, 1, Some("a"), vec![state(3, "a")])), [row(-1, "a"), row(-1, "a")]);
    assert_eq!(
        planned(difference(Different, 1, Some("new"), vec![state(1, "old")])),
        [row(-1, "old"), row(1, "new")]
    );
    assert_eq!(
        planned(difference(Different, 1, Some("new"), vec![state(2, "new"), state(-1, "old")])),
        [row(-1, "new"), row(1, "old")]
    );
}

#[test]
fn the_same_report_gives_the_same_plan_and_an_edited_one_is_refused() {
    let report = report(vec![difference(DifferenceKind::Missing, 1, Some("a"), vec![])]);
    let plan = Plan::of(&report, &Selection::default()).unwrap();
    assert_eq!(plan, Plan::of(&report, &Selection::default()).unwrap());
    let json = serde_json::to_string(&plan).unwrap();
    let mut read: Plan = serde_json::from_str(&json).unwrap();
    assert_eq!(read.check(), Ok(()));
    assert_eq!((read.streams[0].adds, read.streams[0].removes), (1, 0));
    read.streams[0].entries[0].rows[0].sign = -1;
    assert_eq!(read.check(), Err(PlanError::Edited));
    read.version = 9;
    assert!(read.check().unwrap_err().to_string().contains("version 9"));
}

#[test]
fn explained_differences_and_cut_reports_need_a_word() {
    let mut explained = difference(DifferenceKind::Missing, 1, Some("a"), vec![]);
    explained.explained = Some(Explanation { message: "cdc.likes/0/1".into(), reason: "no JSON".into() });
    let mut report = report(vec![explained]);
    assert_eq!(Plan::of(&report, &Selection::default()).unwrap().streams, []);
    let all = Selection { explained: true, ..Selection::default() };
    assert_eq!(Plan::of(&report, &all).unwrap().streams[0].entries.len(), 1);

    report.streams[0].listed_all = false;
    report.streams[0].tally.missing = 7;
    let error = Plan::of(&report, &all).unwrap_err().to_string();
    assert!(error.contains("lists 1 of 7") && error.contains("--partial"), "{error}");
    assert!(Plan::of(&report, &Selection { partial: true, ..all }).is_ok());

    let none = Selection { streams: vec!["posts".into()], ..Selection::default() };
    assert!(Plan::of(&report, &none).unwrap_err().to_string().contains("it has likes"));
}

#[test]
fn what_rows_come_to_is_the_same_whatever_their_order_and_whatever_live_traffic_has_added_to_both_sides() {
    use DifferenceKind::{Different, Extra, Missing};
    let planned = |difference: Difference| rows_for(&difference);
    let same = |one: &[PlannedRow], other: &[PlannedRow]| net(one) == net(other);
    let found = planned(difference(Different, 1, Some("c"), vec![state(1, "a"), state(1, "b")]));
    let reversed = planned(difference(Different, 1, Some("c"), vec![state(1, "b"), state(1, "a")]));
    assert!(same(&found, &reversed));
    assert!(!same(&found, &planned(difference(Different, 1, Some("c"), vec![state(1, "b")]))));
    assert!(!same(&found, &planned(difference(Extra, 1, None, vec![state(1, "a"), state(1, "b")]))));
    // The insert was lost; then the row was updated, then deleted.
    let lost = planned(difference(Missing, 1, Some("a"), vec![]));
    assert!(same(&lost, &planned(difference(Different, 1, Some("b"), vec![state(-1, "a"), state(1, "b")]))));
    assert!(same(&lost, &planned(difference(Extra, 1, None, vec![state(-1, "a")]))));
}

#[test]
fn an_entry_names_the_windows_of_all_of_its_rows() {
    let at = |text: Option<&str>| vec![Column { name: "event_time".into(), value: text.map(str::to_owned) }];
    let extra = |text: Option<&str>| TableRow { sum: 1, columns: at(text), messages: vec![] };
    let windows = |postgres: &str, others: Vec<TableRow>| {
        let right = TableRow { sum: 1, columns: at(Some(postgres)), messages: vec![] };
        let clickhouse = std::iter::once(right).chain(others).collect();
        let found = Difference {
            postgres: Some(at(Some(postgres))),
            ..difference(DifferenceKind::Different, 1, None, clickhouse)
        };
        Plan::of(&report(vec![found]), &Selection::default()).unwrap().streams[0].windows_ms()
    };
    let first = "1970-01-01 00:00:01.000";
    assert_eq!(windows(first, vec![extra(Some("1970-01-01 00:00:59.999"))]), [(0, 60_000)]);
    let month_later = vec![extra(Some("1970-02-01 00:00:00.123456"))];
    assert_eq!(windows(first, month_later), [(0, 60_000), (2_678_400_123, 2_678_400_124)]);
    assert_eq!(windows(first, vec![extra(Some("1969-12-31"))]), [(-86_400_000, -86_399_999), (0, 60_000)]);
    assert_eq!(windows(first, vec![extra(None)]), [(i64::MIN, i64::MAX), (0, 60_000)]);
}
