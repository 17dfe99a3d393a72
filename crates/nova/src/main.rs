//! `nova`: the one binary of Nova CDC. Parses the command line, loads the configuration, dispatches.
#![expect(unreachable_pub, reason = "a binary has no public interface; pub means: for its other modules")]

// First: its macros are those of all modules below.
#[macro_use]
mod out;

mod actor;
mod admin;
mod audit;
mod backfill;
mod bar;
mod cli;
mod completions;
mod config;
mod connector;
#[cfg(test)]
mod deploy_tests;
mod dlq;
#[cfg(test)]
mod docs_tests;
mod doctor;
mod exit;
mod facts;
mod job;
mod lag;
mod login;
mod man;
mod migrate;
mod offsets;
mod outbox;
mod reconcile;
mod repair;
mod replay;
mod run;
mod schema;
mod settings;
mod slot;
mod status;
mod table;
mod telemetry;
mod watch;
mod words;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure, Outcome};

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(dispatch(&cli));
            // A question to a server that is away can outlast everybody who wanted to know.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::new(Exit::Failure, format!("cannot start the runtime: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { exit, message, cure }) => {
            eprintln!("nova: {message}");
            if !cure.is_empty() {
                eprintln!("      {cure}");
            }
            exit.into()
        }
    }
}

async fn dispatch(cli: &Cli) -> Outcome {
    match &cli.command {
        Command::Config(command) => return settings::run(command, &cli.global),
        Command::Schema(command) => return schema::run(command),
        Command::Completions(args) => return completions::run(args),
        Command::Man(args) => return man::run(args),
        _ => {}
    }
    let (loaded, streams) = settings::load(&cli.global)?;
    let config = loaded.config;
    let exporting = telemetry::init(&config)?;
    let outcome = match &cli.command {
        Command::Run(args) => run::run(args, &config, &streams).await,
        Command::Migrate(args) => migrate::run(args, &config).await,
        Command::Config(_) | Command::Schema(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
        Command::Connector(command) => connector::run(command, &config, &streams).await,
        Command::Doctor(args) => doctor::run(args, &config, &streams).await,
        Command::Status(args) => status::run(args, &config, &streams).await,
        Command::Lag(args) => lag::run(args, &config, &streams).await,
        Command::Backfill(args) => backfill::run(args, &config, &streams).await,
        Command::Audit(args) => audit::run(args, &config, &streams).await,
        Command::Dlq(command) => dlq::run(command, &config, &streams).await,
        Command::Repair(command) => repair::run(command, &config, &streams).await,
        Command::Replay(command) => replay::run(command, &config, &streams).await,
        Command::Reconcile(args) => reconcile::run(args, &config, &streams).await,
        Command::Outbox(command) => outbox::run(command, &config, &streams).await,
        Command::Offsets(command) => offsets::run(command, &config, &streams).await,
    };
    exporting.finish();
    outcome
}
