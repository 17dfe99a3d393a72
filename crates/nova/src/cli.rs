//! The command line. `--help` of each command ends with an example that can be copied.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::audit::AuditArgs;
use crate::backfill::BackfillArgs;
use crate::completions::CompletionsArgs;
use crate::connector::ConnectorCommand;
use crate::dlq::DlqCommand;
use crate::lag::LagArgs;
use crate::man::ManArgs;
use crate::offsets::OffsetsCommand;
use crate::outbox::OutboxCommand;
use crate::reconcile::ReconcileArgs;
use crate::repair::RepairCommand;
use crate::replay::ReplayCommand;
use crate::schema::SchemaCommand;
use crate::status::StatusArgs;

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

impl Cli {
    /// Reads this process's command line; a wrong one ends the process with a message.
    pub fn of_process() -> Self {
        Self::parse_from(settings_last(std::env::args_os()))
    }
}

/// Moves every `--set` behind the command. clap takes a global option from the innermost command that has it, so
/// those before the command would be lost in silence as soon as there is one behind it.
fn settings_last(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut others, mut settings) = (Vec::new(), Vec::new());
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--set" {
            settings.push(argument);
            settings.extend(arguments.next());
        } else if argument.to_string_lossy().starts_with("--set=") {
            settings.push(argument);
        } else {
            others.push(argument);
        }
    }
    others.append(&mut settings);
    others
}

const EXAMPLES: &str = "\
Examples:
  nova config check
  nova migrate && nova connector apply && nova doctor
  nova run cdc --from-beginning
  nova status --watch
  nova replay kafka --stream likes --from 2h
  nova outbox maintain

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
    #[command(
        after_help = "Examples:\n  nova migrate --dry-run\n  nova migrate --render --set clickhouse.cluster=events"
    )]
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
    /// One page that says whether all is well: servers, slot, connector, streams, dead letters, comparisons, and what to see to.
    ///
    /// Exit code 0: all well (there may be warnings); 5: a server is away; 1: something is broken, or nobody reads a stream that
    /// has unread messages; 3: a stream needs a decision, or its last comparison found differences; 4: something could not be
    /// asked. The first of these that is so counts.
    #[command(after_help = "Examples:\n  nova status\n  nova status --watch 5\n  nova status -o json")]
    Status(StatusArgs),
    /// How far the streams are behind, in messages and in time, and when they will have caught up.
    ///
    /// A stream that is behind is looked at twice, so that there is a rate. Exit code 4: not all could be asked.
    #[command(
        after_help = "Examples:\n  nova lag\n  nova lag --stream likes --partitions\n  nova lag --watch"
    )]
    Lag(LagArgs),
    /// Where the streams' consumer groups stand in their topics, and how to set them.
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    /// Compare Kafka with ClickHouse, offset by offset. Exit code 3: there are findings; 4: not all could be audited.
    ///
    /// The mapping runs again over what the topics hold up to the groups' committed offsets, and every message must be
    /// rows that are there once and equal, an explained skip, or a dead letter. Nothing is changed.
    #[command(
        after_help = "Examples:\n  nova audit\n  nova audit --stream likes --from 2026-01-31T06:00:00Z\n  \
        nova audit --stream likes --partition 3 --from 4000 --to 5000 -o json"
    )]
    Audit(AuditArgs),
    /// Dead letters: messages that could not become rows. List, show, retry or discard them.
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Write rows of PostgreSQL that ClickHouse lacks, as of a snapshot, beside the live stream; without --execute, only say
    /// what there is to be done.
    ///
    /// For history that was never streamed, and for what an outage took away and no topic holds any more. Can be killed and
    /// given again: it goes on, and nothing is written twice. Exit code 3: keys differ, and were left to `nova repair`; 4:
    /// rows do not fit the columns.
    #[command(after_help = "Examples:\n  nova backfill --stream likes\n  \
        nova backfill --stream likes --until 2026-01-01T00:00:00Z --max-rows-per-second 20000 --execute\n  \
        nova backfill --stream posts --where \"visibility = 'public'\" --execute\n  \
        nova backfill --stream likes --through debezium --execute")]
    Backfill(BackfillArgs),
    /// Compare PostgreSQL with ClickHouse as of one snapshot, while writes go on. Exit code 3: they differ; 4: not all could
    /// be compared.
    #[command(after_help = "Examples:\n  nova reconcile\n  nova reconcile --stream likes --since 2h -o json")]
    Reconcile(ReconcileArgs),
    /// Make good what a reconciliation found: plan first, then apply.
    #[command(subcommand)]
    Repair(RepairCommand),
    /// Read a range of a topic again and write what the table lacks: after an outage, or into another table.
    #[command(subcommand)]
    Replay(ReplayCommand),
    /// The table into which applications write events: its days.
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// The JSON Schemas of the events that applications write.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Print a script that lets a shell complete nova's commands, options and values.
    #[command(after_help = "Examples:\n  source <(nova completions bash)\n  \
        nova completions bash > /etc/bash_completion.d/nova\n  \
        nova completions zsh > \"${fpath[1]}/_nova\"\n  \
        nova completions fish > ~/.config/fish/completions/nova.fish")]
    Completions(CompletionsArgs),
    /// Print the manual page of nova, or write the pages of all commands.
    #[command(after_help = "Examples:\n  nova man | man -l -\n  nova man --dir /usr/local/share/man/man1")]
    Man(ManArgs),
}

