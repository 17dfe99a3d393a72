//! The arguments of `nova replay`, and the one way to write them by which a job is found again.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use nova_clickhouse::JobKind;

use crate::cli::Output;
use crate::job::Request;

/// `nova replay`.
#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Read a range of a stream's topic again and write what the table lacks of it; without --execute, only show the plan.
    ///
    /// Rows that are there are left alone, so it can be interrupted and repeated: the same command goes on where it ended,
    /// and once all is done, writes nothing more. The live stream goes on; its consumer group does not notice.
    #[command(after_help = EXAMPLES)]
    Kafka(KafkaArgs),
}

const EXAMPLES: &str = "\
Examples:
  nova replay kafka --stream likes --from 2h
  nova replay kafka --stream likes --from 2026-01-31T06:00:00Z --to 2026-01-31T09:00:00Z --execute
  nova replay kafka --stream likes --from earliest --max-rows-per-second 20000 --execute
  nova replay kafka --stream likes --from 4711 --to 4800 --partition 3 --execute
  nova replay kafka --stream likes --from earliest --into likes_copy --execute
  nova replay kafka --stream likes --from earliest --mode rebuild

Exit codes: 0 done, 3 a rebuild would lose rows and exchanged nothing, 4 done but for messages that the result names, 130
interrupted: the same command goes on.";

/// `nova replay kafka`.
#[derive(Debug, Args)]
pub struct KafkaArgs {
    /// The stream.
    #[arg(long, value_name = "NAME")]
    pub stream: String,
    /// Where to begin: `earliest`, an offset, a time (RFC 3339), or so long ago (`2h`).
    #[arg(long, value_name = "WHERE", value_parser = from)]
    pub from: Place,
    /// Where to end: `now` (where the live group has committed), an offset, a time (RFC 3339), or so long ago. What lies behind
    /// the group's committed offset is the live stream's to deliver.
    #[arg(long, value_name = "WHERE", value_parser = to, default_value = "now")]
    pub to: Place,
    /// This partition alone; can be repeated.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Vec<i32>,
    /// What becomes of rows that the table has: `missing` leaves them alone, `rebuild` makes all rows of the range anew by
    /// today's mapping and exchanges them, month by month.
    #[arg(long, value_enum, default_value_t = Mode::Missing)]
    pub mode: Mode,
    /// Rebuild: also where messages would have fewer rows than the table has of them now.
    #[arg(long)]
    pub allow_fewer: bool,
    /// Rebuild: also where more keys than now would not have one state or none.
    #[arg(long)]
    pub allow_contradictions: bool,
    /// Write into this table of the same database instead of the stream's own.
    #[arg(long, value_name = "TABLE")]
    pub into: Option<String>,
    /// Rows to handle per second at most, whether they are written or found there. The pace also steps back by itself while the
    /// live stream falls behind.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_rows_per_second: Option<u32>,
    /// Begin anew instead of going on with the same command's unfinished job.
    #[arg(long)]
    pub anew: bool,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// What becomes of rows that the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// They stay; what is missing is written.
    Missing,
    /// They give way to those that today's mapping makes.
    Rebuild,
}

/// A place in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The oldest message that is there.
    Earliest,
    /// Where the live group has committed.
    Now,
    /// This offset.
    Offset(i64),
    /// The first message that is not older, in milliseconds since 1970.
    Time(i64),
    /// The first message that is not older than so long ago.
    Ago(Duration),
}

fn from(text: &str) -> Result<Place, String> {
    if text == "earliest" { Ok(Place::Earliest) } else { place("earliest", text) }
}

fn to(text: &str) -> Result<Place, String> {
    if text == "now" { Ok(Place::Now) } else { place("now", text) }
}

