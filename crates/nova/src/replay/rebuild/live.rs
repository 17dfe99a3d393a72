//! What goes on beside an exchange: where the streams of the table stand, and the healing of what it lost.
//!
//! Invariant: a message is replayed only after the group has committed it: nobody inserts it any more without asking.

use std::time::Duration;

use futures_util::future::try_join_all;
use nova_clickhouse::rebuild::{Frontier, Live};
use nova_pipeline::{ErrorKind, PipelineError, Ranges};
use nova_streams::Stream;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::writers::{Standing, Writers};

/// How often groups are asked while they have not passed the end of what is to be healed.
const EVERY: Duration = Duration::from_millis(200);
/// How long a batch that was announced may take to be committed. A worker that is alive takes a linger; one that waits for a
/// server shows itself by its own readiness.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to look for an open batch, to see by which mapping it is written.
const LOOK: Duration = Duration::from_secs(3);

/// Writes again what is missing of ranges of a stream, and puts on record from where to heal.
pub trait Hand: Send + Sync {
    /// Makes the checkpoint durable.
    fn remember(&self, heal: &Frontier) -> impl Future<Output = Result<(), PipelineError>> + Send;
    /// Replays the ranges of the stream into the table, in the mode "missing".
    fn replay(
        &self,
        stream: &Stream,
        ranges: &Ranges,
    ) -> impl Future<Output = Result<(), PipelineError>> + Send;
}

/// The streams of the table, and who heals.
pub struct Beside<'b, H> {
    /// All that write into the table.
    pub writers: &'b Writers<'b>,
    /// The stream that is rebuilt.
    pub stream: &'b Stream,
    /// By which mapping.
    pub mapping: u64,
    /// Who heals.
    pub hand: H,
}

/// By which mapping the live worker writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Ours.
    Same,
    /// Another one.
    Another,
    /// No batch was open.
    Nothing,
}

/// Looks for an open batch of the stream.
pub async fn look(writers: &Writers<'_>, stream: &Stream, mapping: u64) -> Result<Seen, PipelineError> {
    let deadline = Instant::now() + LOOK;
    loop {
        match seen(&writers.stand().await?, stream, mapping) {
            Seen::Nothing if Instant::now() < deadline => sleep(EVERY).await,
            found => return Ok(found),
        }
    }
}

fn seen(standings: &[Standing<'_>], stream: &Stream, mapping: u64) -> Seen {
    let of_stream = standings.iter().filter(|standing| standing.stream.name == stream.name);
    let mappings: Vec<u64> = of_stream.flat_map(Standing::mappings).collect();
    match mappings.iter().all(|other| *other == mapping) {
        _ if mappings.is_empty() => Seen::Nothing,
        true => Seen::Same,
        false => Seen::Another,
    }
}

/// What it means that a worker writes by another mapping.
pub fn deploy_first(stream: &Stream) -> PipelineError {
    let message = format!(
        "a worker of stream `{0}` writes by another mapping than the one declared here: what it writes behind the range would \
         not be as the rows that are made anew; deploy first: restart every `nova run` of `{0}` with this file of streams, and \
         give the command again",
        stream.name
    );
    PipelineError::new(ErrorKind::Misconfigured, message)
}

impl<H: Hand> Live for Beside<'_, H> {
    async fn frontier(&self) -> Result<Frontier, PipelineError> {
        let standings = self.writers.stand().await?;
        if seen(&standings, self.stream, self.mapping) == Seen::Another {
            return Err(deploy_first(self.stream));
        }
        let mut frontier = Frontier::default();
        standings.iter().for_each(|standing| standing.mark(&mut frontier));
        Ok(frontier)
    }

    async fn remember(&self, heal: &Frontier) -> Result<(), PipelineError> {
        self.hand.remember(heal).await
    }

    async fn heal(&self, from: &Frontier) -> Result<(), PipelineError> {
        let standings = self.writers.stand().await?;
        let due: Vec<(&Stream, Ranges)> =
            standings.iter().map(|standing| (standing.stream, standing.since(from))).collect();
        self.passed(&due).await?;
        let due = due.iter().filter(|(_, ranges)| !ranges.is_empty());
        try_join_all(due.map(|(stream, ranges)| self.hand.replay(stream, ranges))).await.map(drop)
    }
}

impl<H: Hand> Beside<'_, H> {
    /// Waits until the groups have committed all of it.
    async fn passed(&self, due: &[(&Stream, Ranges)]) -> Result<(), PipelineError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let standings = self.writers.stand().await?;
            let late = due.iter().find(|(stream, ranges)| {
                let standing = standings.iter().find(|standing| standing.stream.name == stream.name);
                !ranges.is_empty() && !standing.is_some_and(|standing| standing.has_passed(ranges))
            });
            let Some((stream, ranges)) = late else { return Ok(()) };
            if Instant::now() >= deadline {
                let message = format!(
                    "the exchange is healed when stream `{0}` has committed {1}, and it has not for {2} s; look at its \
                     `nova run` (start it, if there is none), then give the same command again: it heals and goes on",
                    stream.name,
                    ranges.places(&stream.topic),
                    PATIENCE.as_secs()
                );
                return Err(PipelineError::new(ErrorKind::Fenced, message));
            }
            sleep(EVERY).await;
        }
    }
}
