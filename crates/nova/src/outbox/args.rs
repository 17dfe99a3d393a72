//! The command line of `nova outbox`.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::Output;

/// `nova outbox`.
#[derive(Debug, Subcommand)]
pub enum OutboxCommand {
    /// Make the partitions of the coming days, and drop those of old days once the replication slot has passed them;
    /// without --execute, only say what would be done. Meant to run daily.
    #[command(
        visible_alias = "prune",
        after_help = "Example:\n  nova outbox maintain\n  nova outbox maintain --keep 3days --ahead 7days --execute"
    )]
    Maintain(OutboxMaintainArgs),
}

/// `nova outbox maintain`.
#[derive(Debug, Args)]
pub struct OutboxMaintainArgs {
    /// How long a day stays after its end (UTC, by PostgreSQL's clock). Nothing can be written into an older one.
    #[arg(long, value_name = "TIME", default_value = "3days", value_parser = humantime_serde::re::humantime::parse_duration)]
    pub keep: Duration,
    /// How far ahead days are made.
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = humantime_serde::re::humantime::parse_duration)]
    pub ahead: Duration,
    /// How long to wait for the slot to pass what was written until now.
    #[arg(long, value_name = "TIME", default_value = "1min", value_parser = humantime_serde::re::humantime::parse_duration)]
    pub wait: Duration,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}
