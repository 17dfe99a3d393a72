//! Which messages lie in the dead-letter topic, by coordinates.
//!
//! Invariant: read after the plans were made, so a letter of any message that they cover is there: it was acknowledged
//! before its offset was committed. Memory: 16 bytes or so for each letter of an audited message.

use std::collections::{BTreeMap, BTreeSet};

use nova_kafka::{ForeignMessage, KafkaConnection, StoredLetter, read_letters};
use nova_pipeline::{DeadLetter, ErrorKind, PipelineError};

use super::plan::AuditPlan;
use super::report::PartitionAudit;

/// Coordinates of dead letters.
#[derive(Debug, Default)]
pub struct Letters {
    /// By stream and partition of its topic.
    places: BTreeMap<(String, i32), BTreeSet<i64>>,
    /// Why some may be missing.
    pub(super) note: String,
}

impl Letters {
    /// Reads the dead-letter topic to its end; keeps what these plans, by stream, cover. No name: there is no such topic.
    ///
    /// # Errors
    /// `AccessDenied`, `Unavailable`.
    pub async fn read(
        connection: &KafkaConnection,
        topic: &str,
        plans: &BTreeMap<&str, &AuditPlan>,
    ) -> Result<Self, PipelineError> {
        let note = format!("a letter that is missing may have expired in {topic}");
        let mut letters = Self { note, ..Self::default() };
        if topic.is_empty() {
            letters.note = "no dead-letter topic is configured".to_owned();
            return Ok(letters);
        }
        let mut keep = |letter: Result<StoredLetter, ForeignMessage>| {
            // What is no letter explains nothing.
            if let Ok(StoredLetter { letter, .. }) = letter {
                letters.keep(&letter, plans);
            }
            Ok(())
        };
        match read_letters(connection, topic, &mut keep).await {
            Err(error) if error.kind == ErrorKind::Misconfigured => {
                letters.note = format!("dead letters could not be looked up: {}", error.message);
            }
            read => read?,
        }
        Ok(letters)
    }

    fn keep(&mut self, letter: &DeadLetter, plans: &BTreeMap<&str, &AuditPlan>) {
        let Some((stream, plan)) = plans.get_key_value(letter.stream.as_str()) else { return };
        let covered = |part: &PartitionAudit| {
            part.partition == letter.partition && (part.from..part.to).contains(&letter.offset)
        };
        if plan.topic == letter.topic && plan.partitions.iter().any(covered) {
            let place = ((*stream).to_owned(), letter.partition);
            self.places.entry(place).or_default().insert(letter.offset);
        }
    }

    /// Offsets of a partition of the stream's topic.
    pub(super) fn of(&self, stream: &str, partition: i32) -> Option<&BTreeSet<i64>> {
        self.places.get(&(stream.to_owned(), partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(stream: &str, topic: &str, partition: i32, offset: i64) -> DeadLetter {
        DeadLetter {
            stream: stream.to_owned(),
            topic: topic.to_owned(),
            partition,
            offset,
            key: None,
            value: None,
            headers: Vec::new(),
            kind: ErrorKind::Malformed,
            reason: String::new(),
            path: String::new(),
        }
    }

    #[test]
    fn letters_of_covered_messages_of_the_stream_are_kept_and_no_others() {
        let partitions = vec![PartitionAudit { partition: 2, from: 10, to: 20, ..PartitionAudit::default() }];
        let plan =
            AuditPlan { group: "g".to_owned(), topic: "cdc.likes".to_owned(), partitions, held: Vec::new() };
        let plans = BTreeMap::from([("likes", &plan)]);
        let mut letters = Letters::default();
        for letter in [
            letter("likes", "cdc.likes", 2, 10),
            letter("likes", "cdc.likes", 2, 10),
            letter("likes", "cdc.likes", 2, 11),
            letter("other", "cdc.likes", 2, 12),
            letter("likes", "cdc.likes", 2, 20),
            letter("likes", "cdc.likes", 3, 10),
            letter("likes", "cdc.posts", 2, 14),
        ] {
            letters.keep(&letter, &plans);
        }
        assert_eq!(letters.of("likes", 2), Some(&BTreeSet::from([10, 11])));
        assert_eq!(letters.places.len(), 1);
    }
}
