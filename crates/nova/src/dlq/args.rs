//! The command line of `nova dlq`.

use std::num::NonZeroUsize;

use chrono::{DateTime, FixedOffset};
use clap::{Args, Subcommand, ValueEnum};
use nova_pipeline::ErrorKind;

use super::place::Place;

/// `nova dlq`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Count dead letters by stream, kind, place in the message and reason; values are not shown.
    #[command(after_help = "Examples:\n  \
        nova dlq list\n  \
        nova dlq list --open --stream likes --since 2026-01-31T06:00:00Z\n  \
        nova dlq list --kind unmappable --reason created_at -o jsonl")]
    List(ListArgs),
    /// Show everything of single letters, the message's key and value included: they may hold personal data.
    #[command(after_help = "Examples:\n  \
        nova dlq show cdc.likes/3/42\n  \
        nova dlq show --open --stream likes --limit 3 -o json")]
    Show(ShowArgs),
    /// Send messages through today's mapping into ClickHouse; without --execute, only say what would become of them.
    ///
    /// Rows that are in the table already are not written again: a retry can be repeated, and killed at any point. A
    /// message that still cannot become rows stays open. Exit code 4: some stay open.
    #[command(after_help = "Examples:\n  \
        nova dlq retry --stream likes\n  \
        nova dlq retry --stream likes --reason created_at --execute\n  \
        nova dlq retry cdc.likes/3/42 --execute")]
    Retry(RetryArgs),
    /// Mark letters that will never become rows, with the reason; without --execute, only say how many.
    #[command(after_help = "Examples:\n  \
        nova dlq discard --stream likes --matching JSON --reason \"load test of 31 January\"\n  \
        nova dlq discard cdc.likes/3/42 --reason \"written by hand\" --execute")]
    Discard(DiscardArgs),
}

/// Which letters.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// The letters of these messages; none named: all that match.
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    pub places: Vec<Place>,
    /// Letters of this stream; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub stream: Vec<String>,
    /// Letters of this kind of error, for example `malformed` or `unmappable`; can be repeated.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Vec<ErrorKind>,
    /// Letters written at this time or later (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = DateTime::parse_from_rfc3339)]
    pub since: Option<DateTime<FixedOffset>>,
    /// Letters written before this time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = DateTime::parse_from_rfc3339)]
    pub until: Option<DateTime<FixedOffset>>,
}

/// How it is with the letters; none of them: however it is.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Standing {
    /// Letters that nothing was done about.
    #[arg(long)]
    pub open: bool,
    /// Letters whose message was retried with success.
    #[arg(long)]
    pub retried: bool,
    /// Letters that were discarded.
    #[arg(long)]
    pub discarded: bool,
}

/// `nova dlq list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which.
    #[command(flatten)]
    pub selection: Selection,
    /// How it is with them.
    #[command(flatten)]
    pub standing: Standing,
    /// Letters whose reason, or place in the message, contains this text.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Form of the output; `jsonl` writes a line for each letter.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    pub output: Form,
}

/// `nova dlq show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which.
    #[command(flatten)]
    pub selection: Selection,
    /// How it is with them.
    #[command(flatten)]
    pub standing: Standing,
    /// Letters whose reason, or place in the message, contains this text.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value = "10")]
    pub limit: NonZeroUsize,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    pub output: Form,
}

/// `nova dlq retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Which; open ones only, unless they are named.
    #[command(flatten)]
    pub selection: Selection,
    /// Letters whose reason, or place in the message, contains this text.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// At most so many; each takes an insert of its own.
    #[arg(long, value_name = "NUMBER", default_value = "1000")]
    pub limit: NonZeroUsize,
    /// Write also rows that would leave a key of the table in two states, or in one twice.
    #[arg(long)]
    pub allow_contradictions: bool,
    /// Who does it, for the record; user@host when not given.
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
    /// Form of the output; `jsonl` writes a line for each letter.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    pub output: Form,
}

/// `nova dlq discard`.
#[derive(Debug, Args)]
pub struct DiscardArgs {
    /// Which; open ones only.
    #[command(flatten)]
    pub selection: Selection,
    /// Letters whose reason, or place in the message, contains this text.
    #[arg(long, value_name = "TEXT")]
    pub matching: Option<String>,
    /// Why they will never become rows, for the record.
    #[arg(long, value_name = "TEXT", value_parser = some_words)]
    pub reason: String,
    /// Who does it, for the record; user@host when not given.
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
    /// Form of the output; `jsonl` writes a line for each letter.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    pub output: Form,
}

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// A JSON document in each line.
    Jsonl,
}

fn kind(text: &str) -> Result<ErrorKind, String> {
    ErrorKind::named(text).ok_or_else(|| {
        let all: Vec<String> = ErrorKind::ALL.iter().map(ToString::to_string).collect();
        format!("there is no such kind; there are {}", all.join(", "))
    })
}

fn some_words(text: &str) -> Result<String, String> {
    let words = text.trim();
    if words.is_empty() { Err("it needs words".to_owned()) } else { Ok(words.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Dlq {
        #[command(subcommand)]
        command: DlqCommand,
    }

    fn parse(line: &[&str]) -> Result<DlqCommand, String> {
        let words = std::iter::once(&"dlq").chain(line);
        Dlq::try_parse_from(words).map(|dlq| dlq.command).map_err(|error| error.to_string())
    }

    #[test]
    fn discarding_needs_a_reason_and_what_is_not_understood_is_named() {
        assert!(parse(&["discard", "t/0/1"]).unwrap_err().contains("--reason"));
        assert!(parse(&["discard", "t/0/1", "--reason", " "]).unwrap_err().contains("needs words"));
        assert!(parse(&["show", "t/0"]).unwrap_err().contains("cdc.likes/3/42"));
        assert!(parse(&["list", "--kind", "poison"]).unwrap_err().contains("malformed"));
        assert!(parse(&["list", "--since", "yesterday"]).is_err());
        let Ok(DlqCommand::Retry(args)) = parse(&["retry", "t/0/1", "t/0/2", "--kind", "malformed"]) else {
            panic!("not understood")
        };
        assert_eq!((args.selection.places.len(), args.execute, args.limit.get()), (2, false, 1000));
    }
}
