//! Kafka for Nova: one topic read as a member of a consumer group, dead letters, lag and topic facts.
//!
//! Invariant: nothing here decides. A committed offset moves only when the pipeline says so, a partition is read
//! only from where the pipeline says, and it is handed back only when the pipeline has drained it.

mod admin;
mod commit;
mod context;
mod conversation;
mod dead_letters;
mod diagnosis;
mod errors;
mod lag;
mod letter;
mod letters;
mod membership;
mod message;
pub mod names;
mod offsets;
mod options;
mod reach;
mod reread;
mod security;
mod source;
mod standing;
mod stored_letter;
mod talk;
mod unread;

pub use admin::{Created, TopicFacts, TopicSpec, create_topics, topic_facts};
pub use dead_letters::KafkaDeadLetters;
pub use lag::{GroupLag, PartitionLag, describe, offsets_by_time};
pub use letters::{original, read_letters, read_recent_letters};
pub use message::KafkaMessage;
pub use offsets::{Position, members, message_times, positions, set_offsets, standing_since};
pub use options::{GroupProtocol, KafkaConnection, KafkaOptions};
pub use reach::reach;
pub use reread::RangeReader;
pub use security::{KafkaLogin, KafkaTls};
pub use source::KafkaSource;
pub use standing::{GroupStanding, group_standing};
pub use stored_letter::{Cut, ForeignMessage, StoredLetter};
pub use unread::unread;
