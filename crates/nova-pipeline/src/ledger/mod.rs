//! The batch ledger: which offsets are whose, and how a batch becomes exactly once in a table that keeps no ledger
//! of its own. Pure: no I/O, no clock. `docs/exactly-once.md` tells the protocol and why it holds.
//!
//! A batch is planned (its ranges are known), intended (every partition's committed metadata names it), durable (its
//! rows are in the table) and committed (the offsets have moved past it). Each step is a type with one way on:
//! [`Planned`] → [`Intended`] → [`Durable`], and [`Ledger::settled`] swallows the last.
//!
//! Invariant: offsets are committed only for owned partitions, and past a batch only after it is durable. Whoever
//! takes a partition over finds in its metadata the one batch that may have been inserted and not yet committed.

pub(crate) mod form;
mod intent;
mod ranges;
mod state;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use intent::Metadata;
pub use intent::{Intent, IntentError};
pub use ranges::Ranges;
pub use state::{Durable, Intended, Planned, Span};

use crate::{Committed, ErrorKind, OffsetCommit, PipelineError, Position, StartAt, Watermarks};

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
    stream: String,
    group: String,
    topic: String,
    new_group: NewGroup,
    owned: BTreeSet<i32>,
    /// The end of the durable batch, by partition; rides in the next commit.
    settled: BTreeMap<i32, (i64, Position)>,
    /// The offset that this member committed last, or found when it took the partition over.
    stands: BTreeMap<i32, i64>,
}

/// What taking partitions over requires.
#[derive(Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Batches that were intended and may have been inserted, each once; to be settled before anything is read.
    pub open: Vec<Open>,
    /// Where reading begins after that.
    pub starts: Vec<StartAt>,
    /// How far the source had come at the committed offset of each partition; at the start of its open batch.
    pub positions: BTreeMap<i32, Position>,
    /// Partitions that nobody has read in this group, or whose offset was set by something other than Nova: the table may
    /// have rows of what is read now. To be asked after the open batches are settled.
    pub unknown: Vec<i32>,
    /// Partitions whose position is to be committed once all of that is done: it closes a batch, is Nova's first word on the
    /// partition, or restates in this release's form what another has written.
    pub unsettled: BTreeSet<i32>,
}

/// A batch that was left open.
#[derive(Debug, PartialEq, Eq)]
pub struct Open {
    /// What was announced.
    pub intent: Intent,
    /// How far the source had come at its start, in the partitions where it still stands.
    pub positions: BTreeMap<i32, Position>,
}

impl Recovery {
    /// The commits that end the recovery: closed batches, and starts that Nova vouches for from now on.
    #[must_use]
    pub fn commits(&self, positions: &BTreeMap<i32, Position>) -> Vec<OffsetCommit> {
        let unsettled = self.starts.iter().filter(|start| self.unsettled.contains(&start.partition));
        unsettled
            .map(|StartAt { partition, offset }| {
                closing(*partition, *offset, &positions.get(partition).cloned().unwrap_or_default())
            })
            .collect()
    }
}

/// Whether somebody has moved on behind a batch that stood open: then all of it is durable. Offsets that Nova did not
/// commit say nothing.
///
/// # Errors
/// Metadata that this release cannot read: who wrote it may have moved on.
pub(crate) fn is_closed(ranges: &Ranges, committed: &[Committed]) -> Result<bool, IntentError> {
    let mut closed = false;
    for at in committed {
        let end = ranges.end(at.partition);
        if end.is_some_and(|end| at.offset.is_some_and(|offset| offset >= end)) {
            closed |= Metadata::decode(&at.metadata)?.is_some();
        }
    }
    Ok(closed)
}

fn closing(partition: i32, offset: i64, position: &Position) -> OffsetCommit {
    OffsetCommit { partition, offset, metadata: Metadata::closed(position) }
}