fn place(word: &str, text: &str) -> Result<Place, String> {
    let wrong = || {
        format!(
            "it is neither `{word}`, nor an offset such as 4711, nor a time by RFC 3339 such as 2026-01-31T06:00:00Z, nor how \
             long ago such as 2h"
        )
    };
    if let Ok(offset) = text.parse() {
        return if offset < 0 { Err(wrong()) } else { Ok(Place::Offset(offset)) };
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Place::Time(time.timestamp_millis()));
    }
    humantime::parse_duration(text).map(Place::Ago).map_err(|_| wrong())
}

impl Place {
    /// The time that it stands for, in milliseconds since 1970, at `now_ms`; none for an offset or a word.
    pub fn time_ms(self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Time(time_ms) => Some(time_ms),
            Self::Ago(ago) => Some(now_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))),
            Self::Earliest | Self::Now | Self::Offset(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Now => f.write_str("now"),
            Self::Offset(offset) => write!(f, "{offset}"),
            Self::Time(time_ms) => f.write_str(&time(*time_ms)),
            Self::Ago(ago) => f.write_str(&humantime::format_duration(*ago).to_string().replace(' ', "")),
        }
    }
}

/// Milliseconds since 1970 by RFC 3339.
pub fn time(time_ms: i64) -> String {
    let time: DateTime<Utc> = DateTime::from_timestamp_millis(time_ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

impl KafkaArgs {
    /// What it asks for; `target` is the table that is written.
    pub fn request(&self, target: &str) -> Request {
        let Self { stream, from, to, into, .. } = self;
        let mut partitions = self.partition.clone();
        partitions.sort_unstable();
        partitions.dedup();
        let (kind, mode) = match self.mode {
            Mode::Missing => (JobKind::Replay, ""),
            Mode::Rebuild => (JobKind::Rebuild, " --mode rebuild"),
        };
        let mut command = format!("nova replay kafka --stream {stream}{mode} --from {from} --to {to}");
        command.extend(partitions.iter().map(|partition| format!(" --partition {partition}")));
        command.extend(into.as_ref().map(|into| format!(" --into {into}")));
        Request { kind, stream: stream.clone(), target: target.to_owned(), command, unit: "messages" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_words_offsets_times_or_durations() {
        assert_eq!(from("earliest"), Ok(Place::Earliest));
        assert_eq!(to("now"), Ok(Place::Now));
        assert_eq!(to("41"), Ok(Place::Offset(41)));
        assert_eq!(from("1970-01-01T02:00:01+02:00"), Ok(Place::Time(1_000)));
        assert_eq!(from("90m").unwrap().time_ms(6_000_000), Some(600_000));
        assert_eq!(Place::Offset(5).time_ms(7), None);
        for wrong in ["now", "-1", "yesterday", ""] {
            let error = from(wrong).unwrap_err();
            assert!(error.contains("`earliest`") && error.contains("2h"), "{wrong}: {error}");
        }
        assert!(to("earliest").is_err());
    }

    #[test]
    fn the_same_request_is_written_the_same_way() {
        let args = KafkaArgs {
            stream: "likes".to_owned(),
            from: from("120m").unwrap(),
            to: to("2026-01-31T07:00:00+01:00").unwrap(),
            partition: vec![3, 0, 3],
            mode: Mode::Missing,
            allow_fewer: true,
            allow_contradictions: true,
            into: Some("copy".to_owned()),
            max_rows_per_second: Some(7),
            anew: true,
            execute: true,
            output: Output::Json,
        };
        let command = "nova replay kafka --stream likes --from 2h --to 2026-01-31T06:00:00Z --partition 0 --partition 3 --into copy";
        assert_eq!(args.request("copy").command, command);
        let rebuild = KafkaArgs { mode: Mode::Rebuild, into: None, partition: Vec::new(), ..args };
        let request = rebuild.request("events");
        let command = "nova replay kafka --stream likes --mode rebuild --from 2h --to 2026-01-31T06:00:00Z";
        assert_eq!((request.kind, request.command.as_str()), (JobKind::Rebuild, command));
        let again = Place::Ago(Duration::from_secs(5_400));
        assert_eq!(from(&again.to_string()), Ok(again), "{again}");
    }
}
