//! The batch ledger: which offsets are whose, and how a batch becomes exactly once in a table that keeps no ledger
//! of its own. Pure: no I/O, no clock. `docs/exactly-once.md` tells the protocol and why it holds.
//!
//! A batch is planned (its ranges are known), intended (every partition's committed metadata names it), durable (its
//! rows are in the table) and committed (the offsets have moved past it). Each step is a type with one way on:
//! [`Planned`] → [`Intended`] → [`Durable`], and [`Ledger::settled`] swallows the last.
//!
//! Invariant: offsets are committed only for owned partitions, and past a batch only after it is durable. Whoever
//! takes a partition over finds in its metadata the one batch that may have been inserted and not yet committed.

mod intent;
mod ranges;
mod state;

use std::collections::{BTreeMap, BTreeSet};

pub use intent::{Intent, IntentError};
pub use ranges::Ranges;
pub use state::{Durable, Intended, Planned};

use crate::{Committed, ErrorKind, OffsetCommit, PipelineError, StartAt, Watermarks};

/// What to do with a group that has never committed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewGroup {
    /// Refuse, and say how to start.
    Refuse,
    /// Read everything that the topic still holds.
    FromBeginning,
}

/// The partitions that this member owns, and what of them is durable and not yet committed.
#[derive(Debug)]
pub struct Ledger {
    group: String,
    topic: String,
    new_group: NewGroup,
    owned: BTreeSet<i32>,
    /// The end of the durable batch, by partition; rides in the next commit.
    settled: BTreeMap<i32, i64>,
}

/// What taking partitions over requires.
#[derive(Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Batches that were intended and may have been inserted, each once; to be settled before anything is read.
    pub open: Vec<Intent>,
    /// Where reading begins after that.
    pub starts: Vec<StartAt>,
    /// What is committed once the open batches are settled: closed intents, and the start of a new group.
    pub commits: Vec<OffsetCommit>,
}

impl Ledger {
    /// A ledger that owns nothing yet.
    #[must_use]
    pub fn new(group: &str, topic: &str, new_group: NewGroup) -> Self {
        let (owned, settled) = (BTreeSet::new(), BTreeMap::new());
        Self { group: group.to_owned(), topic: topic.to_owned(), new_group, owned, settled }
    }

    /// The number of partitions owned now.
    #[must_use]
    pub fn owned(&self) -> usize {
        self.owned.len()
    }

    /// Takes partitions over: what must be settled first, and from where each is read, by what the group committed
    /// and the broker still holds.
    ///
    /// `committed` covers every partition of the topic, since a partition without commit means a new group or a
    /// partition that was added later, and only the others tell which.
    ///
    /// # Errors
    /// A new group (unless told to begin), an expired offset, one beyond the end, metadata that this version cannot
    /// read: never a silent jump.
    pub fn recover(
        &mut self,
        committed: &[Committed],
        held: &[Watermarks],
    ) -> Result<Recovery, PipelineError> {
        let known_group = committed.iter().any(|position| position.offset.is_some());
        let (mut open, mut starts, mut commits) = (Vec::new(), Vec::with_capacity(held.len()), Vec::new());
        for Watermarks { partition, low, high } in held.iter().copied() {
            let position = committed.iter().find(|position| position.partition == partition);
            let offset = match position.and_then(|position| position.offset) {
                Some(offset) if (low..=high).contains(&offset) => offset,
                Some(offset) if offset < low => return Err(self.expired(partition, offset, low)),
                Some(offset) => return Err(self.beyond_end(partition, offset, high)),
                // Added after the group began: all of it is new, and all of it must still be there.
                None if known_group && low == 0 => 0,
                None if known_group => return Err(self.expired(partition, 0, low)),
                None if self.new_group == NewGroup::FromBeginning => low,
                None => return Err(self.never_started()),
            };
            let intent = match position.map(|position| position.metadata.as_str()) {
                None | Some("") => None,
                Some(metadata) => {
                    Some(Intent::decode(metadata).map_err(|error| self.unreadable(partition, &error))?)
                }
            };
            let start = intent.as_ref().and_then(|intent| intent.ranges.end(partition)).unwrap_or(offset);
            if start > high {
                return Err(self.beyond_end(partition, start, high));
            }
            if intent.is_some() || position.is_none_or(|position| position.offset.is_none()) {
                commits.push(OffsetCommit { partition, offset: start, metadata: String::new() });
            }
            if let Some(intent) = intent.filter(|intent| !open.contains(intent)) {
                open.push(intent);
            }
            starts.push(StartAt { partition, offset: start });
        }
        self.owned.extend(starts.iter().map(|start| start.partition));
        Ok(Recovery { open, starts, commits })
    }

