//! What a replay will do: resolved once, kept by the job, and told before anything is done.
//!
//! Invariant: making a plan changes nothing. A job that goes on keeps the plan that it began with.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, Utc};
use nova_clickhouse::{JobKind, JobRow, JobState, Jobs, TableSink};
use nova_kafka::{KafkaConnection, PartitionLag, RangeReader, describe, message_times, offsets_by_time};
use nova_pipeline::{PipelineError, Ranges, Reading, Sink as _, SourceMessage as _};
use nova_streams::{Mapping, Stream};
use serde::{Deserialize, Serialize};

use super::args::{KafkaArgs, Place};
use super::bounds::{Asked, Bounds, Part, Refused, Times, bounds};
use crate::exit::{Exit, Failure};

/// Rows of a chunk where no rate is given.
const CHUNK_ROWS: u32 = 100_000;
/// A chunk is at most so many seconds of a given rate: a pace made of long waits and great inserts would be none.
const CHUNK_SECONDS: u32 = 2;
/// And at least so many rows.
const LEAST_ROWS: u32 = 1_000;
/// Messages that are read beforehand for an estimate.
const SAMPLE: u64 = 2_000;
/// Jobs among which the last rate is looked for.
const JOBS: u32 = 100;

/// What a job keeps of its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The topic.
    pub topic: String,
    /// The stream's consumer group.
    pub group: String,
    /// The table.
    pub table: String,
    /// Whether that is another than the stream's own.
    pub elsewhere: bool,
    /// The ranges.
    pub parts: Vec<Part>,
    /// Rows of a chunk: they decide where chunks end, and so which tokens their inserts have.
    pub chunk_rows: u32,
    /// What is to be known about the ranges.
    pub notes: Vec<String>,
}

/// What cannot be known for certain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows of the ranges that the table has now, by partition.
    pub rows_there: BTreeMap<i32, u64>,
    /// Bytes of keys and values in the topic; `None` where there is no message.
    pub bytes: Option<u64>,
    /// Seconds; `None` where there is nothing to judge by.
    pub seconds: Option<u64>,
    /// What bytes and seconds were judged by.
    pub judged_by: String,
}

impl Plan {
    /// Asks Kafka where the group stands, and what is there of what is asked for.
    ///
    /// # Errors
    /// [`Refused`], with what is possible instead; by kind, what Kafka answers.
    pub async fn make(
        connection: &KafkaConnection,
        args: &KafkaArgs,
        stream: &Stream,
        (group, table): (&str, &str),
    ) -> Result<Self, Failure> {
        let held = describe(connection, group, &stream.topic).await?.partitions;
        let times = times(connection, &stream.topic, args, &held).await?;
        let elsewhere = table != stream.table;
        let (from, to) = (args.from, args.to);
        let asked = Asked { topic: &stream.topic, group, from, to, partitions: &args.partition, elsewhere };
        let Bounds { parts, mut notes } =
            bounds(&asked, &held, &times).map_err(|refused| instead(refused, &stream.name))?;
        if to == Place::Now && !elsewhere && !parts.is_empty() {
            notes.insert(
                0,
                format!("it ends where `{group}` has committed; what comes behind is the live stream's"),
            );
        }
        let rate = args.max_rows_per_second.map(|rate| rate.saturating_mul(CHUNK_SECONDS));
        let chunk_rows = rate.unwrap_or(CHUNK_ROWS).clamp(LEAST_ROWS, CHUNK_ROWS);
        let (topic, group, table) = (stream.topic.clone(), group.to_owned(), table.to_owned());
        Ok(Self { topic, group, table, elsewhere, parts, chunk_rows, notes })
    }

