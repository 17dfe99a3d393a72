//! One stream's audit: partition by partition, in pieces of bounded size.
//!
//! Invariant: nothing is written anywhere, and the group does not notice. Memory is bounded by a piece, twice: its
//! messages' rows and the table's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use nova_clickhouse::{PlainRow, RowBinaryBlock, TableSink};
use nova_kafka::{KafkaConnection, RangeReader};
use nova_pipeline::{
    BACKFILL_PARTITION, Became, ErrorKind, PipelineError, Policy, REPAIR_PARTITION, Ranges, Reading, Sink,
    SourceMessage as _, Standing,
};
use nova_streams::Mapping;

use super::judge::{Message, Piece, Resolved, What};
use super::letters::Letters;
use super::listing::Listing;
use super::plan::AuditPlan;
use super::report::{AuditVerdict, Finding, FindingKind, PartitionAudit, StreamAudit};

/// Offsets of a piece.
const PIECE_OFFSETS: i64 = 50_000;
/// Encoded rows of a piece, in bytes; the last message may exceed it.
const PIECE_BYTES: usize = 32 << 20;

/// A stream's ends.
pub struct Audited<'a> {
    /// How the brokers are reached.
    pub connection: &'a KafkaConnection,
    /// What messages become.
    pub mapping: &'a Mapping,
    /// The table.
    pub sink: &'a TableSink,
}

/// Audits what was planned. At most `max_listed` findings are listed, all are counted; `progress` hears of offsets done.
///
/// # Errors
/// By kind: a server that cannot be asked. A topic that no longer holds what was planned makes the audit incomplete.
pub async fn audit(
    audited: &Audited<'_>,
    plan: AuditPlan,
    letters: &Letters,
    max_listed: usize,
    progress: &mut dyn FnMut(u64),
) -> Result<StreamAudit, PipelineError> {
    let stream = audited.mapping.stream().to_owned();
    let mut run = Run { audited, plan: &plan, letters, listing: Listing::new(max_listed), progress };
    let mut partitions = Vec::new();
    for part in &plan.partitions {
        partitions.push(run.partition(part.clone()).await?);
    }
    let Others { repair_rows, backfill_rows, mut notes } = run.other_partitions().await?;
    let listed_all = run.listing.is_whole();
    let Listing { tally, findings, .. } = run.listing;
    if tally.contains_key(&FindingKind::LetterMissing) {
        notes.push(letters.note.clone());
    }
    if repair_rows + backfill_rows > 0 && !tally.is_empty() {
        notes.push(
            "what `nova repair` or `nova backfill` has mended by rows of its own stays a finding here; `nova reconcile` \
             tells whether the states are right"
                .to_owned(),
        );
    }
    let verdict = match () {
        () if !tally.is_empty() => AuditVerdict::Findings,
        () if partitions.iter().any(|part| part.incomplete.is_some()) => AuditVerdict::Incomplete,
        () => AuditVerdict::Agrees,
    };
    let (group, topic) = (plan.group.clone(), plan.topic.clone());
    let table = Sink::table(audited.sink).to_owned();
    Ok(StreamAudit {
        stream,
        group,
        topic,
        table,
        verdict,
        partitions,
        repair_rows,
        backfill_rows,
        tally,
        findings,
        listed_all,
        notes,
    })
}

struct Run<'r> {
    audited: &'r Audited<'r>,
    plan: &'r AuditPlan,
    letters: &'r Letters,
    listing: Listing,
    progress: &'r mut dyn FnMut(u64),
}

/// Messages of a piece and the rows that they make by themselves.
struct Read {
    messages: Vec<Message>,
    block: RowBinaryBlock,
    end: i64,
}

