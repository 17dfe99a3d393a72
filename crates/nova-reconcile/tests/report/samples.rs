//! Reports that look like real ones, made by rule.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_reconcile::{
    Column, Difference, DifferenceKind, Explanation, REPORT_VERSION, Report, Scope, Side, SnapshotTaken,
    StreamReport, TableRow, Tally, Verdict, Window,
};
use uuid::Uuid;

/// 2026-11-20 00:00:00 UTC.
pub(crate) const DAY: i64 = 1_795_132_800_000;
pub(crate) const HOUR: i64 = 3_600_000;
/// What must never become markup, a command to the terminal, or a second statement.
pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)> '\"\\ {{data}} </script x <!--<script x=\"\u{2028}\u{202e}\u{1b}[31m\nDROP";

pub(crate) fn column(name: &str, value: &str) -> Column {
    Column { name: name.to_owned(), value: Some(value.to_owned()) }
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_a5b2_7c1d_7e3f_8a4b_0000_0000_0000 + number)
}

fn row(number: u128) -> Vec<Column> {
    vec![
        column("dwell_time_ms", "0"),
        column("event_time", "2026-11-20 10:14:07.125"),
        column("event_type", "like"),
        column("post_id", &id(number + 1000).to_string()),
        column("user_id", &id(number + 2000).to_string()),
    ]
}

fn state(sum: i64, columns: Vec<Column>, offset: u64) -> TableRow {
    let messages = (0..sum.unsigned_abs()).map(|n| format!("cdc.likes/3/{}", offset + n)).collect();
    TableRow { sum, columns, messages }
}

/// A difference of that kind; `number` makes it another one.
pub(crate) fn difference(kind: DifferenceKind, window: usize, number: u128) -> Difference {
    let other = || {
        let mut other = row(number);
        other[4] = column("user_id", &id(number + 2001).to_string());
        other
    };
    let offset = 40_000 + u64::try_from(number).unwrap();
    let (postgres, clickhouse) = match kind {
        DifferenceKind::Missing => (Some(row(number)), Vec::new()),
        DifferenceKind::Extra => (None, vec![state(1, row(number), offset)]),
        DifferenceKind::Doubled => (Some(row(number)), vec![state(2, row(number), offset)]),
        DifferenceKind::Different => (Some(row(number)), vec![state(1, other(), offset)]),
    };
    let key = match kind {
        DifferenceKind::Extra => Vec::new(),
        _ => vec![column("id", &id(number).to_string())],
    };
    Difference { kind, window, source_key: id(number), key, postgres, clickhouse, explained: None }
}

/// Equal windows of `size` ms from [`DAY`] on.
fn windows(count: usize, size: i64) -> Vec<Window> {
    let window = |index: usize| {
        let index = i64::try_from(index).unwrap();
        let side = Side { rows: 120 + index % 7, checksum: (index * 7_919_000_017).to_string() };
        Window {
            from_ms: DAY + index * size,
            to_ms: DAY + (index + 1) * size,
            snapshot: 0,
            postgres: side.clone(),
            clickhouse: side,
            tally: Tally::default(),
        }
    };
    (0..count).map(window).collect()
}

pub(crate) fn stream(name: &str, table: &str, count: usize, size: i64) -> StreamReport {
    StreamReport {
        stream: name.to_owned(),
        source: format!("public.{name}"),
        table: table.to_owned(),
        topic: format!("cdc.{name}"),
        key: vec!["id".to_owned()],
        time: "created_at".to_owned(),
        table_time: "event_time".to_owned(),
        verdict: Verdict::Equal,
        reason: None,
        note: None,
        snapshots: vec![SnapshotTaken {
            taken_ms: DAY + 48 * HOUR + 120,
            lsn: 0x16_B374_D848,
            xmin: 4_294_967_801,
            xmax: 4_294_967_812,
            running: vec![4_294_967_801, 4_294_967_805],
            waited_ms: 410,
        }],
        windows: windows(count, size),
        tally: Tally::default(),
        differences: Vec::new(),
        listed_all: true,
        left_out: Vec::new(),
    }
}