impl Ledger {
    /// A ledger that owns nothing yet.
    #[must_use]
    pub fn new(stream: &str, group: &str, topic: &str, new_group: NewGroup) -> Self {
        let (owned, settled, stands) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let (stream, group, topic) = (stream.to_owned(), group.to_owned(), topic.to_owned());
        Self { stream, group, topic, new_group, owned, settled, stands }
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
        let mut recovery = Recovery {
            open: Vec::new(),
            starts: Vec::with_capacity(held.len()),
            positions: BTreeMap::new(),
            unknown: Vec::new(),
            unsettled: BTreeSet::new(),
        };
        for held in held {
            let partition = held.partition;
            let position = committed.iter().find(|position| position.partition == partition);
            let offset = self.start(position.and_then(|position| position.offset), held, known_group)?;
            let metadata = position.map(|position| self.metadata(position)).transpose()?.flatten();
            let intent = metadata.as_ref().and_then(|metadata| metadata.intent.as_ref());
            let start = intent.and_then(|intent| intent.ranges.end(partition)).unwrap_or(offset);
            if start > held.high {
                return Err(self.beyond_end(partition, start, held.high));
            }
            recovery.starts.push(StartAt { partition, offset: start });
            match metadata {
                Some(Metadata { position: reached, intent }) => {
                    recovery.positions.insert(partition, reached);
                    if intent.is_some() || position.is_some_and(|at| !Metadata::is_ours(&at.metadata)) {
                        recovery.unsettled.insert(partition);
                    }
                    if let Some(intent) = intent {
                        self.leave_open(&mut recovery.open, intent, committed)?;
                    }
                }
                None => {
                    recovery.unsettled.insert(partition);
                    recovery.unknown.push(partition);
                    // What stands open elsewhere may have rows here that nobody has written yet.
                    for position in committed {
                        let intent = self.metadata(position)?.and_then(|metadata| metadata.intent);
                        if let Some(intent) = intent.filter(|intent| intent.ranges.end(partition).is_some()) {
                            self.leave_open(&mut recovery.open, intent, committed)?;
                        }
                    }
                }
            }
        }
        for StartAt { partition, offset } in &recovery.starts {
            self.owned.insert(*partition);
            self.stands.insert(*partition, *offset);
        }
        Ok(recovery)
    }

    /// Where a partition is read from, by what the group committed and the broker holds.
    fn start(
        &self,
        committed: Option<i64>,
        held: &Watermarks,
        known_group: bool,
    ) -> Result<i64, PipelineError> {
        let Watermarks { partition, low, high } = *held;
        match committed {
            Some(offset) if (low..=high).contains(&offset) => Ok(offset),
            Some(offset) if offset < low => Err(self.expired(partition, offset, low)),
            Some(offset) => Err(self.beyond_end(partition, offset, high)),
            // Added after the group began: all of it is new, and all of it must still be there.
            None if known_group && low == 0 => Ok(0),
            None if known_group => Err(self.expired(partition, 0, low)),
            None if self.new_group == NewGroup::FromBeginning => Ok(low),
            None => Err(self.never_started()),
        }
    }

    fn metadata(&self, committed: &Committed) -> Result<Option<Metadata>, PipelineError> {
        Metadata::decode(&committed.metadata).map_err(|error| self.unreadable(committed.partition, &error))
    }

