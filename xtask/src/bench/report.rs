//! Medians, ranges and ratios, as a table for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::contest::{Contestant, Figures};
use super::site::Topic;
use crate::cli::BenchArgs;
use crate::workspace;

/// All rounds of all contestants.
pub(super) struct Report {
    topic: Topic,
    partitions: u16,
    months: u64,
    commit: String,
    rounds: BTreeMap<String, Vec<Figures>>,
}

/// Median, least and greatest of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        Some(Self { median: *values.get(values.len() / 2)?, least, greatest })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.least, self.greatest)
    }
}

impl Report {
    pub(super) fn new(args: &BenchArgs, topic: Topic) -> Result<Self> {
        let output = Command::new("git")
            .args(["describe", "--always", "--dirty", "--abbrev=7"])
            .current_dir(workspace::root())
            .output();
        let commit = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Ok(Self {
            topic,
            partitions: args.partitions,
            months: args.months,
            commit: commit.context("git")?,
            rounds: BTreeMap::new(),
        })
    }

    pub(super) fn add(&mut self, contestant: Contestant, figures: Figures) {
        self.rounds.entry(contestant.to_string()).or_default().push(figures);
    }

    fn spread(&self, contestant: Contestant, figure: impl Fn(&Figures) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.get(&contestant.to_string())?.iter().map(figure).collect())
    }

    fn median(&self, contestant: Contestant, figure: impl Fn(&Figures) -> f64) -> Option<f64> {
        self.spread(contestant, figure).map(|spread| spread.median)
    }

    /// What is required, and what was found: name, found, required, whether it holds.
    fn ratios(&self) -> Vec<(&'static str, f64, &'static str, bool)> {
        let seconds = |contestant| self.median(contestant, |figures| figures.seconds);
        let cpu = |contestant| {
            self.median(contestant, |figures| figures.client_cpu_seconds + figures.server_cpu_seconds)
        };
        let client = |contestant| self.median(contestant, |figures| figures.client_cpu_seconds);
        let mut ratios = Vec::new();
        use Contestant::{KafkaEngine, Librdkafka, Nova};
        if let (Some(nova), Some(engine)) = (seconds(Nova), seconds(KafkaEngine)) {
            let ratio = engine / nova;
            ratios.push(("throughput of nova / Kafka engine", ratio, "≥ 6", ratio >= 6.0));
        }
        if let (Some(nova), Some(alone)) = (seconds(Nova), seconds(Librdkafka)) {
            let ratio = alone / nova;
            ratios.push(("throughput of nova / librdkafka alone", ratio, "≥ 0.5", ratio >= 0.5));
        }
        if let (Some(nova), Some(engine)) = (cpu(Nova), cpu(KafkaEngine)) {
            let ratio = nova / engine;
            ratios.push(("CPU of nova and ClickHouse / Kafka engine", ratio, "≤ 0.35", ratio <= 0.35));
        }
        if let (Some(nova), Some(alone)) = (client(Nova), client(Librdkafka)) {
            let ratio = nova / alone;
            ratios.push(("CPU of nova / librdkafka alone", ratio, "≤ 4", ratio <= 4.0));
        }
        if let Some(peak) = self.median(Contestant::Nova, |figures| figures.client_peak_mib) {
            ratios.push(("peak memory of nova, MiB", peak, "≤ 300", peak <= 300.0));
        }
        ratios
    }

    pub(super) fn json(&self) -> Result<String> {
        let ratios = self.ratios().into_iter().map(|(what, found, required, holds)| {
            json!({ "what": what, "found": found, "required": required, "holds": holds })
        });
        let ratios = ratios.collect::<Vec<_>>();
        let value = json!({
            "commit": self.commit, "messages": self.topic.messages, "bytes": self.topic.bytes,
            "rows": self.topic.rows, "partitions": self.partitions, "months": self.months,
            "rounds": self.rounds, "ratios": ratios,
        });
        Ok(serde_json::to_string_pretty(&value)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Topic { messages, bytes, rows, .. } = self.topic;
        let times = if self.months == 0 {
            "event times as in life".to_owned()
        } else {
            format!("event times over {} months", self.months)
        };
        writeln!(
            f,
            "\n{messages} changes of {} bytes on average, {rows} rows, {} partitions, {times}; commit {}\n",
            bytes / messages.max(1),
            self.partitions,
            self.commit
        )?;
        writeln!(f, "| | seconds | changes/s | CPU s, own | CPU s, ClickHouse | peak MiB |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        for contestant in Contestant::ALL {
            let spread = |figure: fn(&Figures) -> f64| self.spread(contestant, figure);
            let (Some(seconds), Some(own), Some(server), Some(peak)) = (
                spread(|figures| figures.seconds),
                spread(|figures| figures.client_cpu_seconds),
                spread(|figures| figures.server_cpu_seconds),
                spread(|figures| figures.client_peak_mib),
            ) else {
                continue;
            };
            #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
            let rate = messages as f64 / seconds.median;
            writeln!(f, "| {contestant} | {seconds} | {rate:.0} | {own} | {server} | {:.0} |", peak.median)?;
        }
        writeln!(f, "\n| | found | required | |\n| --- | ---: | ---: | --- |")?;
        for (what, found, required, holds) in self.ratios() {
            writeln!(f, "| {what} | {found:.2} | {required} | {} |", if holds { "yes" } else { "**no**" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, least: 1.0, greatest: 3.0 });
        assert_eq!(Spread::of(vec![]), None);
    }
}