    /// Whether the plan of a job that goes on is still right: the same topic, and nothing of it before the live stream again.
    pub async fn check(&self, connection: &KafkaConnection, stream: &Stream) -> Result<(), Failure> {
        if self.topic != stream.topic {
            let message = format!(
                "the job was begun when stream `{}` read {}, and it reads {}",
                stream.name, self.topic, stream.topic
            );
            return Err(Failure::new(Exit::Usage, message).with_cure("Begin anew with --anew."));
        }
        let held = describe(connection, &self.group, &self.topic).await?.partitions;
        let before = |part: &&Part| {
            let lag = held.iter().find(|lag| lag.partition == part.partition);
            lag.is_none_or(|lag| lag.committed.is_none_or(|committed| committed < part.to))
        };
        let Some(part) = self.parts.iter().find(before).filter(|_| !self.elsewhere) else { return Ok(()) };
        let message = format!(
            "the job replays {}[{}] up to {}, and the group `{}` does not stand there any more: its offsets were set back, and \
             the live stream reads these messages itself",
            self.topic, part.partition, part.to, self.group
        );
        Err(Failure::new(Exit::Failure, message).with_cure("Wait until it has; or begin anew with --anew."))
    }

    /// The ranges.
    pub fn ranges(&self) -> Ranges {
        self.parts.iter().map(|part| (part.partition, part.from..part.to)).collect()
    }

    /// Messages, transactions' markers included.
    pub fn offsets(&self) -> u64 {
        self.parts.iter().map(Part::offsets).sum()
    }

    /// What can be said beforehand about size and time.
    pub async fn estimate(
        &self,
        connection: &KafkaConnection,
        (mapping, sink): (&Mapping, &TableSink),
        jobs: &Jobs,
    ) -> Result<Estimate, Failure> {
        let rows_there = sink.held(&self.topic, &self.ranges()).await?;
        let sample = self.sample(connection, mapping, sink).await?;
        let last = jobs.recent(JOBS).await?.iter().find_map(|row| rate_of(row, mapping.stream()));
        let mut estimate =
            Estimate { rows_there, bytes: None, seconds: None, judged_by: "nothing is there".to_owned() };
        let offsets = self.offsets();
        if let Some(Sample { messages, bytes, took }) = sample {
            estimate.bytes = Some(offsets.saturating_mul(bytes) / messages);
            let per_second =
                messages.saturating_mul(1_000) / u64::try_from(took.as_millis()).unwrap_or(1).max(1);
            let seconds = |rate: u64| Some(offsets.div_ceil(rate.max(1)));
            (estimate.seconds, estimate.judged_by) = match last {
                Some(rate) => (
                    seconds(rate),
                    format!("a sample of {messages} messages, and the last replay's {rate} messages/s"),
                ),
                None => (
                    seconds(per_second / 2),
                    format!(
                        "a sample of {messages} messages, decoded at {per_second}/s; writing is taken to cost as much again"
                    ),
                ),
            };
        }
        Ok(estimate)
    }

