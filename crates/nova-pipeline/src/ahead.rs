//! Bursts of messages that other threads decode, map and encode, while the loop reads on.
//!
//! What a message becomes depends on nothing but the message; whether it is doubtful depends on all that came before it in
//! its partition. So the first is done ahead, side by side, and the second by the loop, when it takes the bursts into the batch.
//!
//! Invariant: bursts leave in the order in which they came, and at most [`AHEAD`] are under way.

use std::collections::VecDeque;
use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;

use nova_streams::{Mapping, SkipReason};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::batch::Room;
use crate::copies::Copies;
use crate::transform::{self, Told};
use crate::{Block, ErrorKind, PipelineError, Standing, trace};

/// Bursts under way at most. The loop needs a quarter of the time for a burst that a thread needs to form it.
const AHEAD: usize = 4;

/// Bytes of a burst after which no further message comes into it.
pub(crate) const BURST_BYTES: usize = 1 << 20;

/// Messages and what they became, their rows in a part of their own.
#[derive(Debug)]
pub(crate) struct Burst<B> {
    pub(crate) messages: Copies,
    pub(crate) part: B,
    pub(crate) outcomes: Vec<Outcome>,
    /// Memory for what is found out when the burst is taken into a batch.
    pub(crate) standings: Vec<Standing>,
}

/// What a message became.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What it tells, if it tells a change.
    pub(crate) told: Option<Told>,
    /// Its rows in the part.
    pub(crate) rows: usize,
    pub(crate) result: Result<Option<SkipReason>, PipelineError>,
}

impl<B: Block> Burst<B> {
    fn new(part: B) -> Self {
        Self { messages: Copies::default(), part, outcomes: Vec::new(), standings: Vec::new() }
    }

    fn form(&mut self, mapping: &Mapping, topic: &str) {
        let listening = trace::is_listened_to();
        for message in self.messages.iter() {
            let (before, mut told) = (self.part.rows(), None);
            let result = transform::rows_of(mapping, topic, &message, &mut self.part, |event| {
                told = Some(Told::by(mapping.format(), event, listening));
                Standing::New
            });
            self.outcomes.push(Outcome { told, rows: self.part.rows() - before, result });
        }
    }

    /// Makes it empty; its memory is for the next.
    fn clear(&mut self) {
        self.messages.clear(BURST_BYTES);
        self.outcomes.clear();
        self.standings.clear();
    }
}

/// The bursts of one stream.
#[derive(Debug)]
pub(crate) struct Ahead<B> {
    under_way: VecDeque<UnderWay<B>>,
    /// Done with.
    idle: Vec<Burst<B>>,
}

#[derive(Debug)]
struct UnderWay<B> {
    size: Room,
    burst: JoinHandle<Burst<B>>,
}

impl<B: Block> Ahead<B> {
    pub(crate) fn new() -> Self {
        Self { under_way: VecDeque::new(), idle: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether no further burst may come.
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() >= AHEAD
    }

    /// What may still come into the batch of the bursts under way.
    pub(crate) fn size(&self) -> Room {
        self.under_way.iter().fold(Room::default(), |sum, burst| Room {
            rows: sum.rows + burst.size.rows,
            bytes: sum.bytes + burst.size.bytes,
        })
    }

    /// An empty burst, whose rows will come into `block`.
    pub(crate) fn burst(&mut self, block: &B) -> Burst<B> {
        self.idle.pop().unwrap_or_else(|| Burst::new(block.part()))
    }

    /// Takes a burst back that has been dealt with.
    pub(crate) fn done_with(&mut self, mut burst: Burst<B>) {
        burst.clear();
        self.idle.push(burst);
    }

    /// Has the burst formed by another thread.
    pub(crate) fn form(&mut self, mut burst: Burst<B>, mapping: &Arc<Mapping>, topic: &Arc<str>) {
        let size = Room { rows: burst.messages.len(), bytes: burst.messages.bytes() };
        let (mapping, topic) = (Arc::clone(mapping), Arc::clone(topic));
        let burst = spawn_blocking(move || {
            burst.form(&mapping, &topic);
            burst
        });
        self.under_way.push_back(UnderWay { size, burst });
    }

    /// The next burst, when it is formed; never, while none is under way. Cancel-safe: a dropped call loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Burst<B>, PipelineError> {
        let Some(first) = self.under_way.front_mut() else { return pending().await };
        let formed = (&mut first.burst).await;
        self.under_way.pop_front();
        formed.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => PipelineError::new(ErrorKind::Unknown, format!("forming messages: {error}")),
        })
    }
}