/// `nova run`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["worker", "stream"]))]
pub struct RunArgs {
    /// The worker whose streams to run, as declared (`worker = "cdc"`); `reconcile` compares, on a schedule.
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
    /// Print all statements, for one server or for `clickhouse.cluster`, passwords hidden; opens no connection.
    #[arg(long, conflicts_with = "dry_run")]
    pub render: bool,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::Target;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(settings_last(line.split(' ').map(OsString::from)))
    }

    #[test]
    fn settings_count_on_both_sides_of_the_command() {
        let cli = parse("nova --set a=1 --set=b=2 run cdc --set c=3 --from-beginning").unwrap();
        assert_eq!(cli.global.set, ["a=1", "b=2", "c=3"]);
        assert!(matches!(cli.command, Command::Run(args) if args.from_beginning));
        assert!(parse("nova config check --set").is_err());
    }

    #[test]
    fn run_wants_a_worker_or_streams_and_says_so() {
        let error = parse("nova run").unwrap_err().to_string();
        assert!(error.contains("WORKER") && error.contains("--stream"), "{error}");
        assert!(parse("nova run cdc --stream likes").is_err());
        assert!(parse("nova run --stream likes --stream posts").is_ok());
    }

    #[test]
    fn offsets_are_set_to_a_place_that_is_understood() {
        let cli = parse("nova offsets set --stream likes --partition 3 --partition 4 --to earliest").unwrap();
        let Command::Offsets(OffsetsCommand::Set(args)) = cli.command else { panic!("another command") };
        assert_eq!((args.to, args.partition, args.execute), (Target::Earliest, vec![3, 4], false));
        let error = parse("nova offsets set --stream likes --to yesterday").unwrap_err().to_string();
        assert!(error.contains("yesterday") && error.contains("RFC 3339"), "{error}");
        assert!(parse("nova offsets set --to earliest").is_err(), "no stream");
    }

    #[test]
    fn days_of_the_outbox_are_kept_as_long_as_people_say() {
        let cli = parse("nova outbox prune --keep 36h").unwrap();
        let Command::Outbox(OutboxCommand::Maintain(args)) = cli.command else { panic!("another command") };
        assert_eq!((args.keep.as_secs(), args.ahead.as_secs(), args.execute), (129_600, 604_800, false));
        assert!(parse("nova outbox maintain --keep -1day").is_err());
    }
}
