//! Source → decode → map → batch → sink → commit: the one way from a Kafka topic into a table.
//!
//! [`StreamWorker`] runs it for one stream. What it reads from, writes to and puts poison into are the traits
//! [`Source`], [`Sink`] and [`DeadLetters`]; what follows from a failure is [`ErrorKind::policy`].

mod ahead;
mod batch;
mod breaker;
mod copies;
mod dead_letter;
mod deliver;
mod error;
pub mod fail_points;
mod ledger;
pub mod metrics;
#[cfg(feature = "mutants")]
mod mutants;
mod once;
mod options;
mod position;
mod read;
mod reading;
mod redelivery;
mod replay;
mod run;
mod sink;
mod source;
mod stream_worker;
mod takeover;
pub mod trace;
mod transform;
pub mod without_ledger;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use breaker::PoisonLimits;
pub use dead_letter::{DeadLetter, DeadLetters};
pub use error::{ErrorKind, PipelineError, Policy};
pub use ledger::{
    Durable, Intended, Intent, IntentError, Ledger, NewGroup, Open, Planned, Ranges, Recovery, Span,
};
pub use once::Once;
pub use options::PipelineOptions;
pub use position::Position;
pub use reading::{Became, Reading};
pub use redelivery::{Formed, Lacking, Redelivery};
pub use replay::{Chunk, Replay, ReplayParts, Replayable, Replayed};
pub use sink::{
    BACKFILL_PARTITION, Block, MessageRows, REPAIR_PARTITION, Resolved, RowId, Seen, Sink, Standing,
};
pub use source::{Committed, OffsetCommit, Source, SourceEvent, SourceMessage, StartAt, Watermarks};
pub use stream_worker::{Connect, Connected, Endpoints, StreamWorker};
