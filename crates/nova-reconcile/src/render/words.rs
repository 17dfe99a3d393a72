//! A report in words: headline, times, numbers.
//!
//! Invariant: what [`clean`] returns is one line and holds nothing that a terminal obeys or that reorders text.

use chrono::DateTime;

use crate::{Column, DifferenceKind, Report, Scope, StreamReport, Tally, Verdict};

/// The verdict as a sentence.
pub(crate) fn headline(report: &Report) -> String {
    let streams = report.streams.len();
    let differing = report.streams.iter().filter(|stream| stream.tally.total() > 0).count();
    let tally = total(report);
    let found = format!(
        "{} in {} of {}",
        counted(tally.total(), "difference"),
        differing,
        counted(streams as u64, "stream")
    );
    let unfinished: Vec<String> = report
        .streams
        .iter()
        .filter(|stream| stream.verdict == Verdict::Incomplete)
        .map(|stream| clean(&stream.stream))
        .collect();
    match report.verdict() {
        Verdict::Equal if streams == 0 => "Nothing was compared".to_owned(),
        Verdict::Equal => {
            let rows: i64 = report.streams.iter().map(|stream| rows(stream).0).sum();
            let (rows, streams) = (grouped(rows), counted(streams as u64, "stream"));
            format!("ClickHouse equals PostgreSQL: {rows} rows in {streams}")
        }
        Verdict::Explained => format!("{found}, all explained by dead letters"),
        Verdict::Different => {
            let mut text = found;
            if tally.explained > 0 {
                text.push_str(&format!(", {} of them explained by dead letters", tally.explained));
            }
            if !unfinished.is_empty() {
                text.push_str(&format!("; not compared to the end: {}", unfinished.join(", ")));
            }
            text
        }
        Verdict::Incomplete if tally.total() == 0 => {
            format!("Not compared to the end: {}; no difference so far", unfinished.join(", "))
        }
        Verdict::Incomplete => format!("Not compared to the end: {}; {found}", unfinished.join(", ")),
    }
}

/// Differences of all streams.
pub(crate) fn total(report: &Report) -> Tally {
    let mut sum = Tally::default();
    for stream in &report.streams {
        sum += stream.tally;
    }
    sum
}

/// `4 missing, 1 doubled (2 explained)`; empty without differences.
pub(crate) fn tally(tally: &Tally) -> String {
    let kinds: Vec<String> = DifferenceKind::ALL
        .into_iter()
        .filter(|kind| tally.of(*kind) > 0)
        .map(|kind| format!("{} {}", grouped(tally.of(kind)), kind.name()))
        .collect();
    let mut text = kinds.join(", ");
    if tally.explained > 0 {
        text.push_str(&format!(" ({} explained)", grouped(tally.explained)));
    }
    text
}

/// What a kind means.
pub(crate) fn meaning(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::Missing => "PostgreSQL has it, ClickHouse lacks it",
        DifferenceKind::Extra => "ClickHouse has it, PostgreSQL lacks it",
        DifferenceKind::Doubled => "ClickHouse has it more than once",
        DifferenceKind::Different => "both have it, with other values",
    }
}

/// Rows of all windows in PostgreSQL and in ClickHouse.
pub(crate) fn rows(stream: &StreamReport) -> (i64, i64) {
    let add = |(postgres, clickhouse): (i64, i64), window: &crate::Window| {
        (postgres.saturating_add(window.postgres.rows), clickhouse.saturating_add(window.clickhouse.rows))
    };
    stream.windows.iter().fold((0, 0), add)
}

/// What was asked for.
pub(crate) fn scope(scope: &Scope) -> String {
    let range = match (scope.since_ms, scope.until_ms) {
        (None, None) => "all rows".to_owned(),
        (Some(since), None) => format!("rows since {}", time(since)),
        (None, Some(until)) => format!("rows before {}", time(until)),
        (Some(since), Some(until)) => format!("rows from {} to before {}", time(since), time(until)),
    };
    if scope.incremental { format!("{range}, only windows touched since the last good run") } else { range }
}

