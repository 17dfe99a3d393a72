//! `nova lag`: how far the streams are behind, in messages and in time, and when they will have caught up.
//!
//! Invariant: asking from outside of the groups changes nothing; a stream that cannot be asked hides no other.

use std::time::Duration;

use chrono::Utc;
use clap::Args;
use nova_streams::StreamSet;
use serde::Serialize;
use tokio::time::sleep;

use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::facts::{Asked, Gatherer, KafkaFacts, PartitionFacts, Server, Standing, StreamLag, Unanswered};
use crate::run::declared_or_all;
use crate::table::{or_dash, table};
use crate::watch::WatchArgs;
use crate::words::{count, span};

/// A rate takes two looks; about one batch is committed in a second.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

const HEADER: [&str; 10] = [
    "stream",
    "members",
    "lag",
    "behind",
    "read/s",
    "written/s",
    "caught up in",
    "retention used",
    "expires in",
    "state",
];
const OF_PARTITION: [&str; 8] =
    ["partition", "committed", "end", "lag", "behind", "retention used", "expires in", "state"];

/// `nova lag`.
#[derive(Debug, Args)]
pub struct LagArgs {
    /// This stream alone; can be repeated. Otherwise all.
    #[arg(long, value_name = "NAME")]
    pub stream: Vec<String>,
    /// Show each partition, too.
    #[arg(long)]
    pub partitions: bool,
    /// How often, and in which form.
    #[command(flatten)]
    pub watch: WatchArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    /// In milliseconds since 1970.
    taken_ms: i64,
    kafka: Server<KafkaFacts>,
    streams: Vec<StreamLag>,
}

/// Runs `nova lag`.
pub async fn run(args: &LagArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let mut gatherer = Gatherer::new(config, declared_or_all(&args.stream, streams)?)?;
    let look = async || {
        let (mut kafka, mut streams) = gatherer.lags().await;
        if args.watch.watch.is_none() && streams.iter().any(is_behind) {
            sleep(BETWEEN_LOOKS).await;
            (kafka, streams) = gatherer.lags().await;
        }
        Report { taken_ms: Utc::now().timestamp_millis(), kafka, streams }
    };
    args.watch.show(look, |report| text(report, args.partitions), conclude).await
}

fn is_behind(stream: &StreamLag) -> bool {
    stream.standing.known().is_some_and(|standing| standing.lag_seconds().is_some())
}

fn conclude(report: &Report) -> Outcome {
    let unknown = |stream: &StreamLag| Some((stream.named.stream.clone(), stream.standing.error()?.clone()));
    let unknown: Vec<(String, Unanswered)> = report.streams.iter().filter_map(unknown).collect();
    let Some((name, Unanswered { error, away })) = unknown.first() else { return Ok(()) };
    let cure = "`nova doctor` looks closer.";
    if unknown.len() < report.streams.len() {
        let message = format!("not known of {} streams, {name} for one: {error}", unknown.len());
        return Err(Failure::new(Exit::Partial, message).with_cure(cure));
    }
    let exit = if *away { Exit::Unavailable } else { Exit::Failure };
    Err(Failure::new(exit, error.clone()).with_cure(cure))
}

fn text(report: &Report, partitions: bool) -> String {
    let rows: Vec<_> = report.streams.iter().map(cells).collect();
    let mut text = table(&HEADER, &rows);
    for stream in report.streams.iter().filter(|_| partitions) {
        if let Asked::Known(standing) = &stream.standing {
            let rows: Vec<_> = standing.partitions.iter().map(of_partition).collect();
            text.push_str(&format!("{}\n", stream.named.stream));
            text.push_str(&table(&OF_PARTITION, &rows));
        }
    }
    text
}