    /// Reads and maps the first messages of the longest range.
    async fn sample(
        &self,
        connection: &KafkaConnection,
        mapping: &Mapping,
        sink: &TableSink,
    ) -> Result<Option<Sample>, PipelineError> {
        let Some(longest) = self.parts.iter().max_by_key(|part| part.offsets()) else { return Ok(None) };
        let ranges: Ranges = [(longest.partition, longest.from..longest.to)].into_iter().collect();
        let mut reader = RangeReader::open(connection, &self.topic, &ranges)?;
        let mut reading = Reading::new(mapping, self.topic.as_str(), sink.block());
        let (mut messages, mut bytes, mut begun) = (0, 0, None);
        while let Some(message) = reader.next_before(longest.to).await? {
            // The first one waits for the broker.
            begun.get_or_insert_with(Instant::now);
            messages += 1;
            bytes += message.key().map_or(0, <[u8]>::len) + message.value().map_or(0, <[u8]>::len);
            // What a worker would halt at is found again, and told, when it is its turn.
            let _ = reading.take(&message);
            if messages == SAMPLE {
                break;
            }
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Ok(begun.map(|begun| Sample { messages, bytes, took: begun.elapsed() }))
    }
}

/// What was read beforehand; at least one message.
struct Sample {
    messages: u64,
    bytes: u64,
    took: Duration,
}

async fn times(
    connection: &KafkaConnection,
    topic: &str,
    args: &KafkaArgs,
    held: &[PartitionLag],
) -> Result<Times, PipelineError> {
    let now_ms = Utc::now().timestamp_millis();
    let mut times = Times { from_ms: args.from.time_ms(now_ms), ..Times::default() };
    if let Some(from_ms) = times.from_ms {
        times.from = offsets_by_time(connection, topic, from_ms).await?.into_iter().collect();
    }
    if let Some(to_ms) = args.to.time_ms(now_ms) {
        times.to = offsets_by_time(connection, topic, to_ms).await?.into_iter().collect();
    }
    let cut = held.iter().filter(|lag| lag.low > 0 && lag.low < lag.high).map(|lag| (lag.partition, lag.low));
    times.oldest_ms = message_times(connection, topic, &cut.collect::<Vec<_>>()).await?;
    Ok(times)
}

/// A refusal with what is possible instead.
fn instead(refused: Refused, stream: &str) -> Failure {
    let cure = match &refused {
        Refused::Expired { .. } => format!(
            "What is there: --from earliest. What has expired comes from PostgreSQL: `nova backfill --stream {stream}`; or \
             `nova reconcile` finds what is missing, and `nova repair` writes it."
        ),
        Refused::NeverRead { .. } => format!(
            "`nova run --stream {stream} --from-beginning` reads all of it; --into TABLE replays it into another table."
        ),
        Refused::MadeAgain { .. } => format!(
            "`nova offsets show --stream {stream}` names the way on; --into TABLE replays what there is into another table."
        ),
        Refused::NoPartition { .. } | Refused::WhichPartition { .. } => {
            format!("`nova offsets show --stream {stream}` lists them.")
        }
    };
    Failure::new(Exit::Usage, format!("nothing was done: {refused}")).with_cure(cure)
}

/// Messages a second of a replay that was done in one go.
fn rate_of(row: &JobRow, stream: &str) -> Option<u64> {
    if row.kind != JobKind::Replay || row.state != JobState::Done || row.stream != stream {
        return None;
    }
    let time = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.3f").ok();
    let took_ms = (time(&row.at)? - time(&row.began_at)?).num_milliseconds();
    let rate = row.done.saturating_mul(1_000).checked_div(u64::try_from(took_ms).ok()?)?;
    (rate > 0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rate_is_that_of_a_replay_that_is_done() {
        let row = JobRow {
            state: JobState::Done,
            done: 9_000,
            began_at: "2026-01-31 06:00:00.000".to_owned(),
            at: "2026-01-31 06:00:04.500".to_owned(),
            ..crate::job::tests::row()
        };
        assert_eq!(rate_of(&row, "likes"), Some(2_000));
        assert_eq!(rate_of(&row, "posts"), None);
        assert_eq!(rate_of(&JobRow { kind: JobKind::Backfill, ..row.clone() }, "likes"), None);
        assert_eq!(rate_of(&JobRow { state: JobState::Stopped, ..row.clone() }, "likes"), None);
        assert_eq!(rate_of(&JobRow { at: row.began_at.clone(), ..row }, "likes"), None);
    }

    #[test]
    fn each_refusal_says_what_is_possible_instead() {
        let expired = Refused::Expired {
            topic: "cdc.likes".to_owned(),
            partition: 0,
            low: 20,
            since: String::new(),
            asked: "7".to_owned(),
        };
        let failure = instead(expired, "likes");
        assert!(failure.cure.contains("--from earliest"), "{}", failure.cure);
        assert!(failure.cure.contains("`nova backfill --stream likes`"), "{}", failure.cure);
        let never = Refused::NeverRead { group: "nova-likes".to_owned(), topic: "cdc.likes".to_owned() };
        assert!(instead(never, "likes").cure.contains("--into TABLE"));
    }
}
