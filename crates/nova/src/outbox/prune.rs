//! Old days go when they were read, and not before.
//!
//! Why no event is lost: a day is closed first, which waits for every transaction that has written into it and lets
//! none follow. Whatever is in the day is then committed, and its commit record stands before the WAL position that is
//! read next (a transaction writes its commit record before it gives its locks back). The day is dropped only after the
//! slot's reader has confirmed that position, while it reads. Debezium confirms what Kafka has taken, so the events are
//! in Kafka.
//!
//! The position is one of this very run, for a slot may be a new one: it begins behind everything that was written
//! before, and says nothing about it. Its first reader takes a snapshot, and streams only when that is complete; so a
//! slot that is being streamed and confirms a position of now has the snapshot's events behind it.
//!
//! A run that is cut off leaves a day closed, half detached or detached, and the next one goes on from there.

use std::time::Duration;

use sqlx::PgConnection;

use super::days::{Day, Days, close, drop_day};
use super::report::Report;
use super::slot;
use crate::exit::{Exit, Failure, Outcome};

/// Closes the old days, waits for the slot, drops them.
pub(super) async fn run(
    connection: &mut PgConnection,
    Days { table, days }: &Days,
    wait: Duration,
    slot: &str,
    report: &mut Report,
) -> Outcome {
    let old: Vec<&Day> = days.iter().filter(|day| day.is_old).collect();
    if old.is_empty() {
        return Ok(());
    }
    slot::reading(connection, slot).await?;
    for day in old.iter().filter(|day| !day.is_closed) {
        close(connection, table, day).await?;
        report.closed(&day.name);
    }
    slot::passes(connection, slot, wait).await?;
    for (done, day) in old.iter().enumerate() {
        if let Err(error) = drop_day(connection, table, day).await {
            let failure = super::refused(&error);
            let exit = if done > 0 { Exit::Partial } else { Exit::Failure };
            let message =
                format!("{} stays, {done} of {} are dropped: {}", day.name, old.len(), failure.message);
            return Err(Failure { exit, message, cure: failure.cure });
        }
        report.dropped(&day.name);
    }
    Ok(())
}
