//! The command line of `nova offsets`.

use clap::{Args, Subcommand};

use super::Target;
use crate::cli::Output;

/// `nova offsets`.
#[derive(Debug, Subcommand)]
pub enum OffsetsCommand {
    /// Show offsets, lag, and how near unread messages are to their expiry. Exit code 3: something needs a decision.
    #[command(after_help = "Example:\n  nova offsets show\n  nova offsets show --stream likes -o json")]
    Show(OffsetsShowArgs),
    /// Set a stream's offsets while nobody reads it; without --execute, only show what would change.
    ///
    /// Nothing that is in the table already is written again: after this, the worker asks the table first.
    #[command(after_help = "Examples:\n  \
        nova offsets set --stream likes --to earliest\n  \
        nova offsets set --stream likes --partition 3 --to earliest --execute\n  \
        nova offsets set --stream likes --to 2026-01-31T06:00:00Z --execute\n  \
        nova offsets set --stream likes --to latest --allow-skip --execute")]
    Set(OffsetsSetArgs),
}

/// `nova offsets show`.
#[derive(Debug, Args)]
pub struct OffsetsShowArgs {
    /// This stream alone; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub stream: Vec<String>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `nova offsets set`.
#[derive(Debug, Args)]
pub struct OffsetsSetArgs {
    /// The stream.
    #[arg(long, value_name = "NAME")]
    pub stream: String,
    /// Where to go on: `earliest`, `latest`, a time (RFC 3339), an offset (with one --partition), or `committed`: where
    /// the group stands, and the earliest where that is not there.
    #[arg(long, value_name = "WHERE")]
    pub to: Target,
    /// This partition alone; can be repeated.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Vec<i32>,
    /// Leave out messages that the topic still holds and the group has not read.
    #[arg(long)]
    pub allow_skip: bool,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
}
