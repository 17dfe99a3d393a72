//! The work of a replay: chunk after chunk is read, and made durable while the next one is read.
//!
//! Invariant: what the checkpoint has behind it is durable; what was left out is tried once more when the rest is done, as long
//! as that leads on. Memory: two chunks, and the body of an insert.

use std::collections::{BTreeMap, BTreeSet};

use nova_clickhouse::RowBinaryBlock;
use nova_kafka::{KafkaConnection, KafkaDeadLetters, RangeReader};
use nova_pipeline::{
    Chunk, DeadLetter, ErrorKind, PipelineError, Replay, Replayable, Replayed, SourceMessage as _,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::bounds::Part;
use super::plan::Plan;
use crate::exit::{Failure, Outcome};
use crate::job::{Finish, Job, Sums};

/// Encoded bytes of a chunk; the last message may exceed it.
const CHUNK_BYTES: usize = 16 << 20;
/// Offsets of a chunk: also what becomes no rows is a step forward.
const CHUNK_OFFSETS: i64 = 200_000;
/// Messages that are named in the result; all are counted.
const NAMED: usize = 20;

/// A message that cannot become rows, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// `topic/partition/offset`, as `nova dlq show` wants it.
    pub message: String,
    /// Why.
    pub reason: String,
}

/// How far a replay is: its checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// What is still to be done, the first from where it goes on.
    pub todo: Vec<Part>,
    /// Ranges of which something was left out, to be tried once more.
    pub again: Vec<Part>,
    /// Which time the ranges are gone through, from 0.
    pub pass: u32,
    /// Rows written in this pass.
    pub led_on: u64,
    /// Messages left out in this pass, since their rows would leave their key in two states, or in one twice.
    pub left_out: u64,
    /// Sums over all passes.
    pub sums: Sums,
    /// Messages that make no rows, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Messages that cannot become rows today and were not in the dead-letter topic.
    pub refused: u64,
    /// The first of them.
    pub named: Vec<Named>,
}

/// Everything that the work needs.
pub struct Work<'w, K> {
    /// The job.
    pub job: &'w Job,
    /// The way into the table.
    pub replay: &'w Replay<K, KafkaDeadLetters>,
    /// How the brokers are reached.
    pub connection: &'w KafkaConnection,
    /// The plan.
    pub plan: &'w Plan,
    /// Partition and offset of messages that are left to their dead letters.
    pub letters: &'w BTreeSet<(i32, i64)>,
    /// How far it is.
    pub reached: Reached,
    /// Takes note of how far it is.
    pub keep: &'w (dyn Fn(&Reached) -> Outcome + Sync),
}

/// A partition that is read, from wherever it is to go on.
struct Lane {
    part: Part,
    reader: Mutex<Option<RangeReader>>,
}

impl Reached {
    /// At the beginning of a plan.
    pub fn start(plan: &Plan) -> Self {
        Self { todo: plan.parts.clone(), ..Self::default() }
    }

    /// Takes note of a chunk that is durable; `chunk` is the beginning of what is to be done.
    fn note(&mut self, chunk: Part, replayed: Replayed) {
        let Replayed { written, already_there, skipped, letters, refused, left_out } = replayed;
        self.sums.written += written;
        self.led_on += written;
        self.left_out += left_out;
        self.refused += u64::try_from(refused.len()).unwrap_or(u64::MAX);
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(refused.iter().take(room).map(named));
        if self.pass == 0 {
            self.sums.done += chunk.offsets();
            self.sums.already_there += already_there;
            self.sums.letters += letters + u64::try_from(refused.len()).unwrap_or(u64::MAX);
            for (reason, messages) in skipped {
                self.sums.skipped += messages;
                *self.skipped.entry(reason.name().to_owned()).or_default() += messages;
            }
        }
        if left_out > 0 {
            match self.again.last_mut() {
                Some(last) if (last.partition, last.to) == (chunk.partition, chunk.from) => {
                    last.to = chunk.to
                }
                _ => self.again.push(chunk),
            }
        }
        if let Some(first) = self.todo.first_mut() {
            first.from = chunk.to;
        }
        if self.todo.first().is_some_and(|first| first.from >= first.to) {
            self.todo.remove(0);
        }
        if self.todo.is_empty() && self.led_on > 0 && !self.again.is_empty() {
            self.todo = std::mem::take(&mut self.again);
            self.pass += 1;
            (self.led_on, self.left_out) = (0, 0);
        }
    }
}

