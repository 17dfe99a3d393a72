//! All that one look can tell of a group in its topic: where it stands, since when messages wait, who its members are.
//!
//! Invariant: asking changes nothing, and takes one client however many partitions there are.

use std::collections::BTreeMap;

use nova_pipeline::PipelineError;

use crate::lag::{self, observe_with};
use crate::offsets::{Position, first_message_config, first_times, members_of, positions_of};
use crate::options::KafkaConnection;

/// A group in its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStanding {
    /// By partition, ascending.
    pub positions: Vec<Position>,
    /// The time of the oldest message that the group has not read, in milliseconds since 1970, by partition; none where all
    /// is read, whatever transaction markers are left.
    pub unread_since_ms: BTreeMap<i32, i64>,
    /// As [`members`](crate::members) says; `None` where the broker does not tell.
    pub members: Option<Vec<String>>,
}

/// Where `group` stands in `topic`.
///
/// # Errors
/// `Misconfigured` for a missing topic, `AccessDenied`, `Unavailable`.
pub async fn group_standing(
    connection: &KafkaConnection,
    group: &str,
    topic: &str,
) -> Result<GroupStanding, PipelineError> {
    let (group, of) = (group.to_owned(), topic.to_owned());
    observe_with(first_message_config(connection, &group)?, topic.to_owned(), move |consumer| {
        let (lag, committed) = lag::standing(consumer, group.clone(), of.clone())?;
        let unread_since_ms = first_times(consumer, &of, &lag.unread())?;
        Ok(GroupStanding {
            positions: positions_of(lag, &committed),
            unread_since_ms,
            members: members_of(consumer, &group).ok(),
        })
    })
    .await
}
