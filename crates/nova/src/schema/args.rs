//! The command line of `nova schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Output;

/// `nova schema`.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Compare the versions of each schema, and hold examples against them. Exit code 3: a version breaks readers and
    /// does not say so, or the folder has another mistake.
    #[command(after_help = "Example:\n  nova schema check\n  nova schema check --dir schemas/events -o json")]
    Check(SchemaCheckArgs),
}

/// `nova schema check`.
#[derive(Debug, Args)]
pub struct SchemaCheckArgs {
    /// Folder of `<type>/v<N>.json` and `<type>/examples/v<N>/{valid,invalid}/*.json`.
    #[arg(long, value_name = "FOLDER", default_value = "schemas/events")]
    pub dir: PathBuf,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}
