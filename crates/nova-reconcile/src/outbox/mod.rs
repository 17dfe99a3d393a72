//! Streams of events: the outbox's documents as typed columns, and which of ClickHouse's events it can still speak for.
//!
//! The outbox drops whole days that were read. So an event that ClickHouse has and the outbox lacks is a difference
//! only if its day is still there, and of the day ClickHouse knows nothing. Three facts take its place:
//!
//! 1. `seq` travels with the event. What lies outside of the ranges of numbers that the outbox's days have is no row of
//!    it: out of scope. No event of the outbox is.
//! 2. Inside of them may be events of days that are gone: `created_at` is when a transaction began, `seq` when the
//!    row was inserted, and transactions overlap. All rows of a transaction have one `created_at`, so they lie in one
//!    day, and come and go together. An event is out of scope if its transaction has no row left.
//! 3. The readers hold a lock on the outbox, so no day is dropped between two questions; and a day that was dropped
//!    after the snapshot and before the lock is not among the ranges.
//!
//! Invariant: an event that the outbox has is always compared; one that it lacks is told as extra only if another
//! row of its own transaction shows that the day is there.

mod retained;
mod table;

use nova_clickhouse::Client;
use nova_streams::Stream;

use crate::ReconcileError;
use crate::compare::{CompareOptions, pass};
use crate::report::StreamReport;
use crate::snapshot::Snapshot;

pub(crate) use retained::Retained;
pub(crate) use table::{check, events};

/// How often a comparison begins anew with what it has learned. Each takes up as many events as a run lists.
const PASSES: usize = 20;
/// So many keys are listed at least, so that few passes suffice.
const LISTED: usize = 10_000;

/// Compares a stream of events with its outbox.
///
/// # Errors
/// As [`crate::compare`].
pub(crate) async fn compare(
    client: &Client,
    snapshot: &mut Snapshot,
    stream: &Stream,
    options: &CompareOptions,
) -> Result<StreamReport, ReconcileError> {
    let refuse =
        |reason: &str| ReconcileError::Refused { stream: stream.name.clone(), reason: reason.to_owned() };
    let wide = CompareOptions { max_listed: options.max_listed.max(LISTED), ..options.clone() };
    let mut retained = Retained::read(&mut snapshot.readers, stream).await?;
    for _ in 0..PASSES {
        let mut report = pass(client, snapshot, stream, &wide, Some(&retained)).await?;
        let Some(leader) = snapshot.readers.first_mut() else {
            return Err(refuse("no connection reads the snapshot"));
        };
        if !retained.learn(client, leader, stream, &snapshot.taken, &report).await? {
            report.note = retained.note(client, stream, &snapshot.taken).await?;
            report.listed_all &= report.differences.len() <= options.max_listed;
            report.differences.truncate(options.max_listed);
            return Ok(report);
        }
    }
    Err(refuse(
        "too many of ClickHouse's events arrived without the header `seq`, or have no row of their transaction left in \
         an outbox that has others with such numbers; only whole days may be dropped (`nova outbox maintain`)",
    ))
}
