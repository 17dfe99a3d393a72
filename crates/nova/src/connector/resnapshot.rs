//! `nova connector resnapshot`: lets the connector forget where it was, so that it reads all captured tables again.
//!
//! The way back when WAL was thrown away before it was read. Invariants: without `--execute` nothing changes; a slot
//! is dropped only when its WAL is lost; each step can be done twice, so a run that was cut off is finished by another.

use super::args::ResnapshotArgs;
use super::rest::Connect;
use super::slot::{self, Wal};
use super::{status, wait};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};

/// Modes in which a connector without offsets reads the tables, and then goes on with the changes.
const READS_TABLES: [&str; 3] = ["initial", "always", "when_needed"];

/// Shows what would be done, or does it and waits until the connector runs.
pub(super) async fn run(args: &ResnapshotArgs, config: &Config) -> Outcome {
    let name = &config.connect.connector;
    check_mode(config)?;
    let connect = Connect::new(&config.connect.url)?;
    if connect.status(name).await?.is_none() {
        return Err(status::missing(name));
    }
    let wal = slot::wal(config).await.map_err(|error| {
        Failure::new(Exit::Unavailable, format!("slot {}: PostgreSQL: {error}", config.connect.slot))
            .with_cure("Correct [postgres] and connect.replication_user and _password.")
    })?;
    for line in plan(config, wal) {
        println!("{line}");
    }
    if !args.execute {
        println!("Nothing was done; add --execute to do it.");
        return Ok(());
    }
    connect.stop(name).await?;
    wait::until_stopped(&connect, config).await?;
    if wal == Wal::Lost && !slot::drop_idle(config).await {
        let slot = &config.connect.slot;
        return Err(Failure::new(
            Exit::Partial,
            format!("connector {name} is stopped; slot {slot} is still there"),
        )
        .with_cure(format!(
            "SELECT pg_drop_replication_slot('{slot}'), then `nova connector resnapshot --execute` again."
        )));
    }
    connect.delete_offsets(name).await?;
    connect.resume(name).await?;
    wait::until_running(&connect, config).await?;
    println!("connector {name}: running, and reading the tables again");
    Ok(())
}

fn check_mode(config: &Config) -> Outcome {
    match config.connect.extra.get("snapshot.mode") {
        Some(mode) if !READS_TABLES.contains(&mode.as_str()) => {
            let message = format!("connect.extra: with snapshot.mode = {mode} the tables would not be read");
            Err(Failure::new(Exit::Usage, message)
                .with_cure("Take it out, `nova connector apply`, and run this again."))
        }
        _ => Ok(()),
    }
}

fn plan(config: &Config, wal: Wal) -> Vec<String> {
    let (name, slot) = (&config.connect.connector, &config.connect.slot);
    let mut plan = vec![match wal {
        Wal::Absent => format!("slot {slot} is missing; the connector makes a new one"),
        Wal::Lost => format!("slot {slot} has lost WAL; it is dropped, and the connector makes a new one"),
        Wal::Kept => format!("slot {slot} is good and stays; changes it still holds may be left out"),
    }];
    plan.push(format!("connector {name} is stopped, its offsets are deleted, it is resumed"));
    plan.push(
        "Rows that Nova has already add nothing; rows changed in between are corrected by what the tables say."
            .to_owned(),
    );
    plan.push(
        "Rows deleted in between send no message: docs/runbooks/lost-slot.md says how to find them."
            .to_owned(),
    );
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_drops_only_a_slot_without_its_wal() {
        let config = Config::default();
        assert!(plan(&config, Wal::Lost).concat().contains("dropped"));
        assert!(!plan(&config, Wal::Kept).concat().contains("dropped"));
        assert!(!plan(&config, Wal::Absent).concat().contains("dropped"));
    }

    #[test]
    fn a_mode_that_reads_no_tables_is_refused() {
        let mut config = Config::default();
        assert!(check_mode(&config).is_ok());
        config.connect.extra.insert("snapshot.mode".to_owned(), "no_data".to_owned());
        assert!(check_mode(&config).unwrap_err().message.contains("no_data"));
    }
}
