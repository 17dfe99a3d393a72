//! The dead letters of the last day, by cause; no value of a message is among them.
//!
//! Invariant: what is read is bounded, however many letters there are; and that it was bounded is said.

use std::time::Duration;

use chrono::Utc;
use nova_clickhouse::marked_letters;
use serde::Serialize;
use tokio::time::timeout;

use crate::config::Config;
use crate::dlq::{Group, Groups, Site};
use crate::exit::Failure;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Offsets at most, of each partition of the dead-letter topic.
const MOST: i64 = 5_000;
/// What was done about letters is told where it is known; the letters are told without it.
const MARKS_WITHIN: Duration = Duration::from_secs(2);

/// Dead letters.
#[derive(Debug, Clone, Serialize)]
pub struct LetterFacts {
    /// Letters since this time, in milliseconds since 1970.
    pub since_ms: i64,
    /// How many, each counted once.
    pub letters: u64,
    /// How many nothing was done about; all of them, if that is not known.
    pub open: u64,
    /// Whether it is known what was done about them: ClickHouse answered.
    pub actions_known: bool,
    /// Whether there are more than were counted.
    pub more: bool,
    /// By cause, the most first.
    pub groups: Vec<Group>,
}

impl LetterFacts {
    /// How many of this stream, and how many of them open.
    pub fn of_stream(&self, stream: &str) -> (u64, u64) {
        let groups = self.groups.iter().filter(|group| group.cause.stream == stream);
        groups.fold((0, 0), |(all, open), group| (all + group.count.letters, open + group.count.open))
    }
}

/// Counts them; `None` when the installation has no dead-letter topic.
pub(super) async fn look(config: &Config) -> Result<Option<LetterFacts>, Failure> {
    if config.kafka.dead_letter_topic.is_empty() {
        return Ok(None);
    }
    let site = Site::of(config)?;
    let marks = timeout(MARKS_WITHIN, marked_letters(&site.client)).await.ok().and_then(Result::ok);
    let actions_known = marks.is_some();
    let since_ms = Utc::now().timestamp_millis() - DAY_MS;
    let mut groups = Groups::default();
    let all = site.scan_recent(since_ms, MOST, marks.unwrap_or_default(), |entry| groups.add(&entry)).await?;
    let groups = groups.sorted();
    let sum = |of: fn(&Group) -> u64| groups.iter().map(of).sum();
    Ok(Some(LetterFacts {
        since_ms,
        letters: sum(|group| group.count.letters),
        open: sum(|group| group.count.open),
        actions_known,
        more: !all,
        groups,
    }))
}
