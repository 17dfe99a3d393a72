//! `nova doctor`: every server and setting that Nova depends on, one line each, with the cure.
//!
//! Invariant: doctor changes nothing, and a check that fails keeps no other check from running, unless it needs what
//! is missing; then it is shown as skipped.

mod check;
mod clickhouse;
mod connect;
mod kafka;
mod postgres;
mod report;

use nova_streams::StreamSet;

use crate::cli::{DoctorArgs, Output};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};

pub use check::{Check, Group, Level};
pub use postgres::{postgres_options, slot_checks, source_failures};

/// Runs `nova doctor`.
pub async fn run(args: &DoctorArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let (postgres, connect, kafka, clickhouse) = tokio::join!(
        postgres::checks(config, streams),
        connect::checks(config, streams),
        kafka::checks(config, streams),
        clickhouse::checks(config, streams)
    );
    let checks: Vec<Check> = [postgres, connect, kafka, clickhouse].into_iter().flatten().collect();
    match args.output {
        Output::Table => print!("{}", report::table(&checks)),
        Output::Json => println!("{}", report::json(&checks)),
    }
    outcome(&checks)
}

fn outcome(checks: &[Check]) -> Outcome {
    let failed = checks.iter().filter(|check| check.level == Level::Fail).count();
    if failed == 0 {
        return Ok(());
    }
    let exit = if checks.iter().any(|check| check.unreachable) { Exit::Unavailable } else { Exit::Failure };
    Err(Failure::new(exit, format!("{failed} of {} checks failed", checks.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_unreachable_from_wrong() {
        let group = Group("Kafka");
        let fine = group.warn("retention", "7 days", "raise it");
        assert!(outcome(std::slice::from_ref(&fine)).is_ok());
        let wrong = group.fail("topic", "missing", "make it");
        assert_eq!(outcome(&[fine, wrong.clone()]).unwrap_err().exit, Exit::Failure);
        let away = group.unreachable("reachable", "refused", "start it");
        assert_eq!(outcome(&[wrong, away]).unwrap_err().exit, Exit::Unavailable);
    }
}