/// `2026-11-21 15:03:12 UTC`, with milliseconds where there are any.
pub(crate) fn time(ms: i64) -> String {
    let form = if ms % 1000 == 0 { "%Y-%m-%d %H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S%.3f UTC" };
    match DateTime::from_timestamp_millis(ms) {
        Some(time) => time.format(form).to_string(),
        None => format!("{ms} ms"),
    }
}

/// `2026-11-20 10:00 to 11:00 UTC`: seconds only where there are any, the second date only where it is another.
pub(crate) fn range(from_ms: i64, to_ms: i64) -> String {
    let written = |ms: i64| {
        let text = time(ms);
        let text = text.strip_suffix(" UTC").unwrap_or(&text);
        text.strip_suffix(":00").unwrap_or(text).to_owned()
    };
    let (from, to) = (written(from_ms), written(to_ms));
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((date, _)), Some((other, clock))) if date == other => format!("{from} to {clock} UTC"),
        _ => format!("{from} to {to} UTC"),
    }
}

/// `15:03:12`, UTC.
pub(crate) fn clock(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%H:%M:%S").to_string()
}

/// `310 ms`, `4.2 s`, `3 min 07 s`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// A position in the write-ahead log as PostgreSQL writes it: `16/B374D848`.
pub(crate) fn lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// `1 stream`, `1,234 streams`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Digits in groups of three.
pub(crate) fn grouped(number: impl ToString) -> String {
    let text = number.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `name=value name=value`.
pub(crate) fn columns(columns: &[Column]) -> String {
    let pairs: Vec<String> =
        columns.iter().map(|column| format!("{}={}", clean(&column.name), value(column))).collect();
    pairs.join(" ")
}

/// A value, its beginning if it is long; NULL is a word.
pub(crate) fn value(column: &Column) -> String {
    column.value.as_deref().map_or_else(|| "NULL".to_owned(), |value| bounded(value, 120))
}

/// The text as one clean line that shows at most `limit` characters of it, and says so.
pub(crate) fn bounded(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => clean(text),
        Some((at, _)) => {
            let count = grouped(text.chars().count());
            format!("{} ... ({count} characters)", clean(text.get(..at).unwrap_or_default()))
        }
    }
}

/// One line without control characters and without those that turn the direction of text: they are shown as escapes.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            cleaned.extend(character.escape_default());
        } else {
            cleaned.push(character);
        }
    }
    cleaned
}

/// Control characters, line separators, marks and overrides of direction, the byte order mark.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}d\u{2028}"), "a\\u{1b}[31mb\\nc\\u{202e}d\\u{2028}");
        assert_eq!(clean("grüße 🦀 '\"<"), "grüße 🦀 '\"<");
    }

    #[test]
    fn long_texts_are_cut_by_characters_and_say_so() {
        assert_eq!(bounded("a\nb", 3), "a\\nb");
        assert_eq!(bounded(&"ä".repeat(4), 3), "äää ... (4 characters)");
    }

    #[test]
    fn numbers_and_times_for_people() {
        let numbers = [grouped(0), grouped(999), grouped(1000), grouped(-1_234_567)];
        assert_eq!(numbers, ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!([duration(7), duration(4_250), duration(187_000)], ["7 ms", "4.2 s", "3 min 07 s"]);
        assert_eq!(time(1_795_273_392_000), "2026-11-21 15:03:12 UTC");
        assert_eq!(time(1_795_273_392_040), "2026-11-21 15:03:12.040 UTC");
        assert_eq!(time(i64::MAX), format!("{} ms", i64::MAX));
        assert_eq!(range(1_795_272_300_000, 1_795_273_392_000), "2026-11-21 14:45 to 15:03:12 UTC");
        assert_eq!(range(1_795_305_540_000, 1_795_305_600_000), "2026-11-21 23:59 to 2026-11-22 00:00 UTC");
        assert_eq!(lsn(0x16_B374_D848), "16/B374D848");
        assert_eq!(counted(1, "row") + " " + &counted(2000, "row"), "1 row 2,000 rows");
    }
}
