//! One piece of a partition: what its messages say against what the table has.
//!
//! Invariant: pure. Every offset of the piece is counted once, and every row of the table is a message's or a finding.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use nova_clickhouse::{PlainRow, StoredRow};
use nova_pipeline::{RowId, Standing};
use nova_streams::SkipReason;
use uuid::Uuid;

use super::report::{Counts, Finding, FindingKind};

/// What a message becomes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Rows,
    Skipped(SkipReason),
    Letter(String),
    Halts(String),
}

/// A message of the piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) offset: i64,
    pub(super) what: What,
}

/// Offsets of a partition with everything that is known of them; all lists ascend by offset.
pub(super) struct Piece<'p> {
    pub(super) partition: i32,
    pub(super) offsets: Range<i64>,
    pub(super) messages: &'p [Message],
    /// The rows that the messages make by themselves.
    pub(super) rows: &'p [PlainRow<'p>],
    pub(super) stored: &'p [StoredRow],
    /// Offsets that lie in the dead-letter topic.
    pub(super) letters: &'p BTreeSet<i64>,
}

/// What a doubted message has to have, as the pipeline resolves it: rows by offset, ordinal and bytes.
pub(super) type Resolved = BTreeMap<i64, Vec<(RowId, Vec<u8>)>>;

/// A finding; with the bytes of both sides for an altered row.
pub(super) type Found = (Finding, Option<(Bytes, Bytes)>);

/// What a piece comes to.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) counts: Counts,
    pub(super) found: Vec<Found>,
}

/// A row that ought to be there.
#[derive(Clone, Copy)]
struct Owed<'o> {
    id: RowId,
    bytes: &'o [u8],
    /// Where the event's identity stands.
    event_at: usize,
}

