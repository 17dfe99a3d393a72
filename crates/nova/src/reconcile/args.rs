//! The arguments of `nova reconcile`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use crate::cli::Output;

/// `nova reconcile`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ReconcileArgs {
    /// Something else than a comparison.
    #[command(subcommand)]
    pub command: Option<ReconcileCommand>,
    /// This stream alone; can be repeated. Otherwise all.
    #[arg(long, value_name = "NAME")]
    pub stream: Vec<String>,
    /// Rows whose time is at or after this: a time (RFC 3339), or so long ago (`2h`).
    #[arg(long, value_name = "TIME")]
    pub since: Option<Instant>,
    /// Rows whose time is before this.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Instant>,
    /// Only windows into which ClickHouse took rows since the stream's last good run, and those that are newer. A change
    /// that was lost on its way into an older window is found by a full run alone.
    #[arg(long)]
    pub incremental: bool,
    /// Connections to PostgreSQL, and threads in ClickHouse; overrides reconcile.parallel.
    #[arg(long, value_name = "NUMBER")]
    pub parallel: Option<usize>,
    /// How long slot and consumer groups may take to pass the snapshot; overrides reconcile.timeout.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// Keeps what is done in this file, so that the same command goes on after Ctrl-C; gone at the end.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Differences to list; the others are counted. Overrides reconcile.max_listed.
    #[arg(long, value_name = "NUMBER")]
    pub max_listed: Option<usize>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Shows texts of rows instead of their lengths, in all forms of the report; `nova repair plan` needs them.
    #[arg(long)]
    pub values: bool,
    /// Also writes the report as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// What `nova reconcile` does beside comparing.
#[derive(Debug, Subcommand)]
pub enum ReconcileCommand {
    /// Show the runs that are kept in ClickHouse, newest first.
    #[command(after_help = "Example:\n  nova reconcile history --stream likes")]
    History(HistoryArgs),
}

/// `nova reconcile history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Runs over this stream alone.
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Rows at most, one per run and stream.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub limit: u32,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// A point in time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub i64);

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(time.timestamp_millis()));
        }
        let ago = humantime::parse_duration(text).ok().and_then(|ago| i64::try_from(ago.as_millis()).ok());
        match ago.and_then(|ago| Utc::now().timestamp_millis().checked_sub(ago)) {
            Some(time) => Ok(Self(time)),
            None => Err("write a time (`2026-01-31T06:00:00Z`), or how long ago it was (`2h`)".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_so_long_ago() {
        assert_eq!("1970-01-01T00:00:01.5Z".parse(), Ok(Instant(1_500)));
        let Instant(time) = "2h".parse().unwrap();
        assert!((Utc::now().timestamp_millis() - time - 7_200_000).abs() < 10_000);
        assert!("yesterday".parse::<Instant>().unwrap_err().contains("2h"));
    }
}