fn report(streams: Vec<StreamReport>) -> Report {
    Report {
        version: REPORT_VERSION,
        run_id: id(0),
        started_ms: DAY + 48 * HOUR,
        finished_ms: DAY + 48 * HOUR + 4_250,
        nova_version: "0.1.0".to_owned(),
        scope: Scope::default(),
        streams,
    }
}

/// Puts a difference into a stream, and counts it.
pub(crate) fn add(stream: &mut StreamReport, difference: Difference) {
    let window = &mut stream.windows[difference.window];
    let mut tally = Tally { explained: u64::from(difference.explained.is_some()), ..Tally::default() };
    match difference.kind {
        DifferenceKind::Missing => (tally.missing, window.clickhouse.rows) = (1, window.clickhouse.rows - 1),
        DifferenceKind::Extra => (tally.extra, window.clickhouse.rows) = (1, window.clickhouse.rows + 1),
        DifferenceKind::Doubled => (tally.doubled, window.clickhouse.rows) = (1, window.clickhouse.rows + 1),
        DifferenceKind::Different => tally.different = 1,
    }
    window.clickhouse.checksum.push('1');
    window.tally += tally;
    stream.tally += tally;
    stream.verdict = Verdict::Different;
    stream.differences.push(difference);
    stream.differences.sort_by_key(|difference| difference.window);
}

/// Four streams, all equal.
pub(crate) fn well() -> Report {
    report(vec![
        stream("comments", "post_engagement_events", 48, HOUR),
        stream("follows", "user_follow_events", 48, HOUR),
        stream("likes", "post_engagement_events", 48, HOUR),
        stream("posts", "post_events", 2, 24 * HOUR),
    ])
}

/// Every kind of difference, hostile values, an explained one, a stream that did not come to its end.
pub(crate) fn trouble() -> Report {
    let mut report = well();
    let [comments, follows, likes, _] = report.streams.as_mut_slice() else { return report };
    for number in 0..30 {
        add(likes, difference(DifferenceKind::Missing, 10, number));
    }
    add(likes, difference(DifferenceKind::Extra, 11, 31));
    add(likes, difference(DifferenceKind::Extra, 30, 32));
    add(likes, difference(DifferenceKind::Doubled, 11, 33));
    let mut hostile = difference(DifferenceKind::Different, 40, 34);
    hostile.clickhouse[0].columns[2] = column("event_type", HOSTILE);
    hostile.clickhouse[0].columns[0].value = None;
    hostile.key[0] = column("id", HOSTILE);
    add(likes, hostile);
    let mut dead = difference(DifferenceKind::Missing, 20, 35);
    dead.explained = Some(Explanation {
        message: "cdc.comments/1/77120".to_owned(),
        reason: "payload.after.created_at: a time was expected, found \"soon\"".to_owned(),
    });
    add(comments, dead);
    comments.verdict = Verdict::Explained;
    follows.verdict = Verdict::Incomplete;
    follows.reason =
        Some("statement_timeout of 30 s reached in PostgreSQL; raise reconcile.statement_timeout".to_owned());
    for window in &mut follows.windows[36..] {
        window.postgres = Side::default();
        window.clickhouse = Side::default();
    }
    report
}

/// Twenty streams of a thousand windows, ten thousand differences listed and more found.
pub(crate) fn huge() -> Report {
    let mut streams: Vec<StreamReport> = (0..20)
        .map(|n| stream(&format!("stream_{n:02}"), "post_engagement_events", 1000, HOUR / 4))
        .collect();
    for (n, stream) in streams.iter_mut().enumerate().take(10) {
        for number in 0..1000_usize {
            let kind = DifferenceKind::ALL[number % 4];
            let window = if n == 0 { number } else { 500 + number % (n * 40) };
            add(stream, difference(kind, window, (n * 1000 + number) as u128));
        }
    }
    streams[3].tally.missing += 5_000_000;
    streams[3].windows[500].tally.missing += 5_000_000;
    streams[3].listed_all = false;
    report(streams)
}
