//! The command line of `nova connector`.

use clap::{Args, Subcommand};

/// `nova connector`.
#[derive(Debug, Subcommand)]
pub enum ConnectorCommand {
    /// Print the connector's configuration, passwords hidden.
    #[command(after_help = "Example:\n  nova connector render")]
    Render,
    /// Create the topics, register or update the connector, and wait until it runs.
    #[command(after_help = "Example:\n  nova connector apply")]
    Apply,
    /// Say how the connector and its tasks are.
    #[command(after_help = "Example:\n  nova connector status")]
    Status,
    /// Start once more what has failed of the connector, and wait until it runs; what runs is left alone.
    #[command(after_help = "Example:\n  nova connector status || nova connector restart")]
    Restart,
    /// Let the connector read all captured tables again, after WAL was lost; without --execute, only say what that means.
    #[command(after_help = "Example:\n  nova connector resnapshot\n  nova connector resnapshot --execute")]
    Resnapshot(ResnapshotArgs),
}

/// `nova connector resnapshot`.
#[derive(Debug, Args)]
pub struct ResnapshotArgs {
    /// Do it.
    #[arg(long)]
    pub execute: bool,
}