fn cells(stream: &StreamLag) -> Vec<String> {
    let name = stream.named.stream.clone();
    match &stream.standing {
        Asked::Unknown(unanswered) => {
            let unknown = std::iter::repeat_n("?".to_owned(), HEADER.len() - 2);
            std::iter::once(name).chain(unknown).chain([format!("not known: {}", unanswered.error)]).collect()
        }
        Asked::Known(standing) => {
            let Standing { members, .. } = standing;
            let members = members.as_ref().map_or("?".to_owned(), |members| members.len().to_string());
            let rate = |rate: f64| format!("{rate:.0}");
            let pace = stream.pace;
            let caught_up = pace.map(|pace| match pace.caught_up_in_seconds {
                _ if standing.lag_seconds().is_none() => "-".to_owned(),
                Some(seconds) => span(seconds),
                None => "never so".to_owned(),
            });
            vec![
                name,
                members,
                count(standing.unread()),
                or_dash(standing.lag_seconds().map(span)),
                or_dash(pace.map(|pace| rate(pace.read_per_second))),
                or_dash(pace.map(|pace| rate(pace.written_per_second))),
                or_dash(caught_up),
                used(standing.retention_used()),
                or_dash(standing.hours_left().map(|hours| span(hours * 3600.0))),
                standing.words(),
            ]
        }
    }
}

fn of_partition(at: &PartitionFacts) -> Vec<String> {
    let unread = if at.lag_seconds.is_some() { at.lag } else { 0 };
    vec![
        at.partition.to_string(),
        or_dash(at.committed),
        at.high.to_string(),
        count(unread),
        or_dash(at.lag_seconds.map(span)),
        used(at.retention_used),
        or_dash(at.hours_left.map(|hours| span(hours * 3600.0))),
        at.state.words().to_owned(),
    ]
}

/// A share; nothing is used while retention has deleted nothing.
fn used(share: f64) -> String {
    if share > 0.0 { format!("{:.0} %", share * 100.0) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Named, Pace, position};

    fn report() -> Report {
        let named = |name: &str| Named {
            stream: name.to_owned(),
            worker: "cdc".to_owned(),
            group: format!("nova-{name}"),
            topic: format!("cdc.{name}"),
            table: "events".to_owned(),
        };
        let at = |committed, since_ms| {
            let at = position(0, Some(committed), 10..1_050, "");
            PartitionFacts::of(&at, true, since_ms, Some(7_200_000), 9_000_000)
        };
        let standing = |committed, since_ms| Standing {
            retention_ms: Some(7_200_000),
            members: Some(vec!["nova (h)".to_owned()]),
            partitions: vec![at(committed, since_ms)],
        };
        let pace =
            Pace { read_per_second: 150.0, written_per_second: 50.4, caught_up_in_seconds: Some(10.0) };
        let unknown = Asked::Unknown(Unanswered { error: "no topic".to_owned(), away: false });
        let stream = |name, standing, pace| StreamLag { named: named(name), standing, pace };
        Report {
            taken_ms: 9_000_000,
            kafka: Server {
                place: "k:9092".to_owned(),
                took_ms: 1,
                answer: Asked::Known(KafkaFacts { streams: 3 }),
            },
            streams: vec![
                stream("likes", Asked::Known(standing(50, Some(3_600_000))), Some(pace)),
                stream("posts", Asked::Known(standing(1_049, None)), Some(pace)),
                stream("views", unknown, None),
            ],
        }
    }

    #[test]
    fn a_line_tells_messages_time_rates_and_what_is_left() {
        let expected = "  stream  members    lag  behind  read/s  written/s  caught up in  retention used  expires in  state\n   likes        1  1,000      2h     150         50           10s            96 %         30m  ok\n   posts        1      0       -     150         50             -             0 %           -  ok\n   views        ?      ?       ?       ?          ?             ?               ?           ?  not known: no topic\n";
        let text = text(&report(), false);
        assert_eq!(text, expected);
        let whole = super::text(&report(), true);
        assert!(whole.starts_with(expected), "{whole}");
        assert!(whole.contains("posts\n  partition  committed   end  lag"), "{whole}");
    }

    #[test]
    fn what_is_not_known_of_some_is_partial_and_of_all_a_failure() {
        let mut report = report();
        assert_eq!(conclude(&report).unwrap_err().exit, Exit::Partial);
        report.streams.drain(..2);
        assert_eq!(conclude(&report).unwrap_err().exit, Exit::Failure);
        report.streams[0].standing = Asked::Unknown(Unanswered { error: "gone".to_owned(), away: true });
        assert_eq!(conclude(&report).unwrap_err().exit, Exit::Unavailable);
        report.streams.clear();
        assert!(conclude(&report).is_ok());
    }
}
