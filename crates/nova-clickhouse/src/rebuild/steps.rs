//! The order of an exchange beside live writes: put together, remember, exchange, partition by partition; and heal.
//!
//! Rows that come between the last copy and the exchange go with the parts that are dropped. Which ones may be gone is known
//! beforehand: those at or behind the frontier of the copy. So the frontier is remembered, the partition exchanged, and what
//! stands behind the frontier is asked for and written again where it is missing ([`Live::heal`]).
//!
//! Invariant: nothing is exchanged before what heals it is remembered. Every step can be done again: whoever is killed
//! anywhere calls [`exchange_all`] once more with what it remembered, and partitions that are done already are left alone.

use std::future::Future;
use std::time::{Duration, Instant};

use nova_pipeline::{ErrorKind, PipelineError};
use serde::{Deserialize, Serialize};

use super::carry::{Assembled, Pass};
use super::{Frontier, Shadow};

/// How often a partition is put together anew because somebody else changed what was final, before he must stop.
const ATTEMPTS: usize = 3;
/// A pass that is as short as this leaves little for the last one.
const SHORT: Duration = Duration::from_secs(1);
/// How long rows that an exchange took may be missing while other partitions are exchanged.
const HEAL_WITHIN: Duration = Duration::from_secs(15);
/// Passes before the last one, where none is short.
const PASSES: usize = 8;

/// What goes on beside the exchange.
pub trait Live: Send + Sync {
    /// Up to where the rows are final now: the committed offsets of every group that writes into the table.
    fn frontier(&self) -> impl Future<Output = Result<Frontier, PipelineError>> + Send;

    /// Makes durable from where to heal, before an exchange; an empty frontier after it.
    fn remember(&self, heal: &Frontier) -> impl Future<Output = Result<(), PipelineError>> + Send;

    /// Waits until every batch that may have been inserted before now is committed, and writes again whatever is missing of
    /// the messages from `from` on.
    fn heal(&self, from: &Frontier) -> impl Future<Output = Result<(), PipelineError>> + Send;
}

/// What is about to be done, or was. An error of whoever is told ends the work there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What is missing since an exchange is written again.
    Heal,
    /// The partition is put together.
    Assemble(String),
    /// It is put together; from where to heal is remembered.
    Remember(String),
    /// What came meanwhile is copied.
    CopyRest(String),
    /// It is exchanged.
    Exchange(String),
    /// It was exchanged.
    Exchanged(Exchanged),
    /// All partitions are what they should be.
    Done,
}

/// A partition that was exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// Its id.
    pub partition: String,
    /// Rows of the scope that it had.
    pub before: u64,
    /// Rows of the scope that it has.
    pub after: u64,
}

/// Ends what a call before this one left: nothing of it happens to the table any more, and what it lost is healed.
/// `heal` is what was remembered.
///
/// # Errors
/// Those of [`Live`] and of ClickHouse, by kind. The call can be repeated.
pub async fn heal_first<L: Live>(
    shadow: &Shadow,
    live: &L,
    heal: &Frontier,
    tell: &mut (dyn FnMut(&Step) -> Result<(), PipelineError> + Send),
) -> Result<(), PipelineError> {
    shadow.drop_assembled().await?;
    if heal.is_empty() {
        return Ok(());
    }
    tell(&Step::Heal)?;
    live.heal(heal).await?;
    live.remember(&Frontier::default()).await
}

/// Exchanges every partition whose rows of the scope differ by these columns; [`heal_first`] first.
///
/// # Errors
/// Those of [`Live`] and of ClickHouse by kind; `Fenced` when somebody else keeps changing rows that are final. The call can be
/// repeated.
pub async fn exchange_all<L: Live>(
    shadow: &Shadow,
    columns: &[String],
    live: &L,
    heal: &Frontier,
    tell: &mut (dyn FnMut(&Step) -> Result<(), PipelineError> + Send),
) -> Result<(), PipelineError> {
    heal_first(shadow, live, heal, tell).await?;
    let mut since: Option<(Frontier, Instant)> = None;
    for difference in shadow.differing(columns).await? {
        let id = difference.partition;
        tell(&Step::Assemble(id.clone()))?;
        let (assembled, frontier) = assemble(shadow, &id, live).await?;
        tell(&Step::Remember(id.clone()))?;
        let (heal, begun) = match since.take() {
            Some((earlier, begun)) => (earlier.lowest(&frontier), begun),
            None => (frontier.clone(), Instant::now()),
        };
        live.remember(&heal).await?;
        tell(&Step::CopyRest(id.clone()))?;
        assembled.carry(Pass::Last(&frontier)).await?;
        tell(&Step::Exchange(id.clone()))?;
        assembled.exchange().await?;
        let (before, after) = (difference.table.rows, difference.filled.rows);
        tell(&Step::Exchanged(Exchanged { partition: id, before, after }))?;
        if begun.elapsed() < HEAL_WITHIN {
            since = Some((heal, begun));
        } else {
            heal_first(shadow, live, &heal, tell).await?;
        }
    }
    if let Some((heal, _)) = since {
        heal_first(shadow, live, &heal, tell).await?;
    }
    tell(&Step::Done)
}

/// Puts the partition together; what it has is the table's up to the frontier that is answered.
async fn assemble<'s, L: Live>(
    shadow: &'s Shadow,
    id: &str,
    live: &L,
) -> Result<(Assembled<'s>, Frontier), PipelineError> {
    for _ in 0..ATTEMPTS {
        let assembled = shadow.begin(id).await?;
        let mut frontier = live.frontier().await?;
        let mut begun = Instant::now();
        assembled.carry(Pass::First(&frontier)).await?;
        for _ in 0..PASSES {
            if begun.elapsed() < SHORT {
                break;
            }
            let next = live.frontier().await?;
            begun = Instant::now();
            assembled.carry(Pass::Next(&frontier, &next)).await?;
            frontier = next;
        }
        if assembled.is_carried(&frontier).await? {
            return Ok((assembled, frontier));
        }
    }
    let message = format!(
        "partition {id} of `{}`: rows that were final changed in each of {ATTEMPTS} attempts to copy them; end what else \
         writes into the table (`nova repair apply`, `nova dlq retry`, an INSERT or mutation by hand), and give the same \
         command again",
        shadow.table
    );
    Err(PipelineError::new(ErrorKind::Fenced, message))
}
