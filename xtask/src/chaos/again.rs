//! Everything a second time: all groups are set back to the beginning of their topics, one worker reads them to their
//! ends, and the event tables hold the same rows as before.
//!
//! Invariant: nothing else touches the tables meanwhile, so every difference is the second reading's.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::checks::Check;
use super::drain::{committed, within};
use super::evidence::{Evidence, event_rows};
use super::fleet::{ended, streams};
use super::site::Site;
use crate::traffic::Table;

const READ_WITHIN: Duration = Duration::from_secs(90);
/// Above `pipeline.shutdown_deadline`, 25 s.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

/// Reads everything again and compares.
///
/// # Errors
/// When a server cannot be asked, or the offsets cannot be set.
pub(super) async fn check(site: &Site, evidence: &Evidence) -> Result<Check> {
    let installation = &site.installation;
    for table in Table::ALL {
        installation
            .nova(&["offsets", "set", "--stream", table.stream(), "--to", "earliest", "--execute"])
            .await?;
    }
    ensure!(!committed(site, &evidence.messages).await?, "the offsets were set, and have not moved");
    let (begun, mut findings) = (Instant::now(), Vec::new());
    let worker = installation.spawn_worker("again", &streams())?;
    if !within(READ_WITHIN, async || committed(site, &evidence.messages).await).await {
        findings.push(format!("not read to the end within {} s", READ_WITHIN.as_secs()));
    }
    let took = begun.elapsed();
    worker.process.kill(Signal::SIGTERM)?;
    if !ended(&worker.process, STOPPED_WITHIN).await {
        worker.process.kill(Signal::SIGKILL)?;
        findings.push(format!("the worker still runs {} s after SIGTERM", STOPPED_WITHIN.as_secs()));
    }
    let after = event_rows(&*site.clickhouse.read().await).await?;
    for table in Table::ALL {
        let (before, after) = (evidence.rows_of(table), after.get(&table).map_or(&[][..], Vec::as_slice));
        let (missing, added) = (lacking(after, before), lacking(before, after));
        findings.extend(missing.map(|row| format!("{}: gone: {row:?}", table.name())));
        findings.extend(added.map(|row| format!("{}: added: {row:?}", table.name())));
    }
    let messages = evidence.messages.changes.len() + evidence.messages.poison.len();
    let figures = format!("{messages} messages in {:.1} s", took.as_secs_f64());
    Ok(Check::new("a second reading changes nothing", figures, &findings))
}

/// What of `wanted` is not in `there`, counted; both are in order.
fn lacking<'a, T: Ord>(there: &'a [T], wanted: &'a [T]) -> impl Iterator<Item = &'a T> {
    let mut there = there.iter().peekable();
    wanted.iter().filter(move |row| {
        while there.next_if(|found| *found < *row).is_some() {}
        there.next_if(|found| *found == *row).is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::lacking;

    #[test]
    fn rows_are_compared_with_their_numbers() {
        let all = |there: &[i32], wanted: &[i32]| lacking(there, wanted).copied().collect::<Vec<_>>();
        assert_eq!(all(&[1, 2, 2, 4], &[1, 2, 4]), [] as [i32; 0]);
        assert_eq!(all(&[1, 2, 4], &[1, 2, 2, 3, 4, 4]), [2, 3, 4]);
        assert_eq!(all(&[], &[7]), [7]);
    }
}