impl<K: Replayable<Block = RowBinaryBlock>> Work<'_, K> {
    /// Does what is to be done, or as much of it as there is time for.
    pub async fn all(&mut self) -> Result<Finish, Failure> {
        while let Some(part) = self.reached.todo.first().copied() {
            if self.part(part).await? == Finish::Stopped {
                return Ok(Finish::Stopped);
            }
        }
        Ok(Finish::Done)
    }

    async fn part(&mut self, part: Part) -> Result<Finish, Failure> {
        let lane = Lane { part, reader: Mutex::default() };
        let mut next = Some(self.read(&lane, part.from).await.map_err(failed)?);
        while let Some(chunk) = next {
            let (rows, offsets) = (chunk.rows(), chunk.offsets());
            let done = Part { partition: part.partition, from: offsets.start, to: offsets.end };
            let goes_on = offsets.end < part.to && !self.job.is_stopping();
            let prefetch = async { if goes_on { Some(self.read(&lane, offsets.end).await) } else { None } };
            let (written, read) = tokio::join!(self.replay.write(chunk), prefetch);
            self.reached.note(done, written.map_err(failed)?);
            (self.keep)(&self.reached)?;
            self.job.pass(rows).await;
            if self.job.is_stopping() && !self.reached.todo.is_empty() {
                return Ok(Finish::Stopped);
            }
            next = read.transpose().map_err(failed)?;
        }
        Ok(Finish::Done)
    }

    /// The chunk that begins here. A broker that is away is waited for.
    async fn read(&self, lane: &Lane, from: i64) -> Result<Chunk<RowBinaryBlock>, PipelineError> {
        let attempt = || async {
            let mut reader = lane.reader.lock().await;
            let mut open = match reader.take() {
                Some(open) => open,
                None => {
                    let range = (lane.part.partition, from..lane.part.to);
                    RangeReader::open(self.connection, &self.plan.topic, &[range].into_iter().collect())?
                }
            };
            let chunk = self.fill(&mut open, lane.part, from).await?;
            // One that failed in the middle of a chunk is not gone on with.
            *reader = Some(open);
            Ok(chunk)
        };
        self.replay.patiently("reading the topic", attempt).await
    }

    async fn fill(
        &self,
        reader: &mut RangeReader,
        part: Part,
        from: i64,
    ) -> Result<Chunk<RowBinaryBlock>, PipelineError> {
        let limit = part.to.min(from.saturating_add(CHUNK_OFFSETS));
        let rows = usize::try_from(self.plan.chunk_rows).unwrap_or(usize::MAX);
        let mut chunk = self.replay.chunk(part.partition, from);
        while let Some(message) = reader.next_before(limit).await? {
            if self.letters.contains(&(part.partition, message.offset())) {
                chunk.leave_to_letter(&message);
            } else {
                self.replay.take(&mut chunk, &message)?;
            }
            if chunk.rows() >= rows || chunk.bytes() >= CHUNK_BYTES {
                chunk.ends(message.offset() + 1);
                return Ok(chunk);
            }
        }
        chunk.ends(limit);
        Ok(chunk)
    }
}

fn failed(error: PipelineError) -> Failure {
    let gap = error.kind == ErrorKind::OffsetGap;
    let failure = Failure::from(error);
    if !gap {
        return failure;
    }
    failure.with_cure(
        "The topic has let go of messages of the plan. With --anew the plan is made of what is there; the rest comes from \
         PostgreSQL: `nova backfill`.",
    )
}

fn named(letter: &DeadLetter) -> Named {
    let DeadLetter { topic, partition, offset, reason, .. } = letter;
    Named { message: format!("{topic}/{partition}/{offset}"), reason: reason.clone() }
}

#[cfg(test)]
mod tests {
    use nova_streams::SkipReason;

    use super::*;

    fn part(from: i64, to: i64) -> Part {
        Part { partition: 0, from, to }
    }

    fn reached(todo: &[Part]) -> Reached {
        Reached { todo: todo.to_vec(), ..Reached::default() }
    }

    #[test]
    fn what_is_durable_is_behind_the_checkpoint_and_all_of_it_is_counted_once() {
        let mut reached = reached(&[part(0, 10), Part { partition: 1, from: 5, to: 7 }]);
        let skipped = BTreeMap::from([(SkipReason::Tombstone, 2)]);
        reached.note(part(0, 6), Replayed { written: 3, already_there: 1, skipped, ..Replayed::default() });
        assert_eq!(reached.todo[0], part(6, 10));
        reached.note(part(6, 10), Replayed { written: 1, letters: 1, ..Replayed::default() });
        assert_eq!(reached.todo, [Part { partition: 1, from: 5, to: 7 }]);
        reached.note(Part { partition: 1, from: 5, to: 7 }, Replayed::default());
        let sums = Sums { done: 12, written: 4, already_there: 1, skipped: 2, letters: 1 };
        assert_eq!((&reached.todo[..], reached.sums), (&[][..], sums));
        assert_eq!(reached.skipped, BTreeMap::from([("tombstone".to_owned(), 2)]));
        let text = serde_json::to_string(&reached).unwrap();
        assert_eq!(serde_json::from_str::<Reached>(&text).unwrap(), reached);
    }

    #[test]
    fn what_was_left_out_is_tried_again_as_long_as_that_leads_on() {
        let mut reached = reached(&[part(0, 30)]);
        let left =
            |left_out, written| Replayed { left_out, written, already_there: 7, ..Replayed::default() };
        reached.note(part(0, 10), left(2, 1));
        reached.note(part(10, 20), left(1, 0));
        reached.note(part(20, 30), left(0, 5));
        assert_eq!((&reached.todo[..], reached.pass, reached.left_out), (&[part(0, 20)][..], 1, 0));
        reached.note(part(0, 20), left(1, 2));
        assert_eq!((&reached.todo[..], reached.pass), (&[part(0, 20)][..], 2));
        reached.note(part(0, 20), left(1, 0));
        assert_eq!((&reached.todo[..], reached.left_out), (&[][..], 1), "it leads nowhere");
        assert_eq!((reached.sums.done, reached.sums.written, reached.sums.already_there), (30, 8, 21));
    }
}
