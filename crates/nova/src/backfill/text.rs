//! A backfill in words.

use std::fmt::Write;
use std::time::Duration;

use chrono::DateTime;
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use nova_clickhouse::JobRow;
use nova_reconcile::backfill::{Filled, Plan, Sample};
use nova_streams::Stream;

use super::BackfillArgs;

/// Keys that are shown.
const SHOWN: usize = 10;

// Writing to a String cannot fail, so its answers are dropped below.
/// What there is to be done.
pub(super) fn plan(stream: &Stream, plan: &Plan, args: &BackfillArgs) -> String {
    let Plan { windows, rows, bytes, there, by_time, sample } = plan;
    let mut text =
        format!("{}: {} -> {}, from a snapshot of PostgreSQL\n", stream.name, stream.source, stream.table);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<8} {value}");
    };
    let end = |ms: Option<i64>, open: &str| {
        let time = ms.and_then(DateTime::from_timestamp_millis);
        time.map_or_else(|| open.to_owned(), |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string())
    };
    if let (Some(first), Some(last)) = (windows.first(), windows.last()) {
        let (from, to) = (end(first.from_ms, "the first"), end(last.to_ms, "the last"));
        line("range", format!("{} from {from} to {to}, in {} windows", stream.time, windows.len()));
    }
    line("rows", format!("{} in PostgreSQL; about {}", HumanCount(*rows), HumanBytes(*bytes)));
    match there {
        Some(there) => line("there", format!("{there} of that time in ClickHouse, as of the snapshot")),
        None => line("there", "not counted: --where is PostgreSQL's; see the sample".to_owned()),
    }
    if let Some(Sample { filled, .. }) = sample {
        line("sample", format!("{} rows from the middle: {}", filled.read, words(filled, "are missing")));
    }
    if let Some(seconds) = seconds(plan, args) {
        let time = HumanDuration(Duration::from_secs(seconds));
        line("time", format!("about {time} with {} connections, judged by the sample", args.connections));
    }
    if !by_time && windows.len() > 1 {
        line(
            "note",
            format!("no index begins with {}: each window takes a pass over the table", stream.time),
        );
    }
    let _ = writeln!(text, "nothing was written; the same with --execute writes what is missing");
    text
}

/// An estimate of the time that it takes; none without a sample.
pub(super) fn seconds(plan: &Plan, args: &BackfillArgs) -> Option<u64> {
    let Sample { filled, took_ms } = plan.sample.as_ref()?;
    let paced = args.max_rows_per_second.map_or(0, |rows| plan.rows / u64::from(rows.get()));
    let read_ms = plan.rows.saturating_mul(*took_ms) / filled.read.max(1) / u64::from(args.connections);
    Some(paced.max(read_ms / 1_000).max(1))
}

/// What the same command has left to do.
pub(super) fn earlier(row: &JobRow, windows: usize, left: usize) -> String {
    let JobRow { job_id, began_at, actor, written, done, total, .. } = row;
    format!(
        "the same command was begun at {began_at} by {actor} (job {job_id}) and is not done: {done} of {total} rows were read, \
         {written} written; {left} of {windows} windows are left\n\
         nothing was written now; the same with --execute goes on there, with --anew it begins anew\n"
    )
}

/// What was done.
pub(super) fn filled(stream: &Stream, filled: &Filled) -> String {
    let mut text = format!(
        "{}: {} rows of {} were read: {}\n",
        stream.name,
        HumanCount(filled.read),
        stream.source,
        words(filled, "were written")
    );
    for named in filled.named.iter().take(SHOWN) {
        let _ = writeln!(text, "  left alone: {}: {}", named.key, named.reason);
    }
    if filled.named.len() > SHOWN {
        let more = filled.differing + filled.refused - SHOWN as u64;
        let _ = writeln!(text, "  … and {more} more; `-o json` names a hundred");
    }
    text
}

fn words(filled: &Filled, written: &str) -> String {
    let mut words =
        format!("{} {written}, {} were there", HumanCount(filled.written), HumanCount(filled.there));
    let others = [
        (filled.completed, "written of rows that had been deleted or changed before they came"),
        (filled.differing, "keys differ"),
        (filled.refused, "rows do not fit the columns"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(words, ", {count} {what}");
    }
    words
}