impl Run<'_> {
    async fn partition(&mut self, mut part: PartitionAudit) -> Result<PartitionAudit, PipelineError> {
        if part.from >= part.to {
            return Ok(part);
        }
        let ranges: Ranges = [(part.partition, part.from..part.to)].into_iter().collect();
        let mut reader = RangeReader::open(self.audited.connection, &self.plan.topic, &ranges)?;
        let mut start = part.from;
        while start < part.to {
            let limit = part.to.min(start.saturating_add(PIECE_OFFSETS));
            let read = match self.read(&mut reader, limit).await {
                Ok(read) => read,
                Err(error) if error.kind == ErrorKind::OffsetGap => {
                    part.incomplete = Some(error.message);
                    part.to = start;
                    return Ok(part);
                }
                Err(error) => return Err(error),
            };
            let end = read.end;
            self.piece(&mut part, start..end, read).await?;
            (self.progress)(u64::try_from(end - start).unwrap_or_default());
            start = end;
        }
        Ok(part)
    }

    /// Reads the messages before `limit`, fewer where their rows are large.
    async fn read(&self, reader: &mut RangeReader, limit: i64) -> Result<Read, PipelineError> {
        let Audited { mapping, sink, .. } = self.audited;
        let mut reading = Reading::new(mapping, self.plan.topic.as_str(), sink.block());
        let (mut messages, mut end) = (Vec::new(), limit);
        while let Some(message) = reader.next_before(limit).await? {
            let offset = message.offset();
            let what = match reading.take(&message) {
                Ok(Became::Rows) => What::Rows,
                Ok(Became::Skipped(reason)) => What::Skipped(reason),
                Ok(Became::Letter(reason)) => What::Letter(reason),
                Err(error) if error.kind.policy() == Policy::Halt => What::Halts(error.message),
                Err(error) => return Err(error),
            };
            messages.push(Message { offset, what });
            if reading.bytes() >= PIECE_BYTES {
                end = offset + 1;
                break;
            }
        }
        Ok(Read { messages, block: reading.into_block(), end })
    }

    async fn piece(
        &mut self,
        part: &mut PartitionAudit,
        offsets: Range<i64>,
        read: Read,
    ) -> Result<(), PipelineError> {
        let (sink, topic, partition) = (self.audited.sink, self.plan.topic.as_str(), part.partition);
        let stored = sink.stored(topic, partition, offsets.clone()).await?;
        let rows = read.block.plain(topic)?;
        let none = BTreeSet::new();
        let letters = self.letters.of(self.audited.mapping.stream(), partition).unwrap_or(&none);
        let piece = Piece {
            partition,
            offsets: offsets.clone(),
            messages: &read.messages,
            rows: &rows,
            stored: &stored,
            letters,
        };
        let lsns = positions(&rows);
        let doubts = piece.doubts();
        let resolved = self.resolve(partition, &offsets, &read.block, &doubts).await?;
        let mut judged = piece.judge(&doubts, &resolved);
        let found = std::mem::take(&mut judged.found);
        let wrong: BTreeSet<i64> = found.iter().map(|(finding, _)| finding.offset).collect();
        self.listing.add_piece(sink, found).await?;
        if let Some(lsns) = lsns.filter(|_| !stored.is_empty()) {
            let again = self.told_twice(partition, &offsets, lsns, &wrong).await?;
            judged.counts.rows -= again;
            judged.counts.wrong += again;
        }
        part.counts.add(judged.counts);
        Ok(())
    }

    /// Finds changes of this piece that have rows of several messages. `wrong`: offsets with findings. Answers how many
    /// more offsets have one now.
    async fn told_twice(
        &mut self,
        partition: i32,
        offsets: &Range<i64>,
        lsns: RangeInclusive<u64>,
        wrong: &BTreeSet<i64>,
    ) -> Result<u64, PipelineError> {
        let held = &self.plan.held;
        let owed = |(partition, offset): (i32, i64)| {
            let lag = held.iter().find(|lag| lag.partition == partition);
            lag.and_then(|lag| lag.committed).is_some_and(|committed| offset < committed)
        };
        let right = |(found, offset): (i32, i64)| {
            found == partition && offsets.contains(&offset) && !wrong.contains(&offset)
        };
        let mut again = 0;
        let (sink, topic) = (self.audited.sink, &self.plan.topic);
        for told in sink.told_twice(topic, partition, offsets.clone(), lsns).await? {
            again += u64::from(self.listing.add_told_twice(told, right, owed));
        }
        Ok(again)
    }

    /// What the doubted messages owe, by what the table has of others: as the pipeline would resolve them today.
    async fn resolve(
        &self,
        partition: i32,
        offsets: &Range<i64>,
        block: &RowBinaryBlock,
        doubts: &BTreeMap<i64, Standing>,
    ) -> Result<Resolved, PipelineError> {
        let mut resolved = Resolved::new();
        if doubts.is_empty() {
            return Ok(resolved);
        }
        let (sink, topic) = (self.audited.sink, self.plan.topic.as_str());
        let doubted = block.standing(|id| doubts.get(&id.offset).copied());
        let ranges: Ranges = [(partition, offsets.clone())].into_iter().collect();
        let owed = sink.resolve(topic, &ranges, &doubted, false).await?.block;
        for row in owed.plain(topic)? {
            resolved.entry(row.id.offset).or_default().push((row.id, row.bytes.to_vec()));
        }
        Ok(resolved)
    }

    /// Rows of partitions that the topic does not have: those of commands are counted, the others are findings. And what
    /// else the table knows of the topic that the topic does not know of itself.
    async fn other_partitions(&mut self) -> Result<Others, PipelineError> {
        let (sink, topic) = (self.audited.sink, self.plan.topic.as_str());
        let mut others = Others::default();
        for (partition, rows, least) in sink.partitions(topic).await? {
            let Ok(partition) = i32::try_from(partition) else { continue };
            if partition == REPAIR_PARTITION {
                others.repair_rows = rows;
            } else if partition == BACKFILL_PARTITION {
                others.backfill_rows = rows;
            } else if self.plan.held.iter().all(|lag| lag.partition != partition) {
                self.listing.add(Finding {
                    kind: FindingKind::NoMessage,
                    partition,
                    offset: least,
                    ordinal: None,
                    event_id: None,
                    times: rows,
                    columns: Vec::new(),
                    reason: "the topic has no such partition; the offset is the least of these rows"
                        .to_owned(),
                });
            }
        }
        let all: Vec<i32> = self.plan.held.iter().map(|lag| lag.partition).collect();
        for seen in sink.seen(topic, &all).await? {
            let held = self.plan.held.iter().find(|lag| lag.partition == seen.partition);
            if let Some(lag) = held.filter(|lag| seen.next_offset > lag.high) {
                others.notes.push(format!(
                    "the table has rows of {topic}[{}] up to offset {}, and the partition ends at {}: a topic of the same \
                     name was deleted, and its rows are among those at today's offsets",
                    seen.partition,
                    seen.next_offset - 1,
                    lag.high
                ));
            }
        }
        Ok(others)
    }
}

/// What the table has of a topic beside the rows of its messages.
#[derive(Default)]
struct Others {
    repair_rows: u64,
    backfill_rows: u64,
    notes: Vec<String>,
}

/// The least and the greatest known position in the write-ahead log of the changes among these rows. What snapshots read
/// are no changes: a whole snapshot has one position, and its rows are states.
fn positions(rows: &[PlainRow<'_>]) -> Option<RangeInclusive<u64>> {
    let changes = || rows.iter().filter(|row| !matches!(row.standing, Standing::State { .. }));
    let known = || changes().map(|row| row.source_lsn).filter(|lsn| *lsn > 0);
    Some(known().min()?..=known().max()?)
}
