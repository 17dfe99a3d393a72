//! The facts on one page, for people.
//!
//! Invariant: nothing that could not be asked is left out: it is shown as not known.

use std::fmt::Write;

use chrono::DateTime;

use crate::doctor::Level;
use crate::facts::{
    Asked, Comparison, ConnectorFacts, Facts, JobFacts, JobStanding, LetterFacts, PostgresFacts, Server,
    StreamFacts, Unanswered,
};
use crate::table::{or_dash, table};
use crate::words::{bytes, count, span};

const STREAMS: [&str; 8] =
    ["stream", "members", "lag", "behind", "newest row", "letters, 24 h", "compared", "state"];
const LETTERS: [&str; 6] = ["letters", "open", "stream", "kind", "last", "reason"];
const JOBS: [&str; 9] = ["job", "stream", "into", "done", "of", "per second", "left", "heard of", "state"];
/// Causes that are shown; `nova dlq list` shows all.
const CAUSES: usize = 10;

/// The page.
pub(super) fn text(facts: &Facts) -> String {
    let at = DateTime::from_timestamp_millis(facts.taken_ms).unwrap_or_default();
    let mut page = format!("nova {} at {}\n\n", facts.nova_version, at.format("%Y-%m-%d %H:%M:%S UTC"));
    for line in [
        asked("PostgreSQL", facts.postgres.as_ref(), slot, "no password (postgres.password_file)"),
        asked("Kafka Connect", facts.connect.as_ref(), connector, "connect.url is empty"),
        server("Kafka", &facts.kafka, |_| String::new()),
        server("ClickHouse", &facts.clickhouse, |server| format!("version {}", server.version)),
    ] {
        page.push_str(&line);
    }
    let rows: Vec<_> = facts.streams.iter().map(|stream| cells(stream, facts)).collect();
    page.push('\n');
    page.push_str(&table(&STREAMS, &rows));
    match &facts.letters {
        Asked::Known(Some(letters)) => page.push_str(&causes(letters)),
        Asked::Known(None) => {}
        Asked::Unknown(unanswered) => page.push_str(&unknown("dead letters", unanswered)),
    }
    match &facts.jobs {
        Asked::Known(jobs) if jobs.is_empty() => {}
        Asked::Known(jobs) => {
            let rows: Vec<_> = jobs.iter().map(job).collect();
            page.push('\n');
            page.push_str(&table(&JOBS, &rows));
        }
        Asked::Unknown(unanswered) => page.push_str(&unknown("jobs", unanswered)),
    }
    if let Some(unanswered) = facts.comparisons.error() {
        page.push_str(&unknown("comparisons", unanswered));
    }
    page.push_str(&findings(facts));
    page
}

/// The line of a server that not everybody asks.
fn asked<T>(name: &str, asked: Option<&Server<T>>, describe: impl Fn(&T) -> String, why_not: &str) -> String {
    match asked {
        Some(asked) => server(name, asked, describe),
        None => format!("  {name:<13}  -     not asked: {why_not}\n"),
    }
}

/// A server's line.
fn server<T>(name: &str, server: &Server<T>, describe: impl Fn(&T) -> String) -> String {
    // Why it is away stands below, with what to do.
    let (word, said) = match &server.answer {
        Asked::Known(answer) => ("ok", describe(answer)),
        Asked::Unknown(Unanswered { away: true, .. }) => ("AWAY", String::new()),
        Asked::Unknown(Unanswered { away: false, .. }) => ("FAIL", String::new()),
    };
    let line = format!("  {name:<13}  {word:<4}  {}  {said}", server.place);
    format!("{}\n", line.trim_end())
}

fn slot(postgres: &PostgresFacts) -> String {
    let name = &postgres.slot_name;
    let Some(slot) = &postgres.slot else { return format!("slot {name} is MISSING") };
    let reader = if slot.active { "read" } else { "READ BY NOBODY" };
    let size = |size: Option<i64>| size.map_or("unknown".to_owned(), bytes);
    let wal = slot.wal_status.as_deref().unwrap_or("unknown");
    format!(
        "slot {name} {reader}, {} behind, {} of WAL kept ({wal})",
        size(slot.unconfirmed_bytes),
        size(slot.retained_bytes)
    )
}

fn connector(connector: &ConnectorFacts) -> String {
    let ConnectorFacts { connector, state, tasks, .. } = connector;
    match state {
        None => format!("connector {connector} is NOT REGISTERED"),
        Some(state) if tasks.is_empty() => format!("connector {connector} {state}, no task"),
        Some(state) => format!("connector {connector} {state}, task {}", tasks.join(", ")),
    }
}

