//! How far the source has come in one partition, and so which of its messages may be repeats.
//!
//! A position never drops anything: it only decides which changes are *doubtful*, and those are settled by asking the
//! table for the change's own identity. Invariant: a change that was emitted before in this partition is doubtful,
//! whatever the connector did in between; a false doubt costs a question.
//!
//! What is compared: PostgreSQL's connector emits transactions in the order of their commits, and the rows of one
//! transaction in the order of their LSNs. `source.sequence` gives each row `[c, l]`: c, the end of the commit
//! emitted before its transaction, is the same for all rows of a transaction and greater for each later one; l, the
//! row's LSN, never falls within a transaction, but repeats (COPY), and is not ordered between transactions. c is
//! absent in the first transaction that a connector emits after its start.
//! <https://debezium.io/documentation/reference/3.7/connectors/postgresql.html#postgresql-change-events-value>

#[cfg(test)]
mod tests;
mod text;

use nova_debezium::{Change, Op, Snapshot};

use crate::Standing;

/// How many transactions without a place in the order of commits are remembered, one for each start of the connector.
const UNPLACED: usize = 8;

/// How far the source has come in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The greatest (c, l) so far, and the transaction it came with.
    commit: u64,
    lsn: u64,
    tx: Option<u64>,
    /// The last transactions that came without c: a repeat may come with it, and would look new.
    unplaced: Vec<u64>,
    /// Changes up to this LSN may be in the table already, by messages that this position knows nothing of.
    floor: u64,
    past: Past,
}

/// Where a change says that it stands in the order of its source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Nowhere: a state that a snapshot has read.
    Read,
    /// `[c, l]` and the transaction.
    Change { commit: Option<u64>, lsn: Option<u64>, tx: Option<u64> },
    /// A change that calls itself a snapshot's: Debezium writes none, so nothing is known of its place.
    Unknown { commit: Option<u64>, lsn: Option<u64>, tx: Option<u64> },
    /// The number of an event of an outbox.
    Number(Option<u64>),
}

impl Place {
    /// That of a connector's change.
    pub(crate) fn of(change: &Change<'_>) -> Self {
        let source = &change.source;
        let (commit, lsn, tx) = (source.sequence.last_commit_lsn, source.lsn, source.tx_id);
        match (change.op, source.snapshot) {
            (Op::Read, _) => Self::Read,
            (_, Snapshot::False) => Self::Change { commit, lsn, tx },
            _ => Self::Unknown { commit, lsn, tx },
        }
    }
}

/// What the table has, from an earlier reading, at offsets that are read now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Past {
    /// Below this offset.
    until: i64,
    /// Of another topic of the same name.
    afresh: bool,
}

impl Position {
    /// A position before `until`, in a partition of which the table has rows by nobody knows which reading.
    ///
    /// `floor`: the greatest LSN of the topic's rows. `afresh`: the rows at these offsets are of another topic.
    pub(crate) fn behind(until: i64, floor: u64, afresh: bool) -> Self {
        Self { floor, past: Past { until, afresh }, ..Self::default() }
    }

    /// Whether the table may have rows of the message at `offset` from an earlier reading.
    pub(crate) fn is_past(&self, offset: i64) -> bool {
        offset < self.past.until
    }

    /// Takes note of the message at `offset`: nothing of the past lies behind it.
    pub(crate) fn reach(&mut self, offset: i64) {
        if !self.is_past(offset) {
            self.past = Past::default();
        }
    }

    /// How a change at `offset` stands that has this place, and takes note of it. Snapshot reads neither ask the position
    /// nor move it.
    pub(crate) fn stand(&mut self, offset: i64, place: Place) -> Standing {
        match place {
            Place::Read => Standing::State { afresh: self.is_past(offset) && self.past.afresh },
            Place::Change { commit, lsn, tx } => {
                let standing = self.compare(commit, lsn, tx);
                self.note(commit, lsn, tx);
                standing
            }
            Place::Unknown { commit, lsn, tx } => {
                self.note(commit, lsn, tx);
                Standing::Doubtful
            }
            Place::Number(number) => self.stand_by_number(number),
        }
    }

    fn note(&mut self, commit: Option<u64>, lsn: Option<u64>, tx: Option<u64>) {
        match (commit, lsn, tx) {
            (Some(commit), Some(lsn), tx) if (commit, lsn) > (self.commit, self.lsn) => {
                (self.commit, self.lsn, self.tx) = (commit, lsn, tx);
            }
            (None, _, Some(tx)) if !self.unplaced.contains(&tx) => {
                if self.unplaced.len() >= UNPLACED {
                    self.unplaced.remove(0);
                }
                self.unplaced.push(tx);
            }
            _ => {}
        }
    }

    /// An event of an outbox, by its number.
    ///
    /// Whatever was emitted before in this partition has left a number at or past its own, so no repeat is ever new.
    /// An event without a number, and one whose transaction was overtaken by a later INSERT's, is doubtful.
    fn stand_by_number(&mut self, number: Option<u64>) -> Standing {
        match number {
            Some(number) if number > self.lsn.max(self.floor) => {
                self.lsn = number;
                Standing::New
            }
            _ => Standing::Doubtful,
        }
    }

    fn compare(&self, commit: Option<u64>, lsn: Option<u64>, tx: Option<u64>) -> Standing {
        let (Some(commit), Some(lsn), Some(tx)) = (commit, lsn, tx) else { return Standing::Doubtful };
        let same_transaction = self.tx == Some(tx);
        let later = commit > self.commit && !same_transaction;
        let further = commit == self.commit && same_transaction && lsn > self.lsn;
        if (later || further) && lsn > self.floor && !self.unplaced.contains(&tx) {
            Standing::New
        } else {
            Standing::Doubtful
        }
    }
}
