//! `nova outbox maintain`: coming days of the outbox are made, old ones are dropped once they were read.
//!
//! Invariants: without `--execute` nothing changes; a day is dropped only after the slot's reader has confirmed
//! everything that was ever written into it ([`prune`] says why); each step can be done twice, so a run that was cut
//! off is finished by another.

mod args;
mod days;
mod prune;
mod report;
mod slot;

use nova_streams::{Format, Stream, StreamSet};
use sqlx::PgConnection;

use crate::cli::Output;
use crate::config::Config;
use crate::doctor::postgres_options;
use crate::exit::{Exit, Failure, Outcome};
use crate::login::log_in_by;
use crate::slot::Slot;
pub use args::OutboxCommand;
use args::OutboxMaintainArgs;
pub use days::missing as missing_days;
use days::{Day, Days};
use report::Report;

/// SQLSTATE of a lock that did not come within `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Runs `nova outbox`.
pub async fn run(command: &OutboxCommand, config: &Config, streams: &StreamSet) -> Outcome {
    let OutboxCommand::Maintain(args) = command;
    maintain(args, config, streams).await
}

async fn maintain(args: &OutboxMaintainArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let table = outbox(streams)?;
    let mut connection = connect(config).await?;
    alone(&mut connection).await?;
    let missing = days::missing(&mut connection, table, args.ahead).await?;
    let days = Days::of(&mut connection, table, args.keep).await?;
    let slot = Slot::look(&mut connection, &config.connect.slot).await?;
    let mut report = Report::new(table, missing, &days, slot.as_ref());
    if !args.execute {
        show(args.output, &report);
        return Ok(());
    }
    days::make(&mut connection, args.ahead).await?;
    report.made();
    // Applications need the coming days whatever becomes of the old ones.
    let pruned = prune::run(&mut connection, &days, args.wait, &config.connect.slot, &mut report).await;
    show(args.output, &report);
    pruned
}

fn show(output: Output, report: &Report) {
    match output {
        Output::Table => print!("{}", report.table()),
        Output::Json => println!("{}", report.json()),
    }
}

/// The outbox that the streams read.
fn outbox(streams: &StreamSet) -> Result<&str, Failure> {
    let of_events = |stream: &&Stream| stream.format == Format::Envelope;
    let stream = streams.iter().find(of_events).ok_or_else(|| {
        Failure::new(Exit::Usage, "no stream reads an outbox")
            .with_cure("Declare one with `format = \"envelope\"` (docs/streams.md).")
    })?;
    Ok(&stream.source)
}

async fn connect(config: &Config) -> Result<PgConnection, Failure> {
    let postgres = &config.postgres;
    let options = postgres_options(postgres, &postgres.owner, &postgres.owner_password)
        .options([("timezone", "UTC"), ("lock_timeout", "10s")]);
    let login = log_in_by(&options, "postgres").await;
    login.map_err(|failure| failure.ends(postgres, &postgres.owner))
}

/// Two runs side by side would detach the same days. The lock of a run that has just ended, or was killed, is given back
/// when PostgreSQL has noticed; so this waits for it as long as for any lock.
async fn alone(connection: &mut PgConnection) -> Outcome {
    let lock = "SELECT pg_advisory_lock(hashtext('nova outbox maintain'))";
    let Err(error) = sqlx::query(lock).execute(connection).await else { return Ok(()) };
    if sqlstate(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) {
        return Err(Failure::new(Exit::Failure, "another `nova outbox maintain` is at work")
            .with_cure("Wait for it to end."));
    }
    Err(refused(&error))
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// What PostgreSQL refused, with the cure for the usual reasons
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn refused(error: &sqlx::Error) -> Failure {
    let cure = match sqlstate(error).as_deref() {
        Some("42501") => "Set postgres.owner to the role that owns the outbox.",
        Some("42P01" | "42883") => "Apply schemas/postgres/migrations.",
        Some(LOCK_NOT_AVAILABLE) => {
            "A long transaction holds the outbox (pg_stat_activity.xact_start); run this again when it has ended."
        }
        _ => "See PostgreSQL's log.",
    };
    Failure::new(Exit::Failure, format!("PostgreSQL: {error}")).with_cure(cure)
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        refused(&error)
    }
}
