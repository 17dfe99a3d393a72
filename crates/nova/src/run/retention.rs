//! A warning before retention deletes what a stream has not read.
//!
//! Invariant: one log line for each time that a stream comes nearer, however often it is looked at; the gauge follows
//! every look.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use nova_kafka::{GroupLag, PartitionLag, names};
use tracing::{error, warn};

/// How near a stream is to the loss of unread messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    #[default]
    Far,
    Near,
    Lost,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    last: Nearness,
    told: Nearness,
}

/// What was seen and told of each stream.
#[derive(Debug, Default)]
pub struct RetentionWatch(Mutex<BTreeMap<String, Seen>>);

impl RetentionWatch {
    /// Sets the gauge of the stream, and warns when it has come nearer.
    pub fn look(&self, stream: &str, lag: &GroupLag) {
        let Some(worst) = lag.nearest_expiry() else { return };
        metrics::gauge!(names::RETENTION_USED, "stream" => stream.to_owned()).set(worst.retention_used());
        let PartitionLag { partition, committed, low, high } = *worst;
        let (group, topic, committed) = (&lag.group, &lag.topic, committed.unwrap_or(low));
        match self.news(stream, nearness(worst)) {
            None | Some(Nearness::Far) => {}
            Some(Nearness::Near) => warn!(
                stream,
                "group `{group}` is at {topic}[{partition}]@{committed}, and retention has deleted up to {low} of {high}: \
                 {} more, and unread messages are lost; speed the stream up, or raise the topic's retention.ms \
                 (`nova offsets show --stream {stream}`)",
                committed - low
            ),
            Some(Nearness::Lost) => error!(
                stream,
                "group `{group}` is at {topic}[{partition}]@{committed}, and retention has deleted up to {low}: {} messages \
                 expired unread; `nova offsets show --stream {stream}` names the command that goes on",
                worst.expired()
            ),
        }
    }

    /// Sets the gauge of the time that is left, of the stream's worst partition.
    pub fn publish_left(stream: &str, left_ms: i64) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let seconds = left_ms.max(0) as f64 / 1000.0;
        metrics::gauge!(names::RETENTION_LEFT, "stream" => stream.to_owned()).set(seconds);
    }

    /// What is to be told: nearer than what was told before, at two looks in a row. In a partition whose messages have
    /// all expired, one that has just arrived is in the oldest fifth until it is read.
    fn news(&self, stream: &str, now: Nearness) -> Option<Nearness> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(stream.to_owned()).or_default();
        let lasting = now.min(seen.last);
        // Two looks from afar end what was told; one does not, so a stream that hovers is told of once.
        if now.max(seen.last) == Nearness::Far {
            seen.told = Nearness::Far;
        }
        seen.last = now;
        let nearer = lasting > seen.told;
        seen.told = seen.told.max(lasting);
        nearer.then_some(lasting)
    }
}

fn nearness(lag: &PartitionLag) -> Nearness {
    if lag.expired() > 0 {
        Nearness::Lost
    } else if lag.near_expiry() {
        Nearness::Near
    } else {
        Nearness::Far
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_fifth_is_near_and_only_where_messages_are_deleted() {
        let of = |committed, low, high| nearness(&PartitionLag { partition: 0, committed, low, high });
        assert_eq!(of(Some(70), 50, 150), Nearness::Far);
        assert_eq!(of(Some(69), 50, 150), Nearness::Near);
        assert_eq!(of(Some(49), 50, 150), Nearness::Lost);
        assert_eq!(of(Some(0), 0, 100), Nearness::Far, "nothing is deleted yet");
        assert_eq!(of(Some(50), 50, 50), Nearness::Far, "all is read");
        assert_eq!(of(None, 50, 150), Nearness::Far, "it has not begun");
    }

    #[test]
    fn each_crossing_is_told_once_and_a_single_look_is_none() {
        use Nearness::{Far, Lost, Near};
        let watch = RetentionWatch::default();
        let told: Vec<_> = [Near, Far, Near, Near, Near, Lost, Lost, Lost, Far, Far, Near, Near]
            .map(|now| watch.news("likes", now))
            .to_vec();
        let expected =
            [None, None, None, Some(Near), None, None, Some(Lost), None, None, None, None, Some(Near)];
        assert_eq!(told, expected);
        assert_eq!(watch.news("posts", Near), None, "each stream for itself");
    }
}