impl Piece<'_> {
    /// The rows that the message at `offset` makes.
    fn rows_at(&self, offset: i64) -> &[PlainRow<'_>] {
        at(self.rows, offset, |row| row.id.offset)
    }

    fn stored_at(&self, offset: i64) -> &[StoredRow] {
        at(self.stored, offset, |row| row.offset)
    }

    fn agrees(&self, offset: i64) -> bool {
        let (rows, stored) = (self.rows_at(offset), self.stored_at(offset));
        let same = |row: &PlainRow<'_>, stored: &StoredRow| row.bytes == stored.bytes;
        rows.iter().all(|row| stored.iter().any(|stored| same(row, stored)))
            && stored.iter().all(|stored| rows.iter().any(|row| same(row, stored)))
    }

    /// Whether the message is an open dead letter, whatever it would become today.
    fn is_open_letter(&self, offset: i64) -> bool {
        self.letters.contains(&offset) && self.stored_at(offset).is_empty()
    }

    /// How the rows stand that the table must be asked about: messages that do not have exactly the rows that they make
    /// by themselves, and for the states among them everything else that is there of the same keys.
    pub(super) fn doubts(&self) -> BTreeMap<i64, Standing> {
        let makes_rows = self.messages.iter().filter(|message| message.what == What::Rows);
        let (agreeing, others): (Vec<i64>, Vec<i64>) =
            makes_rows.map(|message| message.offset).partition(|offset| self.agrees(*offset));
        let mut doubts = BTreeMap::new();
        let mut keys: BTreeSet<Uuid> = BTreeSet::new();
        for offset in others.into_iter().filter(|offset| !self.is_open_letter(*offset)) {
            let Some(row) = self.rows_at(offset).first() else { continue };
            let is_state = matches!(row.standing, Standing::State { .. });
            keys.extend(is_state.then_some(row.source_key));
            doubts.insert(offset, if is_state { row.standing } else { Standing::Doubtful });
        }
        if keys.is_empty() {
            return doubts;
        }
        for offset in agreeing {
            let rows = self.rows_at(offset);
            if let Some(row) = rows.first().filter(|_| rows.iter().any(|row| keys.contains(&row.source_key)))
            {
                let is_state = matches!(row.standing, Standing::State { .. });
                doubts.insert(offset, if is_state { row.standing } else { Standing::New });
            }
        }
        doubts
    }

    /// Judges every offset. `resolved` are the rows that remain of what [`Self::doubts`] named.
    pub(super) fn judge(&self, doubts: &BTreeMap<i64, Standing>, resolved: &Resolved) -> Judged {
        let mut judged = Judged::default();
        for message in self.messages {
            self.message(message, doubts, resolved, &mut judged);
        }
        let known: BTreeSet<i64> = self.messages.iter().map(|message| message.offset).collect();
        let without: BTreeSet<i64> =
            self.stored.iter().map(|row| row.offset).filter(|offset| !known.contains(offset)).collect();
        for row in self.stored.iter().filter(|row| without.contains(&row.offset)) {
            judged.add(self.stored_finding(FindingKind::NoMessage, row, String::new()));
        }
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (offsets, read) = (self.offsets.end - self.offsets.start, self.messages.len() + without.len());
        let counts = &mut judged.counts;
        counts.offsets = u64::try_from(offsets).unwrap_or_default();
        counts.gaps = counts.offsets.saturating_sub(count(read));
        counts.wrong += count(without.len());
        counts.table_rows = self.stored.iter().map(|row| row.times).sum();
        judged
    }

    fn message(
        &self,
        message: &Message,
        doubts: &BTreeMap<i64, Standing>,
        resolved: &Resolved,
        judged: &mut Judged,
    ) {
        let Message { offset, what } = message;
        let before = judged.found.len();
        let owed: Vec<Owed<'_>> = match what {
            What::Halts(reason) => {
                let finding = self.finding(FindingKind::Halts, *offset, reason.clone());
                judged.add((finding, None));
                judged.counts.wrong += 1;
                return;
            }
            What::Rows if self.is_open_letter(*offset) => Vec::new(),
            What::Rows => self.owed(*offset, doubts.contains_key(offset).then_some(resolved)),
            What::Skipped(_) | What::Letter(_) => Vec::new(),
        };
        self.compare(*offset, &owed, what, judged);
        if matches!(what, What::Letter(_)) && !self.letters.contains(offset) {
            let What::Letter(reason) = what else { return };
            judged.add((self.finding(FindingKind::LetterMissing, *offset, reason.clone()), None));
        }
        let counts = &mut judged.counts;
        match what {
            _ if judged.found.len() > before => counts.wrong += 1,
            What::Rows if !owed.is_empty() => counts.rows += 1,
            What::Rows if self.is_open_letter(*offset) => counts.dead_letters += 1,
            What::Rows => {
                let is_state =
                    self.rows_at(*offset).iter().any(|row| matches!(row.standing, Standing::State { .. }));
                counts.skip(if is_state { SkipReason::AlreadyThere } else { SkipReason::Repeated });
            }
            What::Skipped(reason) => counts.skip(*reason),
            What::Letter(_) | What::Halts(_) => counts.dead_letters += 1,
        }
    }

    /// What the message at `offset` owes: by itself, or as it was resolved.
    fn owed<'o>(&'o self, offset: i64, resolved: Option<&'o Resolved>) -> Vec<Owed<'o>> {
        let own = self.rows_at(offset);
        let own_row = |row: &PlainRow<'o>| Owed { id: row.id, bytes: row.bytes, event_at: row.event_at };
        let Some(resolved) = resolved else { return own.iter().map(own_row).collect() };
        let rows = resolved.get(&offset).map(Vec::as_slice).unwrap_or_default();
        let owed = |(id, bytes): &'o (RowId, Vec<u8>)| {
            // The lineage ends every row, and all of it but the sign and the ordinal is the message's.
            let tail = own.first().map_or(0, |row| row.bytes.len() - row.event_at);
            Owed { id: *id, bytes, event_at: bytes.len().saturating_sub(tail) }
        };
        rows.iter().map(owed).collect()
    }

    /// Holds what is owed at an offset against what is stored there.
    fn compare(&self, offset: i64, owed: &[Owed<'_>], what: &What, judged: &mut Judged) {
        let stored = self.stored_at(offset);
        let mut lacking: Vec<Owed<'_>> = Vec::new();
        for owed in owed {
            match stored.iter().find(|stored| stored.bytes == owed.bytes) {
                None => lacking.push(*owed),
                Some(stored) if stored.times > 1 => {
                    judged.add(self.stored_finding(FindingKind::Doubled, stored, String::new()));
                }
                Some(_) => {}
            }
        }
        for row in stored.iter().filter(|stored| owed.iter().all(|owed| stored.bytes != owed.bytes)) {
            let altered = lacking.iter().position(|owed| owed.id.ordinal == row.ordinal && owed.is(row));
            if let Some(at) = altered {
                let bytes = Bytes::copy_from_slice(lacking.swap_remove(at).bytes);
                let (finding, _) = self.stored_finding(FindingKind::Altered, row, String::new());
                judged.add((finding, Some((bytes, row.bytes.clone()))));
            } else {
                let reason = self.unexpected(offset, row, what);
                judged.add(self.stored_finding(FindingKind::Unexpected, row, reason));
            }
        }
        lacking.sort_by_key(|owed| owed.id.ordinal);
        let state = self.rows_at(offset).first().filter(|row| matches!(row.standing, Standing::State { .. }));
        let reason = state.map_or(String::new(), |row| {
            format!(
                "a snapshot read key {}, and the table had it otherwise before this message",
                row.source_key
            )
        });
        for Owed { id, .. } in lacking {
            let finding = Finding {
                ordinal: Some(id.ordinal),
                event_id: Some(id.event_id),
                ..self.finding(FindingKind::Missing, offset, reason.clone())
            };
            judged.add((finding, None));
        }
    }

    /// Why a row is unexpected.
    fn unexpected(&self, offset: i64, row: &StoredRow, what: &What) -> String {
        match what {
            What::Skipped(reason) => format!("the message makes no rows: {}", reason.name()),
            What::Letter(reason) => format!("the message cannot become rows: {reason}"),
            _ => match self.rows_at(offset).first() {
                Some(own) if own.id.event_id != row.event_id => format!(
                    "the message tells another event, {}: written by hand, or of a deleted topic of the same name",
                    own.id.event_id
                ),
                Some(_) if self.owed(offset, None).iter().all(|owed| owed.bytes != row.bytes) => {
                    "the message does not make this row".to_owned()
                }
                _ => "the table has the same change from another message".to_owned(),
            },
        }
    }

    fn stored_finding(&self, kind: FindingKind, row: &StoredRow, reason: String) -> Found {
        let finding = Finding {
            ordinal: Some(row.ordinal),
            event_id: Some(row.event_id),
            times: row.times,
            ..self.finding(kind, row.offset, reason)
        };
        (finding, None)
    }

    fn finding(&self, kind: FindingKind, offset: i64, reason: String) -> Finding {
        let (partition, columns) = (self.partition, Vec::new());
        let event_id = self.rows_at(offset).first().map(|row| row.id.event_id);
        Finding { kind, partition, offset, ordinal: None, event_id, times: 0, columns, reason }
    }
}

impl Owed<'_> {
    /// Whether the stored row is this one with other values: it tells the same event, or all the rest is equal.
    fn is(&self, row: &StoredRow) -> bool {
        let rest = |bytes: &[u8]| {
            let (before, after) = (bytes.get(..self.event_at)?, bytes.get(self.event_at + 16..)?);
            Some((before.to_vec(), after.to_vec()))
        };
        self.id.event_id == row.event_id || rest(self.bytes) == rest(&row.bytes)
    }
}

impl Judged {
    fn add(&mut self, found: Found) {
        self.found.push(found);
    }
}

fn at<T>(rows: &[T], offset: i64, of: impl Fn(&T) -> i64) -> &[T] {
    let start = rows.partition_point(|row| of(row) < offset);
    let end = rows.partition_point(|row| of(row) <= offset);
    rows.get(start..end).unwrap_or_default()
}
