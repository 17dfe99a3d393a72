//! Says exactly what is wrong when librdkafka only says that something is.
//!
//! Invariant: an offset that the topic does not hold is never passed over; it is named, with what the topic holds.

use nova_pipeline::{ErrorKind, PipelineError};
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::Offset;

use crate::errors::failed;
use crate::lag;
use crate::membership::Member;

/// What librdkafka's error may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// A partition refused the offset to read; it is read no further.
    OffsetGap,
    /// The topic is not in the metadata, perhaps only for the moment of a broker's restart.
    TopicMissing,
}

/// `Ok` when the suspicion was wrong.
pub(crate) fn examine(member: &Member, topic: &str, suspicion: Suspicion) -> Result<(), PipelineError> {
    match suspicion {
        Suspicion::TopicMissing => lag::partitions(member, topic).map(drop),
        Suspicion::OffsetGap => Err(gap(member, topic)?),
    }
}

fn gap(member: &Member, topic: &str) -> Result<PipelineError, PipelineError> {
    let doing = format!("looking for the offset that {topic} refused");
    let starts = member.context().conversation().starts();
    let positions = member.position().map_err(|error| failed(&doing, &error))?;
    for element in positions.elements_for_topic(topic) {
        let partition = element.partition();
        let wanted = match element.offset() {
            Offset::Offset(offset) => offset,
            // Nothing was delivered yet.
            _ => match starts.get(&partition) {
                Some(offset) => *offset,
                None => continue,
            },
        };
        let held = lag::watermarks(member, topic, partition)?;
        if let Some(what) = verdict(wanted, held.low, held.high) {
            let (low, high) = (held.low, held.high);
            let message =
                format!("{topic}[{partition}]@{wanted} is the next to read, {low}..{high} is there: {what}");
            return Ok(PipelineError::new(ErrorKind::OffsetGap, message));
        }
    }
    let message = format!(
        "{topic}: a partition refused the offset to read, and has moved since; start the worker again"
    );
    Ok(PipelineError::new(ErrorKind::OffsetGap, message))
}

fn verdict(wanted: i64, low: i64, high: i64) -> Option<String> {
    if wanted < low {
        Some(format!("{} offsets have expired unread", low - wanted))
    } else if wanted > high {
        Some("the topic was deleted and made again, or has lost its end".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn only_offsets_outside_of_what_is_held_are_a_gap() {
        assert_eq!(verdict(5, 5, 9), None);
        assert_eq!(verdict(9, 5, 9), None, "the end is where the next message will be");
        assert_eq!(verdict(2, 5, 9).unwrap(), "3 offsets have expired unread");
        assert!(verdict(10, 5, 9).unwrap().contains("made again"));
    }
}