    /// Adds a batch to those that are open, once, with what is known of its partitions.
    fn leave_open(
        &self,
        open: &mut Vec<Open>,
        intent: Intent,
        committed: &[Committed],
    ) -> Result<(), PipelineError> {
        if open.iter().any(|other| other.intent.ranges == intent.ranges) {
            return Ok(());
        }
        let mut positions = BTreeMap::new();
        for at in committed.iter().filter(|at| intent.ranges.end(at.partition).is_some()) {
            if let Some(Metadata { position, intent: Some(its) }) = self.metadata(at)?
                && its.ranges == intent.ranges
            {
                positions.insert(at.partition, position);
            }
        }
        open.push(Open { intent, positions });
        Ok(())
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
        let intent = Intent { created_ms, mapping, ranges: planned.ranges.clone() }.text();
        let mut commits = Vec::with_capacity(planned.spans.len());
        for (partition, range) in planned.ranges.iter() {
            let metadata = Metadata::open(&planned.span(partition).start, &intent).map_err(|error| {
                let message = format!("a batch of {}: {error}", self.topic);
                PipelineError::new(ErrorKind::Misconfigured, message)
            })?;
            commits.push(OffsetCommit { partition, offset: range.start, metadata });
        }
        let closed = self.close();
        commits.extend(closed.into_iter().filter(|commit| planned.ranges.end(commit.partition).is_none()));
        Ok((planned.intended(), commits))
    }

    /// Takes note of a durable batch; its end rides in the next commit.
    pub fn settled(&mut self, durable: &Durable) {
        let Durable(batch) = durable;
        for (partition, range) in batch.ranges.iter().filter(|(partition, _)| self.owned.contains(partition))
        {
            self.settled.insert(partition, (range.end, batch.span(partition).end));
        }
    }

    /// Whether a durable batch waits for the commit that closes it.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    /// The commit that closes what is durable, where no batch follows that it could ride with.
    pub fn close(&mut self) -> Vec<OffsetCommit> {
        let closed = std::mem::take(&mut self.settled).into_iter();
        closed.map(|(partition, (offset, position))| closing(partition, offset, &position)).collect()
    }

    /// Takes note of commits that are about to be made; answers what the group must have there until then.
    pub fn replace(&mut self, commits: &[OffsetCommit]) -> Vec<StartAt> {
        let replaced = commits.iter().filter_map(|commit| {
            let stood = self.stands.insert(commit.partition, commit.offset);
            stood.map(|offset| StartAt { partition: commit.partition, offset })
        });
        replaced.collect()
    }

    /// Gives partitions up: nothing is committed for them any more.
    pub fn give_up(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.stands.remove(partition);
            self.owned.remove(partition);
            self.settled.remove(partition);
        }
    }

    fn expired(&self, partition: i32, offset: i64, low: i64) -> PipelineError {
        let Self { stream, group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!(
                "group `{group}` must go on at {topic}[{partition}]@{offset}, and the broker holds nothing before \
                 {low}: {} messages expired unread; \
                 `nova offsets set --stream {stream} --partition {partition} --to earliest --execute` goes on at \
                 {low}, and a new snapshot of the table makes good what is gone",
                low.saturating_sub(offset)
            ),
        )
    }

    fn beyond_end(&self, partition: i32, offset: i64, high: i64) -> PipelineError {
        let Self { stream, group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!(
                "group `{group}` has read {topic}[{partition}] up to {offset}, and the topic ends at {high}: it was \
                 deleted and made again, or this is another cluster; if it is the right one, \
                 `nova offsets set --stream {stream} --to earliest --execute` reads all of it"
            ),
        )
    }

    fn never_started(&self) -> PipelineError {
        let Self { stream, group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!(
                "group `{group}` has no committed offset in any partition of {topic}: it has never read it, its \
                 offsets have expired (the broker's `offsets.retention.minutes`), or the topic was deleted and made \
                 again; to read all that is there, `nova offsets set --stream {stream} --to earliest --execute`, or \
                 start once with `nova run --stream {stream} --from-beginning`"
            ),
        )
    }

    fn unreadable(&self, partition: i32, error: &IntentError) -> PipelineError {
        let Self { stream, group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::Misconfigured,
            format!(
                "group `{group}`: what stands beside its offset in {topic}[{partition}] cannot be read by nova {}: \
                 {error}; `nova offsets show --stream {stream}` lists all partitions, and \
                 `nova offsets set --stream {stream} --to committed --execute` drops it: the table is asked instead",
                env!("CARGO_PKG_VERSION")
            ),
        )
    }
}

#[cfg(test)]
mod tests;
