//! Runs of the past, for `nova reconcile history`.

use super::pretty;
use super::words::{clean, duration, grouped, tally, time};
use crate::history::Run;

/// The runs as a table, one line each, in their order.
#[must_use]
pub fn history_text(runs: &[Run]) -> String {
    if runs.is_empty() {
        return "No run is recorded yet: `nova reconcile` makes one.\n".to_owned();
    }
    let header = ["started", "stream", "rows", "windows", "took", "verdict"].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(header).chain(runs.iter().map(line)).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let [a, b, c, d, e] = [width(0), width(1), width(2), width(3), width(4)];
    let mut text = String::new();
    for [started, stream, rows, windows, took, verdict] in &lines {
        text.push_str(&format!(
            "{started:<a$}  {stream:<b$}  {rows:>c$}  {windows:>d$}  {took:>e$}  {verdict}\n"
        ));
    }
    text
}

/// The runs as a JSON array.
#[must_use]
pub fn history_json(runs: &[Run]) -> String {
    pretty(&runs)
}

fn line(run: &Run) -> [String; 6] {
    let mut verdict = run.verdict.name().to_owned();
    for (mark, text) in [(": ", tally(&run.tally)), (": ", clean(&run.reason))] {
        if !text.is_empty() {
            verdict.push_str(mark);
            verdict.push_str(&text);
        }
    }
    let partly = match (run.scope.incremental, run.scope.since_ms.is_some() || run.scope.until_ms.is_some()) {
        (false, false) => "",
        (true, false) => " (incremental)",
        (false, true) => " (part of the time)",
        (true, true) => " (incremental, part of the time)",
    };
    [
        time(run.started_ms / 1000 * 1000),
        clean(&run.stream),
        grouped(run.postgres_rows),
        grouped(run.windows),
        duration(u64::try_from(run.finished_ms - run.started_ms).unwrap_or(0)),
        verdict + partly,
    ]
}
