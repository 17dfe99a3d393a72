//! `cargo xtask`: parses the command line, runs the subcommand, turns its error into a message and an exit code.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, exit_code, run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::say(&format!("{error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}
