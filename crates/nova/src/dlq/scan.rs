//! The letters that the topic holds now, each once, with what was done about it.
//!
//! Invariant: read one by one; what is kept of each is 16 bytes, by which a letter that was written twice is known.

use std::collections::{HashMap, HashSet};

use nova_clickhouse::{Client, LetterAction, LetterMark, marked_letters};
use nova_kafka::{ForeignMessage, KafkaConnection, StoredLetter, read_letters, read_recent_letters};
use nova_pipeline::PipelineError;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::place::Place;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::run::{clickhouse_client, kafka_connection};

/// Where letters and marks are.
pub struct Site {
    /// Kafka.
    pub connection: KafkaConnection,
    /// The dead-letter topic.
    pub topic: String,
    /// ClickHouse.
    pub client: Client,
}

/// How it is with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing was done.
    Open,
    /// Its message went through the mapping.
    Retried,
    /// It was given up.
    Discarded,
}

/// A letter.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As it was read.
    pub stored: StoredLetter,
    /// Its value's digest.
    pub value_sha256: String,
    /// What was done about it.
    pub mark: Option<LetterMark>,
}

/// What the topic holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Letters, each counted once.
    pub letters: u64,
    /// Letters that were written again.
    pub repeated: u64,
    /// Messages that are no letters.
    pub foreign: u64,
    /// The first of these, with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_foreign: Option<String>,
}

impl Site {
    /// The installation's.
    pub fn of(config: &Config) -> Result<Self, Failure> {
        let topic = config.kafka.dead_letter_topic.clone();
        if topic.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                "`kafka.dead_letter_topic` is empty: there are no dead letters",
            )
            .with_cure("A stream then halts at the first poison message; name a topic to put it aside."));
        }
        Ok(Self {
            connection: kafka_connection(config),
            topic,
            client: clickhouse_client(&config.clickhouse)?,
        })
    }

    /// Hands each letter to `visit`.
    pub async fn scan(&self, visit: impl FnMut(Entry) + Send) -> Result<Held, PipelineError> {
        let mut scan = Scan::new(&self.topic, marked_letters(&self.client).await?, visit);
        read_letters(&self.connection, &self.topic, &mut |read| scan.take(read)).await?;
        Ok(scan.held)
    }

    /// Hands each letter that came at `since_ms` or later to `visit`, with its mark among `marks`; of each partition the newest
    /// `most` at most. Says whether these were all.
    pub async fn scan_recent(
        &self,
        since_ms: i64,
        most: i64,
        marks: Vec<LetterMark>,
        visit: impl FnMut(Entry) + Send,
    ) -> Result<bool, PipelineError> {
        let mut scan = Scan::new(&self.topic, marks, visit);
        let mut take = |read: Result<_, _>| scan.take(read);
        read_recent_letters(&self.connection, &self.topic, since_ms, most, &mut take).await
    }
}

/// Letters on their way to `visit`.
struct Scan<'s, V> {
    topic: &'s str,
    marks: HashMap<[u8; 16], LetterMark>,
    seen: HashSet<[u8; 16]>,
    held: Held,
    visit: V,
}

impl<'s, V: FnMut(Entry)> Scan<'s, V> {
    fn new(topic: &'s str, marks: Vec<LetterMark>, visit: V) -> Self {
        let marks = marks.into_iter().map(|mark| (identity_of_mark(&mark), mark)).collect();
        Self { topic, marks, seen: HashSet::new(), held: Held::default(), visit }
    }

    fn take(&mut self, read: Result<StoredLetter, ForeignMessage>) -> Result<(), PipelineError> {
        match read {
            Err(foreign) => self.held.note(self.topic, &foreign),
            Ok(stored) => {
                let value_sha256 = stored.value_sha256();
                let identity = identity_of(&stored, &value_sha256);
                if self.seen.insert(identity) {
                    self.held.letters += 1;
                    (self.visit)(Entry { stored, value_sha256, mark: self.marks.remove(&identity) });
                } else {
                    self.held.repeated += 1;
                }
            }
        }
        Ok(())
    }
}

impl Held {
    fn note(&mut self, topic: &str, foreign: &ForeignMessage) {
        self.foreign += 1;
        let ForeignMessage { partition, offset, reason } = foreign;
        self.first_foreign.get_or_insert_with(|| format!("{topic}/{partition}/{offset}: {reason}"));
    }

