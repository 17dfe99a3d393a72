//! The arguments of `nova repair`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use nova_reconcile::DifferenceKind;

use crate::cli::Output;

/// `nova repair`.
#[derive(Debug, Subcommand)]
pub enum RepairCommand {
    /// Make a plan of a report: which rows would be written. Asks no server.
    #[command(after_help = "Example:\n  \
        nova reconcile --values -o json > report.json || nova repair plan --report report.json")]
    Plan(RepairPlanArgs),
    /// Write what a plan says, if the differences are still the same; without --execute, only say what would be written.
    ///
    /// Can be killed and given again: nothing is written twice. Exit code 3: the touched windows still differ.
    #[command(after_help = "Examples:\n  nova repair apply plan.json\n  \
        nova repair apply plan.json --execute --reason \"disk failure of 20 November\"")]
    Apply(RepairApplyArgs),
    /// Show who repaired what, and why.
    #[command(after_help = "Example:\n  nova repair list -o json")]
    List(RepairListArgs),
}

/// `nova repair plan`.
#[derive(Debug, Args)]
pub struct RepairPlanArgs {
    /// What `nova reconcile -o json` wrote.
    #[arg(long, value_name = "FILE")]
    pub report: PathBuf,
    /// Where the plan goes.
    #[arg(long, value_name = "FILE", default_value = "plan.json")]
    pub out: PathBuf,
    /// This stream alone; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub stream: Vec<String>,
    /// Differences of this kind alone; can be repeated.
    #[arg(long, value_enum)]
    pub kind: Vec<Kind>,
    /// Also differences that a dead letter explains. `nova dlq retry` is the better way: after both, rows are doubled.
    #[arg(long)]
    pub include_explained: bool,
    /// Also from a report that does not list all differences, or did not compare everything.
    #[arg(long)]
    pub partial: bool,
    /// Form of the output; the file is JSON in any case.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `nova repair apply`.
#[derive(Debug, Args)]
pub struct RepairApplyArgs {
    /// What `nova repair plan` wrote.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
    /// Why, for those who read the table `repairs` later; --execute needs it.
    #[arg(long, value_name = "SENTENCE")]
    pub reason: Option<String>,
    /// Who; otherwise the user and the host of this process.
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Form of the output; `json` lists all keys that are left out.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// `nova repair list`.
#[derive(Debug, Args)]
pub struct RepairListArgs {
    /// Entries to show, the newest first.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub limit: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// PostgreSQL has the key, ClickHouse lacks it.
    Missing,
    /// ClickHouse has the key, PostgreSQL lacks it.
    Extra,
    /// ClickHouse has the state more than once.
    Doubled,
    /// Both have the key, with other values.
    Different,
}

impl From<Kind> for DifferenceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Missing => Self::Missing,
            Kind::Extra => Self::Extra,
            Kind::Doubled => Self::Doubled,
            Kind::Different => Self::Different,
        }
    }
}
