//! A member that kills itself at a durability boundary: the one fault that meets the moment itself.
//!
//! Invariant: a boundary counts as reached only when the process died by SIGKILL, which nobody else sent.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::faults::Draw;
use super::fleet::ended;
use super::harm::{DRAINED_WITHIN, KILLED_WITHIN};
use super::site::Site;

/// The boundaries, by the names that `nova_pipeline::fail_points` gives them.
const BOUNDARIES: [&str; 10] = [
    "before-letters",
    "amid-insert",
    "reformed",
    "after-intent",
    "before-commit",
    "amid-letters",
    "after-insert",
    "before-intent",
    "after-letters",
    "after-commit",
];
/// For a restart, the sessions of those who died before, and a piece of poison.
const REACHED_WITHIN: Duration = Duration::from_secs(15);
/// Under traffic a batch is committed by the intent of the next. What is committed alone is the last one of a drain.
const COMMITTED_ALONE_AFTER: Duration = Duration::from_secs(4);

/// Restarts a member so that it dies at the boundary whose turn it is, and starts it again without.
///
/// # Errors
/// When it cannot be started or killed.
pub(super) async fn die_at_one(site: &Site, draw: Draw) -> Result<String> {
    let at = usize::try_from(draw.turn)? % BOUNDARIES.len();
    let boundary = BOUNDARIES.get(at).copied().context("no such boundary")?;
    let (index, mut member) = site.fleet.member(draw.target).await?;
    // Only who dies without a word leaves a batch open; otherwise a drain is faster.
    let farewell = if boundary == "reformed" { Signal::SIGKILL } else { Signal::SIGTERM };
    member.process.kill(farewell)?;
    if !ended(&member.process, DRAINED_WITHIN).await {
        member.process.kill(Signal::SIGKILL)?;
        ensure!(ended(&member.process, KILLED_WITHIN).await, "member {index} cannot be killed");
    }
    let configured = configuration(boundary, draw.length);
    let envs = vec![("FAILPOINTS".to_owned(), configured.clone())];
    *member = site.fleet.spawn(&site.installation, index, envs)?;
    let begun = Instant::now();
    let alone = boundary.ends_with("commit");
    let by_itself = ended(&member.process, if alone { COMMITTED_ALONE_AFTER } else { REACHED_WITHIN }).await;
    if !by_itself {
        member.process.kill(Signal::SIGTERM)?;
        if !ended(&member.process, DRAINED_WITHIN).await {
            bail!(
                "member {index} still runs {} s after SIGTERM, with FAILPOINTS={configured}",
                DRAINED_WITHIN.as_secs()
            );
        }
    }
    let (status, took) = (member.process.exit_status(), begun.elapsed().as_secs_f64());
    *member = site.fleet.spawn(&site.installation, index, Vec::new())?;
    drop(member);
    let died = status.is_some_and(|status| status.signal() == Some(Signal::SIGKILL as i32));
    if died {
        return Ok(format!("member {index} died at {configured} after {took:.1} s"));
    }
    let status = status.map_or_else(|| "running".to_owned(), |status| status.to_string());
    if by_itself {
        site.timeline
            .remark("ended-by-itself", format!("member {index} on its way to {configured}: {status}"));
    }
    Ok(format!("member {index} did not reach {configured}: {status}"))
}

/// FAILPOINTS for a boundary: die there for the first time or after some passings.
fn configuration(boundary: &str, drawn: u32) -> String {
    // How many milliseconds an insert or a dead letter is on its way before the process dies: fewer than it takes.
    let argument = match boundary {
        "amid-insert" => format!("({})", 1 + drawn % 4),
        "amid-letters" => format!("({})", drawn % 2),
        _ => String::new(),
    };
    let passes = match boundary {
        // A restart forms few batches again, poison is rare, and a drain commits once.
        "reformed" | "before-commit" | "after-commit" => 0,
        "before-letters" | "amid-letters" | "after-letters" => drawn % 2,
        _ => drawn % 5,
    };
    if passes == 0 {
        format!("{boundary}=return{argument}")
    } else {
        format!("{boundary}={passes}*off->return{argument}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundaries_are_those_of_the_pipeline() {
        let source = include_str!("../../../crates/nova-pipeline/src/fail_points.rs");
        let named = source.matches("=> \"").count();
        assert_eq!(named, BOUNDARIES.len());
        for boundary in BOUNDARIES {
            assert!(source.contains(&format!("=> \"{boundary}\"")), "{boundary}");
        }
    }

    #[test]
    fn some_are_let_pass() {
        assert_eq!(configuration("after-intent", 0), "after-intent=return");
        assert_eq!(configuration("after-intent", 7), "after-intent=2*off->return");
        assert_eq!(configuration("amid-insert", 6), "amid-insert=1*off->return(3)");
        assert_eq!(configuration("reformed", 6), "reformed=return");
    }
}