    /// What is to be said beside the letters; empty when there is nothing.
    pub fn remarks(&self) -> String {
        let Self { repeated, foreign, first_foreign, .. } = self;
        let mut text = String::new();
        if *repeated > 0 {
            text.push_str(&format!("{repeated} letters are in the topic again; each counts once\n"));
        }
        if let Some(first) = first_foreign {
            text.push_str(&format!("{foreign} messages of the topic are no letters; the first: {first}\n"));
        }
        text
    }
}

impl Entry {
    /// How it is with it.
    pub fn status(&self) -> Status {
        match self.mark.as_ref().map(|mark| mark.action) {
            None => Status::Open,
            Some(LetterAction::Retried) => Status::Retried,
            Some(LetterAction::Discarded) => Status::Discarded,
        }
    }

    /// The message that was put aside.
    pub fn place(&self) -> Place {
        let letter = &self.stored.letter;
        Place { topic: letter.topic.clone(), partition: letter.partition, offset: letter.offset }
    }

    /// A mark for it.
    pub fn marked(&self, action: LetterAction, rows: usize, reason: &str, actor: &str) -> LetterMark {
        let letter = &self.stored.letter;
        LetterMark {
            topic: letter.topic.clone(),
            kafka_partition: letter.partition,
            kafka_offset: letter.offset,
            stream: letter.stream.clone(),
            value_sha256: self.value_sha256.clone(),
            action,
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
            reason: reason.to_owned(),
            actor: actor.to_owned(),
            nova_version: env!("CARGO_PKG_VERSION").to_owned(),
            at: String::new(),
        }
    }
}

fn identity_of(stored: &StoredLetter, value_sha256: &str) -> [u8; 16] {
    let letter = &stored.letter;
    identity(&letter.stream, &letter.topic, letter.partition, letter.offset, value_sha256)
}

fn identity_of_mark(mark: &LetterMark) -> [u8; 16] {
    identity(&mark.stream, &mark.topic, mark.kafka_partition, mark.kafka_offset, &mark.value_sha256)
}

fn identity(stream: &str, topic: &str, partition: i32, offset: i64, value_sha256: &str) -> [u8; 16] {
    let mut digest = Sha256::new();
    for part in [stream, topic, value_sha256] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.update(partition.to_be_bytes());
    digest.update(offset.to_be_bytes());
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(digest.finalize()) {
        *to = from;
    }
    short
}

#[cfg(test)]
pub(super) fn entry(offset: i64, mark: Option<LetterAction>) -> Entry {
    let letter = nova_pipeline::DeadLetter {
        stream: "likes".to_owned(),
        topic: "cdc.likes".to_owned(),
        partition: 3,
        offset,
        key: Some(b"{\"id\":1}".to_vec()),
        value: Some(vec![0xff, 0]),
        headers: vec![("id".to_owned(), Some(b"7".to_vec())), ("none".to_owned(), None)],
        kind: nova_pipeline::ErrorKind::Unmappable,
        reason: "`300` does not fit UInt8".to_owned(),
        path: "after.dwell_time_ms".to_owned(),
    };
    let stored = StoredLetter {
        partition: 1,
        offset: 9,
        letter,
        time_ms: Some(1_769_839_200_000 + offset),
        version: "0.1.0".to_owned(),
        cut: None,
        lacks: Vec::new(),
    };
    let mut entry = Entry { value_sha256: stored.value_sha256(), stored, mark: None };
    entry.mark = mark.map(|action| entry.marked(action, 1, "because", "me"));
    entry
}

#[cfg(test)]
/// A letter that is open, for tests elsewhere.
pub fn example_letter(offset: i64) -> Entry {
    entry(offset, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_that_of_its_letter_and_of_no_other() {
        let entry = entry(5, Some(LetterAction::Retried));
        let mark = entry.mark.clone().unwrap();
        let own = identity_of(&entry.stored, &entry.value_sha256);
        assert_eq!(identity_of_mark(&mark), own);
        for other in [
            LetterMark { kafka_offset: 6, ..mark.clone() },
            LetterMark { stream: "like".to_owned(), ..mark.clone() },
            LetterMark { value_sha256: String::new(), ..mark.clone() },
            LetterMark { kafka_partition: 4, ..mark },
        ] {
            assert_ne!(identity_of_mark(&other), own, "{other:?}");
        }
        assert_eq!(entry.status(), Status::Retried);
    }
}
