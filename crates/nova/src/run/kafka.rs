//! Where the groups stand in their topics, as metrics: in messages, in time, and against retention.
//!
//! Invariant: asking joins no group and moves no offset. What cannot be asked for want of a right (a topic's settings) is
//! left out of the metrics; what cannot be asked since the brokers are away is a failure, and readiness tells it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nova_kafka::{KafkaConnection, standing_since, topic_facts};
use nova_pipeline::PipelineError;

use super::retention::RetentionWatch;

/// A topic's settings hardly ever change.
const SETTINGS_LAST: Duration = Duration::from_secs(300);

/// A stream, its group and its topic.
pub struct Watched {
    /// The stream's name.
    pub stream: String,
    /// Its consumer group.
    pub group: String,
    /// The topic that it reads.
    pub topic: String,
}

/// Looks at all streams of this process.
pub struct KafkaWatch {
    connection: KafkaConnection,
    streams: Vec<Watched>,
    retention: RetentionWatch,
    settings: Mutex<BTreeMap<String, (Instant, Option<i64>)>>,
}

impl KafkaWatch {
    /// Over such connections.
    pub fn new(connection: KafkaConnection, streams: Vec<Watched>) -> Self {
        Self { connection, streams, retention: RetentionWatch::default(), settings: Mutex::default() }
    }

    /// Looks at each stream, publishes where it stands, and warns of what is about to expire.
    ///
    /// # Errors
    /// `Misconfigured` for a missing topic, `AccessDenied`, `Unavailable`.
    pub async fn look(&self) -> Result<(), PipelineError> {
        for Watched { stream, group, topic } in &self.streams {
            let (lag, since_ms) = standing_since(&self.connection, group, topic).await?;
            let now_ms = now_ms();
            lag.publish(&since_ms, now_ms);
            self.retention.look(stream, &lag);
            if let Some(kept_ms) = self.retention_ms(topic).await {
                let oldest_ms = since_ms.values().min().copied().unwrap_or(now_ms);
                RetentionWatch::publish_left(stream, kept_ms - (now_ms - oldest_ms));
            }
        }
        Ok(())
    }

    /// The topic's `retention.ms`; `None` where it keeps for ever, or does not tell.
    async fn retention_ms(&self, topic: &str) -> Option<i64> {
        let settings = || self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let known = settings().get(topic).filter(|(at, _)| at.elapsed() < SETTINGS_LAST).copied();
        if let Some((_, retention_ms)) = known {
            return retention_ms;
        }
        let facts = topic_facts(&self.connection, topic).await.ok();
        let retention_ms = facts.and_then(|facts| facts.retention_ms).filter(|kept_ms| *kept_ms >= 0);
        settings().insert(topic.to_owned(), (Instant::now(), retention_ms));
        retention_ms
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
