//! The letters of one stream on their way into its table.
//!
//! Invariant: rows are durable before a letter is marked, and a letter is marked by what the table has. Whatever ends the
//! command in between, the next one finds the rows by their lineage, and marks.

use std::collections::HashSet;

use nova_clickhouse::{LetterAction, LetterMark, RowBinaryBlock, TableInfo, TableSink, mark_letters};
use nova_kafka::{PartitionLag, describe, original};
use nova_pipeline::{Block as _, DeadLetter, ErrorKind, Formed, Lacking, PipelineError, Redelivery};
use nova_streams::Stream;
use uuid::Uuid;

use super::fate::Fate;
use super::scan::{Entry, Site};
use crate::run::compile;

/// Marks of one insert.
const MARKS: usize = 1_000;

/// A stream, connected.
pub struct Lane<'s> {
    site: &'s Site,
    stream: &'s Stream,
    sink: TableSink,
    redelivery: Redelivery<TableSink>,
    /// Where the stream's group stands.
    group: Vec<PartitionLag>,
    /// Changes that letters before have told.
    told: HashSet<Uuid>,
}

impl<'s> Lane<'s> {
    /// Checks the stream against its table, as its worker does.
    ///
    /// # Errors
    /// A table that is not what the stream declares, or cannot be asked.
    pub async fn connect(site: &'s Site, stream: &'s Stream, group: &str) -> Result<Self, PipelineError> {
        let table = TableInfo::read(&site.client, &stream.table).await?;
        let mapping = compile(stream, &table)?;
        let sink = TableSink::new(site.client.clone(), &table, mapping.columns())?;
        let redelivery = Redelivery::new(&stream.topic, mapping, sink.clone());
        let group = match describe(&site.connection, group, &stream.topic).await {
            Ok(lag) => lag.partitions,
            // A topic that is gone is not read again.
            Err(error) if error.kind == ErrorKind::Misconfigured => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { site, stream, sink, redelivery, group, told: HashSet::new() })
    }

    /// The table.
    pub fn table(&self) -> &str {
        &self.stream.table
    }

    /// What would become of the letters; nothing is written. `contradictions`: rows that contradict the table are let by.
    pub async fn judge(
        &mut self,
        entries: Vec<Entry>,
        contradictions: bool,
    ) -> Result<Vec<(Entry, Fate)>, PipelineError> {
        let mut judged = Vec::with_capacity(entries.len());
        for mut entry in entries {
            let fate = self.fate(&mut entry).await?;
            // Its message is in the block now.
            (entry.stored.letter.value, entry.stored.letter.headers) = (None, Vec::new());
            judged.push((entry, fate));
        }
        if contradictions {
            return Ok(judged);
        }
        let blocks: Vec<&RowBinaryBlock> = judged
            .iter()
            .filter_map(|(_, fate)| if let Fate::Rows { block, .. } = fate { Some(block) } else { None })
            .collect();
        let found = self.sink.contradictions(&self.stream.topic, &blocks).await?;
        for (entry, fate) in &mut judged {
            let letter = &entry.stored.letter;
            if matches!(fate, Fate::Rows { .. }) && found.contains(&(letter.partition, letter.offset)) {
                *fate = Fate::open(CONTRADICTION);
            }
        }
        Ok(judged)
    }

    async fn fate(&mut self, entry: &mut Entry) -> Result<Fate, PipelineError> {
        let topic = &entry.stored.letter.topic;
        if *topic != self.stream.topic {
            return Ok(Fate::open(format!(
                "its stream does not read {topic} any more, but {}",
                self.stream.topic
            )));
        }
        if is_read_again(&self.group, &entry.stored.letter) {
            return Ok(Fate::open(READ_AGAIN));
        }
        if !entry.stored.is_whole() {
            match original(&self.site.connection, &entry.stored).await {
                Ok(whole) => entry.stored.letter = whole,
                Err(error) if matches!(error.kind, ErrorKind::OffsetGap | ErrorKind::Misconfigured) => {
                    return Ok(Fate::open(error.message));
                }
                Err(error) => return Err(error),
            }
        }
        self.formed(&entry.stored.letter).await
    }

    async fn formed(&mut self, letter: &DeadLetter) -> Result<Fate, PipelineError> {
        let (block, event_id) = match self.redelivery.form(letter) {
            Formed::Refused(PipelineError { message, path, .. }) => {
                return Ok(Fate::Open { reason: message, path });
            }
            Formed::Skipped(reason) => return Ok(Fate::Skipped(reason.name())),
            Formed::Rows { block, event_id } => (block, event_id),
        };
        // Of several letters of one change the first counts; the table does not have it yet.
        if event_id.is_some_and(|event| !self.told.insert(event)) {
            return Ok(Fate::Skipped(nova_streams::SkipReason::Repeated.name()));
        }
        let Lacking { block, there, known } = self.redelivery.lacking(letter, &block).await?;
        Ok(match (block.rows(), known) {
            (0, Some(reason)) => Fate::Skipped(reason.name()),
            (0, None) => Fate::There(there),
            _ => Fate::Rows { block, there },
        })
    }

    /// Makes the rows durable, and marks every letter that is settled by that.
    pub async fn execute(&self, judged: &[(Entry, Fate)], actor: &str) -> Result<(), PipelineError> {
        let mut marks: Vec<LetterMark> = Vec::new();
        for (entry, fate) in judged {
            let (rows, reason) = match fate {
                Fate::Rows { block, there } => {
                    (self.redelivery.insert(&entry.stored.letter, block).await? + there, "")
                }
                Fate::There(rows) => (*rows, ""),
                Fate::Skipped(reason) => (0, *reason),
                Fate::Open { .. } | Fate::Discarded(_) | Fate::Settled(_) => continue,
            };
            marks.push(entry.marked(LetterAction::Retried, rows, reason, actor));
        }
        for marks in marks.chunks(MARKS) {
            mark_letters(&self.site.client, marks).await?;
        }
        Ok(())
    }
}

/// Whether the stream's worker has the message still before it: in a batch that was left open, or since offsets were set
/// back. It would then write the same rows, under the token of a batch, and perhaps at the same time.
fn is_read_again(group: &[PartitionLag], letter: &DeadLetter) -> bool {
    let lag = group.iter().find(|lag| lag.partition == letter.partition);
    // Behind the end of the topic there is nothing to read: it is a letter of one that was deleted.
    lag.is_some_and(|lag| {
        letter.offset < lag.high && lag.committed.is_none_or(|committed| committed <= letter.offset)
    })
}

const READ_AGAIN: &str =
    "its stream has not committed an offset behind it, and reads it again by itself: let `nova run` go on";

const CONTRADICTION: &str = "its rows would leave their key in two states, or in one twice: either a snapshot has made them good, \
     then discard the letter; or other letters of the key are missing, then retry them together";

#[cfg(test)]
mod tests {
    use super::super::scan::entry;
    use super::*;

    #[test]
    fn what_the_worker_reads_again_is_left_to_it() {
        let letter = entry(5, None).stored.letter;
        let read_again = |partition, committed, high| {
            is_read_again(&[PartitionLag { partition, committed, low: 0, high }], &letter)
        };
        assert!(read_again(3, Some(5), 10), "it is the next, or in a batch that is open");
        assert!(read_again(3, None, 10), "nobody knows what was read");
        assert!(!read_again(3, Some(6), 10));
        assert!(!read_again(3, Some(0), 5), "not in this topic");
        assert!(!read_again(2, Some(0), 10) && !is_read_again(&[], &letter));
    }
}