    /// The commit that announces a batch: every partition of it stays at the batch's start and names the whole batch
    /// in its metadata. The batch before it is closed in the same request.
    ///
    /// # Errors
    /// A batch whose description does not fit the metadata.
    pub fn intend(
        &mut self,
        planned: Planned,
        created_ms: i64,
        mapping: u64,
    ) -> Result<(Intended, Vec<OffsetCommit>), PipelineError> {
        let intent = Intent { created_ms, mapping, ranges: planned.ranges().clone() };
        let metadata = intent.encode().map_err(|error| {
            let message = format!("a batch of {}: {error}", self.topic);
            PipelineError::new(ErrorKind::Misconfigured, message)
        })?;
        let announced = planned.ranges().iter();
        let mut commits: Vec<OffsetCommit> = announced
            .map(|(partition, range)| OffsetCommit {
                partition,
                offset: range.start,
                metadata: metadata.clone(),
            })
            .collect();
        let closed = std::mem::take(&mut self.settled);
        let others = closed.into_iter().filter(|(partition, _)| planned.ranges().end(*partition).is_none());
        commits.extend(others.map(|(partition, offset)| OffsetCommit {
            partition,
            offset,
            metadata: String::new(),
        }));
        Ok((planned.intended(), commits))
    }

    /// Takes note of a durable batch; its end rides in the next commit.
    pub fn settled(&mut self, durable: &Durable) {
        let owned = durable.ranges().iter().filter(|(partition, _)| self.owned.contains(partition));
        self.settled.extend(owned.map(|(partition, range)| (partition, range.end)));
    }

    /// The commit that closes what is durable, where no batch follows that it could ride with.
    pub fn close(&mut self) -> Vec<OffsetCommit> {
        let closed = std::mem::take(&mut self.settled);
        closed
            .into_iter()
            .map(|(partition, offset)| OffsetCommit { partition, offset, metadata: String::new() })
            .collect()
    }

    /// Gives partitions up: nothing is committed for them any more.
    pub fn give_up(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.owned.remove(partition);
            self.settled.remove(partition);
        }
    }

    fn expired(&self, partition: i32, offset: i64, low: i64) -> PipelineError {
        let Self { group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!(
                "group `{group}` must go on at {topic}[{partition}]@{offset}, and the broker holds nothing before \
                 {low}: {} messages are gone",
                low.saturating_sub(offset)
            ),
        )
    }

    fn beyond_end(&self, partition: i32, offset: i64, high: i64) -> PipelineError {
        let Self { group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!(
                "group `{group}` has read {topic}[{partition}] up to {offset}, and the topic ends at {high}: it was \
                 deleted and made again, or the group belongs to another cluster"
            ),
        )
    }

    fn never_started(&self) -> PipelineError {
        let Self { group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!("group `{group}` has never read {topic}; start it once with --from-beginning"),
        )
    }

    fn unreadable(&self, partition: i32, error: &IntentError) -> PipelineError {
        let Self { group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::Misconfigured,
            format!(
                "group `{group}`: the metadata committed for {topic}[{partition}] cannot be read: {error}"
            ),
        )
    }
}

#[cfg(test)]
mod tests;
