//! The streams that write into one table: up to where their rows are final, and which batches are under way.
//!
//! Invariant: asking changes nothing, and every insert that may have happened before a question belongs to a batch whose
//! end the answer names: a batch is announced in the committed metadata before it is inserted.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use nova_clickhouse::rebuild::Frontier;
use nova_kafka::{KafkaConnection, Position, positions};
use nova_pipeline::{ErrorKind, Intent, PipelineError, Ranges};
use nova_streams::{Stream, StreamSet};

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::run::kafka_connection;

/// The streams that write into a table.
pub struct Writers<'s> {
    connection: KafkaConnection,
    streams: Vec<(&'s Stream, String)>,
}

/// How one stream stands.
pub struct Standing<'s> {
    /// The stream.
    pub stream: &'s Stream,
    positions: Vec<Position>,
    open: Vec<Intent>,
}

impl<'s> Writers<'s> {
    /// All that are declared for the table.
    pub fn of(table: &str, streams: &'s StreamSet, config: &Config) -> Result<Self, Failure> {
        let into: Vec<&Stream> = streams.iter().filter(|stream| stream.table == table).collect();
        let mut by_topic: BTreeMap<&str, &str> = BTreeMap::new();
        for stream in &into {
            if let Some(other) = by_topic.insert(&stream.topic, &stream.name) {
                let message = format!(
                    "streams `{other}` and `{}` both read {} into `{table}`: whose row is whose cannot be told by the message",
                    stream.name, stream.topic
                );
                return Err(
                    Failure::new(Exit::Usage, message).with_cure("Give one of them a table of its own.")
                );
            }
        }
        let streams = into.into_iter().map(|stream| (stream, config.group(&stream.name))).collect();
        Ok(Self { connection: kafka_connection(config), streams })
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'s str> {
        self.streams.iter().map(|(stream, _)| stream.name.as_str()).collect()
    }

    /// Where each stands now. One whose topic was never made writes nothing, and is left out.
    ///
    /// # Errors
    /// Kafka's, and metadata that this version cannot read.
    pub async fn stand(&self) -> Result<Vec<Standing<'s>>, PipelineError> {
        let asked = self.streams.iter().map(|(stream, group)| async move {
            match positions(&self.connection, group, &stream.topic).await {
                Ok(positions) => Standing::of(stream, group, positions).map(Some),
                Err(error) if error.kind == ErrorKind::Misconfigured => Ok(None),
                Err(error) => Err(error),
            }
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }
}

impl<'s> Standing<'s> {
    fn of(stream: &'s Stream, group: &str, positions: Vec<Position>) -> Result<Self, PipelineError> {
        let intent = |position: &Position| {
            Intent::decode(&position.metadata).map_err(|error| {
                let message = format!(
                    "group `{group}`: what stands beside its offset in {}[{}] cannot be read: {error}",
                    stream.topic, position.lag.partition
                );
                PipelineError::new(ErrorKind::Misconfigured, message)
            })
        };
        let open =
            positions.iter().filter_map(|position| intent(position).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { stream, positions, open })
    }

    /// Mappings by which batches are written now; empty while none is open.
    pub fn mappings(&self) -> impl Iterator<Item = u64> {
        self.open.iter().map(|intent| intent.mapping)
    }

    /// The offset behind the last one that a worker has read into a batch, of a partition that the group has committed in.
    fn end(&self, position: &Position) -> Option<i64> {
        let partition = position.lag.partition;
        let open = self.open.iter().filter_map(|intent| intent.ranges.end(partition)).max();
        position.lag.committed.map(|committed| open.map_or(committed, |open| open.max(committed)))
    }

    /// From the frontier to the end of what may have been inserted by now.
    pub fn since(&self, frontier: &Frontier) -> Ranges {
        let range = |position: &Position| {
            let partition = position.lag.partition;
            let from = frontier.get(&self.stream.topic, partition).unwrap_or(0).max(position.lag.low);
            self.end(position).filter(|end| *end > from).map(|end| (partition, from..end))
        };
        self.positions.iter().filter_map(range).collect()
    }

    /// Whether the group has committed all of the ranges.
    pub fn has_passed(&self, ranges: &Ranges) -> bool {
        let committed = |partition| {
            let at = self.positions.iter().find(|position| position.lag.partition == partition);
            at.and_then(|position| position.lag.committed)
        };
        ranges.iter().all(|(partition, range)| committed(partition).is_some_and(|at| at >= range.end))
    }

    /// Names its partitions in the frontier. Where nobody has ever committed, nothing is final by that.
    pub fn mark(&self, frontier: &mut Frontier) {
        for Position { lag, .. } in &self.positions {
            frontier.set(&self.stream.topic, lag.partition, lag.committed.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use nova_kafka::PartitionLag;

    use super::*;

    fn streams() -> StreamSet {
        StreamSet::parse("streams.toml", include_str!("../../../../../config/streams.toml")).unwrap()
    }

    fn position(partition: i32, committed: Option<i64>, metadata: &str) -> Position {
        let lag = PartitionLag { partition, committed, low: 5, high: 500 };
        Position { lag, metadata: metadata.to_owned() }
    }

    #[test]
    fn a_batch_that_is_open_moves_the_end_of_all_its_partitions_and_not_the_frontier() {
        let streams = streams();
        let stream = streams.get("likes").unwrap();
        // The batch is open in partition 0 and closed already in partition 1.
        let positions = vec![
            position(0, Some(100), "n2 0.0.-.0.0 1 9f3c 0:100+50,1:40+10"),
            position(1, Some(50), "n2 0.0.-.0.0"),
            position(2, None, ""),
        ];
        let standing = Standing::of(stream, "nova-likes", positions).unwrap();
        assert_eq!(standing.mappings().collect::<Vec<_>>(), [0x9f3c]);
        let mut frontier = Frontier::default();
        standing.mark(&mut frontier);
        let at = |partition| frontier.get("cdc.likes", partition);
        assert_eq!((at(0), at(1), at(2), at(3)), (Some(100), Some(50), Some(0), None));
        let since = standing.since(&frontier);
        assert_eq!(since, Ranges::from_iter([(0, 100..150)]));
        assert!(!standing.has_passed(&since));
        assert_eq!(standing.since(&Frontier::default()), Ranges::from_iter([(0, 5..150), (1, 5..50)]));
        let later = Standing::of(stream, "nova-likes", vec![position(0, Some(150), "n2 0.0.-.0.0")]).unwrap();
        assert!(later.has_passed(&since) && later.mappings().next().is_none());
        let error = Standing::of(stream, "nova-likes", vec![position(0, Some(1), "x")]).err().unwrap();
        assert!(error.message.contains("nova-likes") && error.message.contains("cdc.likes[0]"), "{error}");
    }

    #[test]
    fn all_streams_of_the_table_write_into_it_and_no_topic_does_twice() {
        let (streams, config) = (streams(), Config::default());
        let writers = Writers::of("post_engagement_events", &streams, &config).unwrap();
        assert_eq!(writers.names(), ["comments", "engagement", "likes"]);
        let text =
            include_str!("../../../../../config/streams.toml").replace("\"cdc.comments\"", "\"cdc.likes\"");
        let crowded = StreamSet::parse("streams.toml", &text).unwrap();
        let failure = Writers::of("post_engagement_events", &crowded, &config).err().unwrap();
        assert!(failure.message.contains("`comments` and `likes`"), "{failure}");
    }
}
