//! `nova offsets show`: each stream's partitions, with the command that goes on where one is needed.
//!
//! Invariant: showing changes nothing; a stream that cannot be asked keeps no other from being shown.

use std::fmt::Write;

use nova_kafka::KafkaConnection;
use nova_pipeline::{ErrorKind, PipelineError};
use nova_streams::StreamSet;
use serde::Serialize;

use super::args::OffsetsShowArgs;
use crate::cli::Output;
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::facts::{PartitionFacts, State, standing};
use crate::run::{declared_or_all, kafka_connection};
use crate::table::{or_dash, table};

const HEADER: [&str; 9] =
    ["partition", "committed", "low", "high", "lag", "expired", "retention used", "expires in", "state"];
const HOUR_MS: f64 = 3_600_000.0;

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    streams: Vec<StreamReport>,
}

#[derive(Debug, Serialize)]
struct StreamReport {
    stream: String,
    group: String,
    topic: String,
    /// The topic's `retention.ms`; -1 keeps for ever, `None` is unknown.
    retention_ms: Option<i64>,
    /// Why there are no partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    partitions: Vec<PartitionFacts>,
}

/// Runs `nova offsets show`.
pub async fn run(args: &OffsetsShowArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let connection = kafka_connection(config);
    let mut reports = Vec::new();
    for stream in declared_or_all(&args.stream, streams)? {
        reports.push(report(&connection, &stream.name, config.group(&stream.name), &stream.topic).await?);
    }
    let undecided: Vec<String> = reports.iter().flat_map(StreamReport::undecided).collect();
    let report = Report { ok: undecided.is_empty(), streams: reports };
    match args.output {
        Output::Table => report.streams.iter().for_each(|stream| print!("{}", stream.text())),
        Output::Json => println!(
            "{}",
            serde_json::to_string_pretty(&report)
                .map_err(|error| Failure::new(Exit::Failure, error.to_string()))?
        ),
    }
    if undecided.is_empty() {
        return Ok(());
    }
    let message = format!("a decision is needed: {}", undecided.join(", "));
    let cure = "Stop `nova run` of the stream, look at its command without --execute, then run it.";
    Err(Failure::new(Exit::Differences, message).with_cure(cure))
}

async fn report(
    connection: &KafkaConnection,
    stream: &str,
    group: String,
    topic: &str,
) -> Result<StreamReport, PipelineError> {
    let mut report = StreamReport {
        stream: stream.to_owned(),
        topic: topic.to_owned(),
        retention_ms: None,
        error: None,
        partitions: Vec::new(),
        group,
    };
    match standing(connection, &report.group, topic, None).await {
        Ok(found) => {
            report.retention_ms = found.retention_ms;
            report.partitions = found.partitions;
        }
        Err(error) if error.kind == ErrorKind::Misconfigured => report.error = Some(error.message),
        Err(error) => return Err(error),
    }
    Ok(report)
}

fn cells(at: &PartitionFacts) -> Vec<String> {
    let PartitionFacts { partition, committed, low, high, lag, expired, .. } = at;
    let used = (*low > 0).then(|| format!("{:.0} %", at.retention_used * 100.0));
    let left = at.hours_left.map(|hours| format!("{hours:.1} h"));
    let state = match at.open_batch {
        Some([start, end]) if at.state == State::OpenBatch => format!("{} {start}..{end}", at.state.words()),
        _ => at.state.words().to_owned(),
    };
    let numbers = [low, high, lag, expired].map(i64::to_string);
    let mut cells = vec![partition.to_string(), or_dash(*committed)];
    cells.extend(numbers);
    cells.extend([or_dash(used), or_dash(left), state]);
    cells
}

impl StreamReport {
    /// What `nova run` would halt at.
    fn undecided(&self) -> Vec<String> {
        if self.error.is_some() {
            return vec![format!("{} has no topic", self.stream)];
        }
        let undecided = self.partitions.iter().filter(|row| row.state.needs_decision());
        undecided
            .map(|row| format!("{} {}[{}] {}", self.stream, self.topic, row.partition, row.state.words()))
            .collect()
    }

    fn text(&self) -> String {
        let Self { stream, group, topic, retention_ms, error, partitions } = self;
        let retention = match retention_ms {
            None => "unknown".to_owned(),
            Some(ms) if *ms < 0 => "for ever".to_owned(),
            #[expect(clippy::cast_precision_loss, reason = "days for people")]
            Some(ms) => format!("{:.1} days", *ms as f64 / HOUR_MS / 24.0),
        };
        let mut text = format!("{stream}: group {group}, topic {topic}, retention {retention}\n");
        if let Some(error) = error {
            let _ = writeln!(text, "  {error}"); // writing to a String cannot fail
            return text;
        }
        let rows: Vec<_> = partitions.iter().map(cells).collect();
        text.push_str(&table(&HEADER, &rows));
        let mut commands: Vec<String> = Vec::new();
        for row in partitions {
            let command = row.state.way_on(stream, row.partition);
            if !command.is_empty() && !commands.contains(&command) {
                let _ = writeln!(text, "  {} -> {command}", row.state.words());
                commands.push(command);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::position;

    fn report() -> StreamReport {
        let positions = [
            position(0, Some(40), 10..50, "n2 0.0.0.0.0 7 9 0:40+5"),
            position(1, Some(3), 10..50, ""),
            position(2, Some(50), 0..50, ""),
        ];
        let unread = [Some(3_600_000), None, None];
        let rows = positions
            .iter()
            .zip(unread)
            .map(|(position, since)| PartitionFacts::of(position, true, since, Some(7_200_000), 9_000_000));
        StreamReport {
            stream: "likes".to_owned(),
            group: "nova-likes".to_owned(),
            topic: "cdc.likes".to_owned(),
            retention_ms: Some(7_200_000),
            error: None,
            partitions: rows.collect(),
        }
    }

    #[test]
    fn the_table_tells_lag_expiry_state_and_the_command() {
        let expected = "\
likes: group nova-likes, topic cdc.likes, retention 0.1 days
  partition  committed  low  high  lag  expired  retention used  expires in  state
          0         40   10    50   10        0            25 %       0.5 h  open batch 40..45
          1          3   10    50   47        7           100 %           -  expired
          2         50    0    50    0        0               -           -  ok
  expired -> nova offsets set --stream likes --partition 1 --to earliest --execute
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn only_what_halts_is_undecided_a_missing_topic_too() {
        let mut report = report();
        assert_eq!(report.undecided(), ["likes cdc.likes[1] expired"]);
        report.error = Some("no such topic".to_owned());
        assert_eq!(report.undecided(), ["likes has no topic"]);
    }

    #[test]
    fn json_has_the_numbers_and_the_state() {
        let document = serde_json::to_value(report()).unwrap();
        assert_eq!(document["partitions"][0]["state"], "open_batch");
        assert_eq!(document["partitions"][0]["open_batch"], serde_json::json!([40, 45]));
        assert_eq!(document["partitions"][1]["expired"], 7);
        assert_eq!(document["partitions"][1]["hours_left"], serde_json::Value::Null);
    }
}
