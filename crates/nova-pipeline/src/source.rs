//! Where messages come from: one topic, read by one member of a consumer group.
//!
//! Invariant: a source never moves a committed offset by itself, and it never starts to read an assigned
//! partition before the pipeline has said from where ([`Source::start`]). Handing a partition back
//! ([`Source::release`]) is the pipeline's act too, after it has drained: assignment is a conversation, not a
//! callback.

use std::future::Future;

use crate::{PipelineError, Ranges};

/// One message, borrowed from the source's buffer.
pub trait SourceMessage: Send {
    /// Its partition.
    fn partition(&self) -> i32;
    /// Its offset in the partition.
    fn offset(&self) -> i64;
    /// The key's bytes.
    fn key(&self) -> Option<&[u8]>;
    /// The value's bytes; `None` is a tombstone.
    fn value(&self) -> Option<&[u8]>;
    /// When it was appended or created, in milliseconds since 1970, where the broker says so.
    fn timestamp_ms(&self) -> Option<i64>;
    /// The value of its first header of that name; `None` where there is none, or it has no value.
    fn header(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    /// Its headers, copied.
    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)>;
}

/// What a source has to say next.
#[derive(Debug)]
pub enum SourceEvent<M> {
    /// A message.
    Message(M),
    /// The partition has been read to its end for now.
    EndOfPartition(i32),
    /// The group gives these partitions to this member: answer with [`Source::start`].
    Assigned(Vec<i32>),
    /// The group wants these partitions back: drain, commit, then [`Source::release`].
    Revoked(Vec<i32>),
    /// These partitions already belong to somebody else: nothing may be committed for them any more.
    /// Answer with [`Source::release`].
    Lost(Vec<i32>),
}

/// A committed position of the group in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The partition.
    pub partition: i32,
    /// The next offset to read; `None` when the group never committed here.
    pub offset: Option<i64>,
    /// What was stored beside the offset; empty when nothing was.
    pub metadata: String,
}

/// The offsets that a partition still holds: `low..high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The partition.
    pub partition: i32,
    /// The oldest offset still there.
    pub low: i64,
    /// The offset that the next message will get (last stable offset for readers of committed data).
    pub high: i64,
}

/// An offset to commit: the next one to read, with metadata beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// Stored beside the offset, below 4,096 bytes (`offset.metadata.max.bytes` of the broker).
    pub metadata: String,
}

/// Where to begin to read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartAt {
    /// The partition.
    pub partition: i32,
    /// The first offset to read.
    pub offset: i64,
}

/// A topic, read as a member of a consumer group.
pub trait Source: Send + Sync + 'static {
    /// The borrowed form of a message.
    type Message<'a>: SourceMessage
    where
        Self: 'a;

    /// The topic's name.
    fn topic(&self) -> &str;

    /// Waits for what comes next. Cancel-safe: a dropped call loses nothing.
    fn next(&self) -> impl Future<Output = Result<SourceEvent<Self::Message<'_>>, PipelineError>> + Send;

    /// What [`Source::next`] would answer at once, one after the other. The end: nothing, or what only `next` can find out.
    fn ready(&self) -> impl Iterator<Item = Result<SourceEvent<Self::Message<'_>>, PipelineError>>;

    /// The group's committed positions in *every* partition of the topic, owned or not.
    fn committed(&self) -> impl Future<Output = Result<Vec<Committed>, PipelineError>> + Send;

    /// What each of these partitions still holds.
    fn watermarks(
        &self,
        partitions: &[i32],
    ) -> impl Future<Output = Result<Vec<Watermarks>, PipelineError>> + Send;

    /// Accepts an assignment: reading begins at these positions.
    fn start(&self, positions: &[StartAt]) -> impl Future<Output = Result<(), PipelineError>> + Send;

    /// Hands partitions back after [`SourceEvent::Revoked`] or [`SourceEvent::Lost`].
    fn release(&self, partitions: &[i32]) -> impl Future<Output = Result<(), PipelineError>> + Send;

    /// Stops delivery of messages from all assigned partitions; membership and events go on.
    fn pause(&self) -> Result<(), PipelineError>;

    /// Takes delivery up again after [`Source::pause`].
    fn resume(&self) -> Result<(), PipelineError>;

    /// Commits offsets and metadata in one request; returns when the group coordinator has them.
    fn commit(&self, commits: &[OffsetCommit]) -> impl Future<Output = Result<(), PipelineError>> + Send;

    /// Reads ranges of the topic once more, whoever owns their partitions, and hands each message to `visit`, in order
    /// within a partition. Nothing of it touches the group or the positions of [`Source::next`].
    ///
    /// # Errors
    /// What `visit` answers, and messages that the topic no longer holds.
    fn reread(
        &self,
        ranges: &Ranges,
        visit: &mut (dyn FnMut(&dyn SourceMessage) -> Result<(), PipelineError> + Send),
    ) -> impl Future<Output = Result<(), PipelineError>> + Send;

    /// Leaves the group in order; the membership ends at the latest when the source is dropped after it.
    fn close(&self) -> impl Future<Output = Result<(), PipelineError>> + Send;
}
