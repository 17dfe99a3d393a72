//! How fast a stream reads and is written, from two looks.
//!
//! Invariant: no rate is told from looks that are too near to each other, or between which the offsets were set anew.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::standing::Standing;

/// Batches are committed about once in this time.
const SHORTEST: Duration = Duration::from_millis(900);

/// Offsets per second, transaction markers included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pace {
    /// How many the group passes.
    pub read_per_second: f64,
    /// How many are written.
    pub written_per_second: f64,
    /// When nothing is left unread, in seconds from now; `None` while as much is written as is read.
    pub caught_up_in_seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    read: i64,
    written: i64,
}

/// The look before, by stream.
#[derive(Debug, Default)]
pub struct Paces(BTreeMap<String, Look>);

impl Paces {
    /// What has changed since the look before.
    pub fn look(&mut self, stream: &str, standing: &Standing, at: Instant) -> Option<Pace> {
        let (read, written) = standing.passed();
        let now = Look { at, read, written };
        let before = self.0.get(stream).copied();
        if let Some(before) = before
            && at.duration_since(before.at) < SHORTEST
        {
            return None;
        }
        self.0.insert(stream.to_owned(), now);
        Pace::between(before?, now, standing.unread())
    }
}

impl Pace {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn between(before: Look, now: Look, unread: i64) -> Option<Self> {
        let (read, written) = (now.read - before.read, now.written - before.written);
        if read < 0 || written < 0 {
            return None;
        }
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        let gain = (read - written) as f64 / seconds;
        let caught_up = match unread {
            0 => Some(0.0),
            _ => (gain > 0.0).then(|| unread as f64 / gain),
        };
        Some(Self {
            read_per_second: read as f64 / seconds,
            written_per_second: written as f64 / seconds,
            caught_up_in_seconds: caught_up,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::standing::PartitionFacts;
    use super::super::state::position;
    use super::*;

    fn standing(committed: i64, high: i64) -> Standing {
        let at = position(0, Some(committed), 0..high, "");
        let since_ms = (committed < high).then_some(1);
        let partition = PartitionFacts::of(&at, true, since_ms, None, 5_000);
        Standing { retention_ms: None, members: None, partitions: vec![partition] }
    }

    #[test]
    fn what_is_gained_on_the_writers_decides_when_all_is_read() {
        let mut paces = Paces::default();
        let start = Instant::now();
        let mut look = |seconds, committed, high| {
            paces.look("likes", &standing(committed, high), start + Duration::from_secs_f64(seconds))
        };
        assert_eq!(look(0.0, 0, 1_000), None, "one look is no rate");
        let pace = |read_per_second, written_per_second, caught_up_in_seconds| {
            Some(Pace { read_per_second, written_per_second, caught_up_in_seconds })
        };
        assert_eq!(look(2.0, 300, 1_100), pace(150.0, 50.0, Some(8.0)));
        assert_eq!(look(2.5, 400, 1_100), None, "too near");
        assert_eq!(look(4.0, 400, 1_300), pace(50.0, 100.0, None));
        assert_eq!(look(6.0, 1_300, 1_300), pace(450.0, 0.0, Some(0.0)));
        assert_eq!(look(8.0, 100, 1_300), None, "set back by hand");
    }
}
