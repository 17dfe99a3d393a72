//! Letters of one cause, counted.
//!
//! Invariant: memory does not grow with the letters. Beyond [`MOST`] causes, the others of a stream are counted as one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::reason::normalised;
use super::scan::{Entry, Held, Status};
use super::view::time;
use crate::table::table;

/// At most so many groups.
const MOST: usize = 1_000;

const HEADER: [&str; 10] =
    ["letters", "open", "retried", "discarded", "stream", "kind", "first", "last", "example", "reason"];

/// What letters of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cause {
    /// The stream that refused them.
    pub stream: String,
    /// The kind of error.
    pub kind: String,
    /// Where in the message; empty: the whole message.
    pub path: String,
    /// Why, without what differs from message to message.
    pub reason: String,
}

/// Letters of one cause.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// What they have in common.
    #[serde(flatten)]
    pub cause: Cause,
    /// How many they are.
    #[serde(flatten)]
    pub count: Count,
}

/// How many letters, and what was done about them.
#[derive(Debug, Clone, Serialize)]
pub struct Count {
    /// All of them.
    pub letters: u64,
    /// Those that nothing was done about.
    pub open: u64,
    /// Those that became rows, or need none.
    pub retried: u64,
    /// Those that were given up.
    pub discarded: u64,
    /// When the first was written, RFC 3339.
    pub first: Option<String>,
    /// When the last was written.
    pub last: Option<String>,
    /// `topic/partition/offset` of one of the messages.
    pub example: String,
    #[serde(skip)]
    times: Option<(i64, i64)>,
}

/// All groups.
#[derive(Debug, Default)]
pub struct Groups(BTreeMap<Cause, Count>);

#[derive(Debug, Serialize)]
struct Report<'r> {
    topic: &'r str,
    matching: u64,
    open: u64,
    #[serde(flatten)]
    held: &'r Held,
    groups: Vec<Group>,
}

impl Groups {
    /// Counts a letter.
    pub fn add(&mut self, entry: &Entry) {
        let letter = &entry.stored.letter;
        let mut cause = Cause {
            stream: letter.stream.clone(),
            kind: letter.kind.to_string(),
            path: letter.path.clone(),
            reason: normalised(&letter.reason),
        };
        if self.0.len() >= MOST && !self.0.contains_key(&cause) {
            cause = Cause { path: String::new(), reason: "(other reasons)".to_owned(), ..cause };
        }
        let count = self.0.entry(cause).or_insert_with(|| Count {
            letters: 0,
            open: 0,
            retried: 0,
            discarded: 0,
            first: None,
            last: None,
            example: entry.place().to_string(),
            times: None,
        });
        count.letters += 1;
        match entry.status() {
            Status::Open => count.open += 1,
            Status::Retried => count.retried += 1,
            Status::Discarded => count.discarded += 1,
        }
        if let Some(at) = entry.stored.time_ms {
            let (first, last) = count.times.unwrap_or((at, at));
            count.times = Some((first.min(at), last.max(at)));
        }
    }

    /// The groups with the most open letters first.
    pub fn sorted(&self) -> Vec<Group> {
        let group = |(cause, count): (&Cause, &Count)| {
            let (first, last) = count.times.unzip();
            let (first, last) = (first.and_then(time), last.and_then(time));
            Group { cause: cause.clone(), count: Count { first, last, ..count.clone() } }
        };
        let mut groups: Vec<Group> = self.0.iter().map(group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse((group.count.open, group.count.letters)));
        groups
    }

    /// For programs.
    pub fn json(&self, topic: &str, held: &Held) -> serde_json::Result<String> {
        let sum = |of: fn(&Count) -> u64| self.0.values().map(of).sum();
        let (matching, open) = (sum(|count| count.letters), sum(|count| count.open));
        serde_json::to_string_pretty(&Report { topic, matching, open, held, groups: self.sorted() })
    }

    /// For people.
    pub fn text(&self) -> String {
        if self.0.is_empty() {
            return "no dead letters\n".to_owned();
        }
        let rows: Vec<_> = self.sorted().into_iter().map(Group::cells).collect();
        table(&HEADER, &rows)
    }
}

impl Cause {
    /// Place and reason, for people.
    pub fn words(&self) -> String {
        match (self.path.as_str(), self.reason.as_str()) {
            ("", "") => "(not said)".to_owned(),
            // Many reasons begin with their place.
            (path, reason) if path.is_empty() || reason.starts_with(path) => reason.to_owned(),
            (path, reason) => format!("{path}: {reason}"),
        }
    }
}

impl Group {
    fn cells(self) -> Vec<String> {
        let reason = self.cause.words();
        let Self { cause: Cause { stream, kind, .. }, count } = self;
        let numbers = [count.letters, count.open, count.retried, count.discarded].map(|n| n.to_string());
        let dash = |time: Option<String>| time.unwrap_or_else(|| "-".to_owned());
        let stream = if stream.is_empty() { "-".to_owned() } else { stream };
        let words = [stream, kind, dash(count.first), dash(count.last), count.example, reason];
        numbers.into_iter().chain(words).collect()
    }
}

#[cfg(test)]
mod tests {
    use nova_clickhouse::LetterAction;

    use super::super::scan::entry;
    use super::*;

    fn groups() -> Groups {
        let mut groups = Groups::default();
        let mut other = entry(8, None);
        other.stored.letter.reason = "expected JSON".to_owned();
        other.stored.letter.path = String::new();
        other.stored.time_ms = None;
        for entry in [entry(5, None), entry(6, Some(LetterAction::Retried)), entry(4, None), other] {
            groups.add(&entry);
        }
        groups
    }

    #[test]
    fn the_table_counts_by_cause() {
        let expected = "  letters  open  retried  discarded  stream        kind                     first                      last        example  reason\n        \
            3     2        1          0   likes  unmappable  2026-01-31T06:00:00.004Z  2026-01-31T06:00:00.006Z  cdc.likes/3/5  after.dwell_time_ms: `…` does not fit UInt8\n        \
            1     1        0          0   likes  unmappable                         -                         -  cdc.likes/3/8  expected JSON\n";
        assert_eq!(groups().text(), expected);
        assert_eq!(Groups::default().text(), "no dead letters\n");
    }

    #[test]
    fn json_has_the_same() {
        let held = Held { letters: 4, repeated: 1, ..Held::default() };
        let json = groups().json("nova.dead-letters", &held).unwrap();
        let expected = r#"{"topic":"nova.dead-letters","matching":4,"open":3,"letters":4,"repeated":1,"foreign":0,"groups":[
            {"stream":"likes","kind":"unmappable","path":"after.dwell_time_ms","reason":"`…` does not fit UInt8",
             "letters":3,"open":2,"retried":1,"discarded":0,"first":"2026-01-31T06:00:00.004Z",
             "last":"2026-01-31T06:00:00.006Z","example":"cdc.likes/3/5"},
            {"stream":"likes","kind":"unmappable","path":"","reason":"expected JSON",
             "letters":1,"open":1,"retried":0,"discarded":0,"first":null,"last":null,"example":"cdc.likes/3/8"}]}"#;
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&json), value(expected));
    }

    #[test]
    fn causes_without_end_are_counted_as_one() {
        let mut groups = Groups::default();
        for number in 0..MOST + 50 {
            let mut entry = entry(1, None);
            entry.stored.letter.path = format!("after.c{number}");
            groups.add(&entry);
        }
        assert_eq!(groups.0.len(), MOST + 1);
        assert_eq!(groups.0.values().map(|count| count.letters).max(), Some(50));
    }
}
