//! The arguments of `nova backfill`.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nova_reconcile::backfill::Range;

use crate::cli::Output;
use crate::reconcile::Instant;

/// `nova backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The stream.
    #[arg(long, value_name = "NAME")]
    pub stream: String,
    /// Only rows for which this condition holds, as it would stand behind WHERE in PostgreSQL.
    #[arg(long, value_name = "CONDITION")]
    pub r#where: Option<String>,
    /// Only rows whose time is at or after this: a time (RFC 3339), or so long ago (`2h`).
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only rows whose time is before this.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// By which way.
    #[arg(long, value_enum, default_value_t = Through::Snapshot)]
    pub through: Through,
    /// Stop what an earlier --through debezium has begun.
    #[arg(long)]
    pub stop: bool,
    /// Connections to PostgreSQL; a replica is read by one.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub connections: u8,
    /// Rows to handle a second at most; while the stream falls behind, it goes slower by itself.
    #[arg(long, value_name = "NUMBER")]
    pub max_rows_per_second: Option<NonZeroU32>,
    /// An older snapshot is given up for a new one, because it keeps PostgreSQL from cleaning up.
    #[arg(long, value_name = "DURATION", default_value = "10min", value_parser = humantime::parse_duration)]
    pub snapshot_max_age: Duration,
    /// Begin anew where the same command was interrupted before.
    #[arg(long)]
    pub anew: bool,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Ways from PostgreSQL into ClickHouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Through {
    /// Nova reads a snapshot itself, and writes what ClickHouse lacks.
    Snapshot,
    /// Debezium reads the table into the topic (an incremental snapshot), and the stream writes what ClickHouse lacks.
    Debezium,
}

/// A point in time, and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    text: String,
    at: Instant,
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|at| Self { text: text.to_owned(), at })
    }
}

impl BackfillArgs {
    /// The rows that are meant, with times as of now.
    pub fn range(&self) -> Range {
        let ms = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.at.0);
        Range { since_ms: ms(&self.since), until_ms: ms(&self.until), condition: self.r#where.clone() }
    }

    /// The command, with everything that says which rows are meant.
    pub fn command(&self) -> String {
        let mut command = format!("nova backfill --stream {}", quoted(&self.stream));
        let moments = [("since", &self.since), ("until", &self.until)];
        let moments = moments.map(|(name, moment)| (name, moment.as_ref().map(|moment| &moment.text)));
        for (name, value) in [("where", self.r#where.as_ref())].into_iter().chain(moments) {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(command, " --{name} {}", quoted(value));
            }
        }
        command
    }
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+/".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BackfillArgs,
    }

    fn args(rest: &[&str]) -> BackfillArgs {
        Line::parse_from([&["nova", "--stream", "likes"], rest].concat()).args
    }

    #[test]
    fn the_same_rows_are_the_same_command_and_others_another() {
        let one =
            args(&["--since", "2h", "--where", "body <> 'it''s'", "--execute", "--max-rows-per-second", "7"]);
        assert_eq!(
            one.command(),
            r"nova backfill --stream likes --where 'body <> '\''it'\'''\''s'\''' --since 2h"
        );
        let other =
            args(&["--where", "body <> 'it''s'", "--since", "2h", "-o", "json", "--connections", "4"]);
        assert_eq!(one.command(), other.command());
        assert_ne!(one.command(), args(&["--until", "2h"]).command());
        let Range { since_ms, until_ms, condition } = args(&["--until", "2026-01-31T06:00:00Z"]).range();
        assert_eq!((since_ms, until_ms, condition), (None, Some(1_769_839_200_000), None));
    }
}