fn cells(stream: &StreamFacts, facts: &Facts) -> Vec<String> {
    let name = stream.lag.named.stream.clone();
    let mut cells = vec![name.clone()];
    let standing = stream.lag.standing.known();
    match standing {
        None => cells.extend(["?"; 3].map(str::to_owned)),
        Some(standing) => cells.extend([
            standing.members.as_ref().map_or("?".to_owned(), |members| members.len().to_string()),
            count(standing.unread()),
            or_dash(standing.lag_seconds().map(span)),
        ]),
    }
    cells.push(match &stream.newest_row_seconds {
        Asked::Known(age) => age.map_or("-".to_owned(), |age| format!("{} ago", span(age))),
        Asked::Unknown(_) => "?".to_owned(),
    });
    cells.push(match &facts.letters {
        Asked::Known(Some(letters)) => of_stream(letters.of_stream(&name)),
        Asked::Known(None) => "-".to_owned(),
        Asked::Unknown(_) => "?".to_owned(),
    });
    let last = facts.last_comparison(&name);
    cells.push(match &facts.comparisons {
        Asked::Unknown(_) => "?".to_owned(),
        Asked::Known(_) => last.map_or("never".to_owned(), |last| compared(last, facts.taken_ms)),
    });
    cells.push(standing.map_or("not known".to_owned(), |standing| standing.words()));
    cells
}

fn of_stream((letters, open): (u64, u64)) -> String {
    match (letters, open) {
        (0, _) => "0".to_owned(),
        (letters, 0) => format!("{letters}, none open"),
        (letters, open) if letters == open => format!("{letters} open"),
        (letters, open) => format!("{letters}, {open} open"),
    }
}

fn compared(last: &Comparison, now_ms: i64) -> String {
    let part = if last.partial { " in part" } else { "" };
    format!("{}{part} {} ago", last.verdict.name(), span(last.seconds_ago(now_ms)))
}

fn causes(letters: &LetterFacts) -> String {
    let LetterFacts { letters: all, open, actions_known, more, groups, .. } = letters;
    if groups.is_empty() {
        return String::new();
    }
    let at_least = if *more { "at least " } else { "" };
    let known =
        if *actions_known { format!("{open} open") } else { "not known how many are open".to_owned() };
    let mut text = format!("\ndead letters of the last 24 h: {at_least}{all}, {known}\n");
    let row = |group: &crate::dlq::Group| {
        let (cause, number) = (&group.cause, &group.count);
        let last = number.last.clone();
        vec![
            number.letters.to_string(),
            number.open.to_string(),
            cause.stream.clone(),
            cause.kind.clone(),
            or_dash(last),
            cause.words(),
        ]
    };
    let rows: Vec<_> = groups.iter().take(CAUSES).map(row).collect();
    text.push_str(&table(&LETTERS, &rows));
    if groups.len() > CAUSES {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  and {} more causes: `nova dlq list`", groups.len() - CAUSES);
    }
    text
}

fn job(job: &JobFacts) -> Vec<String> {
    let state = match job.standing {
        JobStanding::Running => "at work".to_owned(),
        JobStanding::Interrupted => "cut off".to_owned(),
        JobStanding::Stopped => format!("stopped; to go on: {}", job.way_on.as_deref().unwrap_or_default()),
        JobStanding::Failed => "failed".to_owned(),
        JobStanding::Done => format!("done; {} rows written, {} were there", job.written, job.already_there),
    };
    let whole = |number: u64| count(i64::try_from(number).unwrap_or(i64::MAX));
    vec![
        job.kind.to_string(),
        job.stream.clone(),
        job.target.clone(),
        whole(job.done),
        format!("{} {}", whole(job.total), job.unit),
        or_dash(job.per_second.map(|rate| format!("{rate:.0}"))),
        or_dash(job.left_seconds.map(span)),
        format!("{} ago", span(job.heard_seconds)),
        state,
    ]
}

fn unknown(what: &str, Unanswered { error, away }: &Unanswered) -> String {
    let why = if *away { "a server is away" } else { error };
    format!("\n{what}: not known: {why}\n")
}

fn findings(facts: &Facts) -> String {
    if facts.findings.is_empty() {
        return "\nall well\n".to_owned();
    }
    let mut text = "\nto be seen to\n".to_owned();
    for finding in &facts.findings {
        let check = &finding.check;
        let word = if check.level == Level::Fail { "FAIL" } else { "warn" };
        let (group, name) = (check.group, &check.name);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {word}  {group} {name}: {}  -> {}", check.finding, check.cure);
    }
    text
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
