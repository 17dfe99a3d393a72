//! The command line. `--help` of each command ends with an example that can be copied.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// PostgreSQL changes as event streams in ClickHouse: exactly what was committed, and provably so.
#[derive(Debug, Parser)]
#[command(name = "nova", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// Settings of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  nova config check
  nova migrate && nova connector apply && nova doctor
  nova run cdc --from-beginning

Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 differences found, 4 partial, 5 unavailable, 130 interrupted.";

/// Settings of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration file; `nova.toml` is read when it is there and none is named.
    #[arg(long, global = true, env = "NOVA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File of stream declarations; overrides `streams` of the configuration.
    #[arg(long, global = true, value_name = "FILE")]
    pub streams: Option<PathBuf>,
    /// Overrides one setting, for example `--set kafka.brokers=localhost:9092`; can be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run streams until told to stop.
    #[command(after_help = "Example:\n  nova run cdc\n  nova run --stream likes --stream follows")]
    Run(RunArgs),
    /// Bring ClickHouse's tables, views and dictionaries to this version.
    #[command(after_help = "Example:\n  nova migrate --dry-run")]
    Migrate(MigrateArgs),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The Debezium connector in Kafka Connect.
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Check every server and setting that Nova depends on: one line each, with the cure.
    #[command(after_help = "Example:\n  nova doctor\n  nova doctor -o json")]
    Doctor(DoctorArgs),
}

/// `nova run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The worker whose streams to run, as declared (`worker = "cdc"`).
    #[arg(required_unless_present = "stream", conflicts_with = "stream")]
    pub worker: Option<String>,
    /// Run this stream alone; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub stream: Vec<String>,
    /// Let a consumer group that has never committed begin with the oldest message its topic holds.
    #[arg(long)]
    pub from_beginning: bool,
}

/// `nova migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Show what would be applied, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `nova config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read configuration and streams, and say whether they are right; opens no connection.
    #[command(after_help = "Example:\n  nova config check --config /etc/nova/nova.toml")]
    Check,
    /// Print every setting with its origin; secrets are hidden.
    #[command(after_help = "Example:\n  nova config show --set kafka.brokers=kafka:9092")]
    Show,
}

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
}

/// `nova doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}
