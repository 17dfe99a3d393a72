//! Differences of a stream as text, and what to do about them.
//!
//! Invariant: what is not shown is counted.

use super::fold::Level;
use super::queries::of_difference;
use super::style::Style;
use super::words::{clean, columns, counted, grouped, meaning, range, value};
use crate::{Column, Difference, DifferenceKind, Report, StreamReport, TableRow, Verdict};

/// The differences by kind, the first of each in full as long as `room`, a number of differences, is left.
pub(crate) fn differences(stream: &StreamReport, style: Style, room: &mut usize) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in DifferenceKind::ALL {
        let count = stream.tally.of(kind);
        if count == 0 {
            continue;
        }
        let title = format!("{}: {} {}", clean(&stream.stream), grouped(count), kind.name());
        lines.push(String::new());
        lines.push(format!("{} ({})", style.bold(&title), meaning(kind)));
        let of_kind = stream.differences.iter().filter(|difference| difference.kind == kind);
        let mut shown = 0;
        for difference in of_kind.take(style.listed.min(*room)) {
            lines.extend(one(stream, difference, style));
            shown += 1;
            *room -= 1;
        }
        if count > shown {
            lines.push(style.dim(&format!("  and {} more", grouped(count - shown))));
        }
    }
    lines
}

fn one(stream: &StreamReport, difference: &Difference, style: Style) -> Vec<String> {
    let key = if difference.key.is_empty() {
        format!("source_key={}", difference.source_key)
    } else {
        columns(&difference.key)
    };
    let window = stream.windows.get(difference.window);
    let window = window.map_or_else(String::new, |window| range(window.from_ms, window.to_ms));
    let mut lines = vec![format!("  {}  {}", style.paint(Level::Few, &key), style.dim(&window))];
    match (&difference.postgres, difference.clickhouse.as_slice()) {
        (Some(row), [state]) if state.sum == 1 => lines.extend(sides(row, &state.columns)),
        (row, states) => {
            if let Some(row) = row {
                lines.push(format!("    PostgreSQL  {}", columns(row)));
            }
            for state in states {
                lines.push(format!("    ClickHouse  {:+} x {}", state.sum, columns(&state.columns)));
            }
        }
    }
    let messages: Vec<String> = difference.clickhouse.iter().flat_map(messages).collect();
    if !messages.is_empty() {
        lines.push(format!("    from        {}", messages.join(", ")));
    }
    if let Some(explained) = &difference.explained {
        let (message, reason) = (clean(&explained.message), clean(&explained.reason));
        let text = format!("    explained   dead letter {message}: {reason}");
        lines.push(style.paint(Level::Explained, &text));
    }
    lines
}

fn messages(row: &TableRow) -> impl Iterator<Item = String> {
    row.messages.iter().map(|message| clean(message))
}

/// The columns in which the sides differ.
fn sides(postgres: &[Column], clickhouse: &[Column]) -> Vec<String> {
    let mut lines = Vec::new();
    for column in postgres {
        let other = clickhouse.iter().find(|other| other.name == column.name);
        if other.is_some_and(|other| other.value == column.value) {
            continue;
        }
        let other = other.map_or_else(|| "no such column".to_owned(), value);
        lines.push(format!("    {}: PostgreSQL {}, ClickHouse {other}", clean(&column.name), value(column)));
    }
    lines
}

/// How to look for oneself, and the commands that go on from here.
pub(crate) fn next_steps(report: &Report, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let all = report
        .streams
        .iter()
        .flat_map(|stream| stream.differences.iter().map(move |difference| (stream, difference)));
    let unexplained = all.clone().find(|(_, difference)| difference.explained.is_none());
    let first = unexplained.or_else(|| all.clone().next());
    if let Some((stream, difference)) = first {
        let queries = of_difference(stream, difference);
        lines.extend([
            String::new(),
            style.bold("Look at one for yourself, in today's state:"),
            format!("  PostgreSQL  {}", queries.postgres),
            format!("  ClickHouse  {}", queries.clickhouse),
        ]);
    }
    let of = |verdict: Verdict| {
        let streams = report.streams.iter().filter(move |stream| stream.verdict == verdict);
        streams.map(|stream| format!(" --stream {}", clean(&stream.stream))).collect::<String>()
    };
    let (different, incomplete) = (of(Verdict::Different), of(Verdict::Incomplete));
    if !incomplete.is_empty() {
        lines.extend([
            String::new(),
            style.bold("Compare again what did not come to its end:"),
            format!("  nova reconcile{incomplete}"),
        ]);
    }
    if !different.is_empty() {
        let left_out = report.streams.iter().any(|stream| !stream.left_out.is_empty());
        let values = if left_out { " --values" } else { "" };
        lines.extend([
            String::new(),
            style.bold("Repair (nothing is written before `nova repair apply --execute`):"),
            format!("  nova reconcile{different}{values} -o json > report.json"),
            "  nova repair plan --report report.json --out plan.json".to_owned(),
        ]);
    }
    let explained: u64 = report.streams.iter().map(|stream| stream.tally.explained).sum();
    if explained > 0 {
        lines.extend([
            String::new(),
            format!(
                "{} by dead letters: mend their cause and replay them; repair leaves them out.",
                counted(explained, "difference")
                    + if explained == 1 { " is explained" } else { " are explained" }
            ),
        ]);
    }
    let cut = report.streams.iter().any(|stream| !stream.listed_all);
    if cut {
        lines.extend([
            String::new(),
            "Not all differing keys are listed: raise --max-listed, or narrow the run with --since and --until."
                .to_owned(),
        ]);
    }
    lines
}
