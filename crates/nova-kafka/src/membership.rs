//! The membership in a consumer group, as long as anybody holds it.
//!
//! Invariant: the farewell is said once nobody speaks to the group any more: by `close` in its turn, or by the last
//! holder, which may be a call that its caller has given up.

use std::ops::Deref;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, StreamConsumer};

use crate::context::{MemberContext, answer};
use crate::conversation::Question;
use crate::lag;

/// The consumer itself.
pub(crate) type Member = StreamConsumer<MemberContext>;

/// The consumer and its last words. Calls that were given up hold it too, so that none comes after them.
pub(crate) struct Membership {
    pub(crate) member: Member,
    pub(crate) topic: String,
}

impl Deref for Membership {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.member
    }
}

impl Membership {
    /// Answers what is open, and lets librdkafka have its own answers from now on.
    pub(crate) fn say_farewell(&self) {
        let question = self.context().conversation().close();
        let answered = match &question {
            None => return,
            Some(Question::Assigned(_)) => answer(&self.member, true, &TopicPartitionList::new()),
            Some(Question::Revoked(partitions) | Question::Lost(partitions)) => {
                answer(&self.member, false, &lag::list(&self.topic, partitions.iter().copied()))
            }
        };
        if let Err(error) = answered {
            tracing::warn!(%error, ?question, "librdkafka refused the last answer");
        }
    }
}

impl Drop for Membership {
    /// Nobody will answer the group any more; without this, the consumer would wait for an answer for ever.
    fn drop(&mut self) {
        self.say_farewell();
    }
}
