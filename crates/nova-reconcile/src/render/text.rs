//! A report for a terminal: the verdict first, then where, then what, then what to do.
//!
//! Invariant: short where all is well; every text that came from a database is one clean line.

use super::differences::{differences, next_steps};
use super::fold::{Cell, Level, fold, level};
use super::style::Style;
use super::words::{clean, clock, counted, duration, grouped, headline, lsn, rows, scope, tally, time};
use crate::{Report, StreamReport, Verdict};

/// How often the differences listed for one kind and stream fit into one text; the JSON holds all.
const SHARES: usize = 8;

/// The report as text.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut lines = vec![style.bold(&style.paint(worst(report.verdict()), &headline(report)))];
    let took = u64::try_from(report.finished_ms - report.started_ms).unwrap_or(0);
    let about = format!(
        "run {}, {}, took {}, nova {}; {}",
        report.run_id,
        time(report.started_ms),
        duration(took),
        clean(&report.nova_version),
        scope(&report.scope)
    );
    lines.push(style.dim(&about));
    lines.push(String::new());
    lines.extend(table(&report.streams, style));
    if report.verdict() != Verdict::Equal {
        let strips = strips(&report.streams, style);
        if !strips.is_empty() {
            lines.push(String::new());
            lines.extend(strips);
        }
        let mut room = style.listed * SHARES;
        // The worst first: those that are explained can wait.
        let mut streams: Vec<&StreamReport> = report.streams.iter().collect();
        streams.sort_by_key(|stream| stream.verdict == Verdict::Explained);
        for stream in streams {
            lines.extend(differences(stream, style, &mut room));
        }
        lines.extend(next_steps(report, style));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// The colour of a verdict.
fn worst(verdict: Verdict) -> Level {
    match verdict {
        Verdict::Equal => Level::Equal,
        Verdict::Explained => Level::Explained,
        Verdict::Incomplete => Level::NotCompared,
        Verdict::Different => Level::Lots,
    }
}

/// One line per stream: rows, windows, snapshot, wait, verdict.
fn table(streams: &[StreamReport], style: Style) -> Vec<String> {
    let cells: Vec<[String; 5]> = streams.iter().map(columns).collect();
    let width = |column: usize| {
        let widths = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        widths.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    let line = |(stream, cells): (&StreamReport, &[String; 5])| {
        let [name, rows, windows, snapshot, waited] = cells;
        let [a, b, c, d, e] = widths;
        let verdict = match stream.verdict {
            Verdict::Equal => "equal".to_owned(),
            Verdict::Explained => format!("explained: {}", tally(&stream.tally)),
            Verdict::Different => format!("DIFFERENT: {}", tally(&stream.tally)),
            Verdict::Incomplete if stream.tally.total() == 0 => "INCOMPLETE".to_owned(),
            Verdict::Incomplete => format!("INCOMPLETE: {}", tally(&stream.tally)),
        };
        format!(
            "  {name:<a$}  {rows:>b$}  {windows:>c$}  {snapshot:<d$}  {waited:<e$}  {}",
            style.paint(worst(stream.verdict), &verdict)
        )
    };
    let mut lines: Vec<String> = streams.iter().zip(&cells).map(line).collect();
    for stream in streams.iter().filter(|stream| stream.verdict == Verdict::Incomplete) {
        let reason = clean(stream.reason.as_deref().unwrap_or("no reason was given"));
        lines.push(format!("  {} was not compared to the end: {reason}", clean(&stream.stream)));
    }
    for stream in streams {
        if let Some(note) = &stream.note {
            lines.push(format!("  {}: {}", clean(&stream.stream), clean(note)));
        }
    }
    lines
}

fn columns(stream: &StreamReport) -> [String; 5] {
    let rows = format!("{} rows", grouped(rows(stream).0));
    let (snapshot, waited) = match stream.snapshots.as_slice() {
        [] => ("no snapshot".to_owned(), String::new()),
        [first, rest @ ..] => {
            let waited: u64 = stream.snapshots.iter().map(|snapshot| snapshot.waited_ms).sum();
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let at = format!("as of {} at {}{more}", clock(first.taken_ms), lsn(first.lsn));
            (at, format!("waited {}", duration(waited)))
        }
    };
    let windows = counted(stream.windows.len() as u64, "window");
    [clean(&stream.stream), rows, windows, snapshot, waited]
}

/// A heat strip per stream, all on one axis, with its ends and a legend of the levels that occur.
fn strips(streams: &[StreamReport], style: Style) -> Vec<String> {
    let names = streams.iter().map(|stream| clean(&stream.stream).chars().count()).max().unwrap_or(0);
    let room = style.width.saturating_sub(names + 4).max(10);
    let folded = fold(streams, room);
    let (Some(first), Some(last)) = (folded.boundaries.first(), folded.boundaries.last()) else {
        return Vec::new();
    };
    let columns = folded.boundaries.len() - 1;
    // Few windows are stretched, so that the ends of the axis can be read.
    let stretch = (room / columns.max(1)).clamp(1, 8);
    let mut lines: Vec<String> = Vec::new();
    for (stream, cells) in streams.iter().zip(&folded.rows) {
        lines.push(format!("  {:<names$}  {}", clean(&stream.stream), strip(cells, stretch, style)));
    }
    let (first, last) = (time(*first), time(*last));
    let gap = (columns * stretch).saturating_sub(first.len() + last.len()).max(1);
    let axis = format!("  {:names$}  {first}{}{last}", "", " ".repeat(gap));
    lines.push(style.dim(&axis));
    lines.push(legend(streams, style));
    lines
}

fn strip(cells: &[Cell], stretch: usize, style: Style) -> String {
    let mut line = String::new();
    let mut column = 0;
    // Neighbours of one level are painted as one.
    for run in cells.chunk_by(|one, next| one.level == next.level && one.columns.end == next.columns.start) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        line.push_str(&" ".repeat(first.columns.start.saturating_sub(column) * stretch));
        let width = (last.columns.end - first.columns.start) * stretch;
        line.push_str(&style.paint(first.level, &style.block(first.level).to_string().repeat(width)));
        column = last.columns.end;
    }
    line
}

fn legend(streams: &[StreamReport], style: Style) -> String {
    let occurring: std::collections::BTreeSet<Level> =
        streams.iter().flat_map(|stream| &stream.windows).map(level).collect();
    let parts: Vec<String> = Level::ALL
        .into_iter()
        .filter(|level| occurring.contains(level) || *level >= Level::One)
        .map(|level| {
            let label = level.label();
            let label = if style.unicode { label.to_owned() } else { label.replace('–', "-") };
            format!("{} {label}", style.paint(level, &style.block(level).to_string()))
        })
        .collect();
    format!("  differences: {}", parts.join("  "))
}
