//! Who drains a topic, and a race of several through several rounds.
//!
//! Invariant: the contestants of a race run in turns, one at a time, on the same servers; each fills a table of its own.

use std::fmt;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::kafka_engine::{self, Form};
use super::nova;
use super::report::{Bound, Requirement};
use super::site::{Site, Topic};
use super::spread::Spread;
use crate::{command, say};

/// A way from a topic into the table, or, for librdkafka alone, nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Contestant {
    /// librdkafka reads and throws away: the ceiling
    Librdkafka,
    /// `nova run`, exactly once
    Nova,
    /// Two `nova run` of one group, as a deployment with two replicas runs
    NovaTwice,
    /// ClickHouse's Kafka engine, the fastest set-up found: two consumers, typed columns
    KafkaEngine,
    /// ClickHouse's Kafka engine as its documentation shows it: one consumer, the view extracts from JSON
    KafkaEnginePlain,
    /// `nova run` with the ledger off: at least once
    #[value(skip)]
    NovaWithoutLedger,
    /// `nova run` into a table whose parts nobody merges
    #[value(skip)]
    NovaUnmerged,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Librdkafka => "librdkafka alone",
            Self::Nova => "nova",
            Self::KafkaEngine => "Kafka engine, tuned",
            Self::KafkaEnginePlain => "Kafka engine, as documented",
            Self::NovaTwice => "two nova processes",
            Self::NovaWithoutLedger => "nova, ledger off",
            Self::NovaUnmerged => "nova, merges stopped",
        })
    }
}

/// What one drain took.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Figures {
    /// From the first poll (for `nova`: from its start) until the last row was visible.
    pub(super) seconds: f64,
    /// Processor time of the reading processes; of ClickHouse itself for the Kafka engine: 0.
    pub(super) client_cpu_seconds: f64,
    /// Processor time of ClickHouse.
    pub(super) server_cpu_seconds: f64,
    /// Processor time of the Kafka broker.
    pub(super) broker_cpu_seconds: f64,
    /// Peak memory of the largest reading process, in MiB.
    pub(super) client_peak_mib: f64,
    /// Bytes of a row on ClickHouse's disk at the end.
    pub(super) row_bytes: f64,
}

impl Figures {
    /// Processor time of everything behind the broker.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.client_cpu_seconds + self.server_cpu_seconds
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, client_cpu_seconds, server_cpu_seconds, client_peak_mib, .. } = self;
        write!(
            f,
            "{seconds:.2} s, CPU {client_cpu_seconds:.2} s + ClickHouse {server_cpu_seconds:.2} s, {client_peak_mib:.0} MiB"
        )
    }
}

impl Contestant {
    /// Drains the whole topic once.
    pub(super) async fn drain(self, site: &mut Site, topic: &Topic) -> Result<Figures> {
        let nova = site.nova.clone();
        match self {
            Self::Librdkafka => librdkafka(site, topic).await,
            Self::Nova => nova::drain(site, topic, &nova, 1, &[], true).await,
            Self::NovaTwice => nova::drain(site, topic, &nova, 2, &[], true).await,
            Self::NovaUnmerged => nova::drain(site, topic, &nova, 1, &[], false).await,
            Self::NovaWithoutLedger => {
                let program = site.without_ledger.clone().context("built only when it is to be measured")?;
                nova::drain(site, topic, &program, 1, &[("WITHOUT_LEDGER", "1")], true).await
            }
            Self::KafkaEngine => kafka_engine::drain(site, topic, Form::Tuned).await,
            Self::KafkaEnginePlain => kafka_engine::drain(site, topic, Form::Plain).await,
        }
    }
}

#[derive(Deserialize)]
struct ReadAlone {
    seconds: f64,
    cpu_seconds: f64,
}

async fn librdkafka(site: &Site, topic: &Topic) -> Result<Figures> {
    let mut read = site.helper("read", &topic.name, topic.partitions)?;
    read.args(["--messages", &topic.content.messages.to_string()]);
    let output = command::run("reading the topic", &mut read).await?;
    let read: ReadAlone = serde_json::from_slice(&output.stdout).context("what reading took")?;
    Ok(Figures { seconds: read.seconds, client_cpu_seconds: read.cpu_seconds, ..Figures::default() })
}

/// One lane of a race.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) contestant: Contestant,
    pub(super) topic: Topic,
    /// Round by round.
    pub(super) figures: Vec<Figures>,
}

/// Lanes that run in turns.
#[derive(Debug)]
pub(super) struct Race(pub(super) Vec<Lane>);

impl Race {
    /// A lane for each contestant, all on the same topic.
    pub(super) fn of(contestants: &[Contestant], topic: &Topic) -> Self {
        let lane = |contestant: &Contestant| Lane {
            name: contestant.to_string(),
            contestant: *contestant,
            topic: topic.clone(),
            figures: Vec::new(),
        };
        Self(contestants.iter().map(lane).collect())
    }

    /// Runs all rounds, every second one in the opposite order: what a contestant leaves behind meets all of them.
    pub(super) async fn run(&mut self, site: &mut Site, rounds: u32) -> Result<()> {
        for round in 1..=rounds {
            let mut lanes: Vec<&mut Lane> = self.0.iter_mut().collect();
            if round % 2 == 0 {
                lanes.reverse();
            }
            for lane in lanes {
                let figures = lane.contestant.drain(site, &lane.topic).await?;
                say(&format!("round {round} of {rounds}: {}: {figures}", lane.name));
                lane.figures.push(figures);
            }
        }
        Ok(())
    }

    fn lane(&self, name: &str) -> Option<&Lane> {
        self.0.iter().find(|lane| lane.name == name)
    }

    /// A figure of one lane, round by round; nothing for a lane that is not there.
    pub(super) fn figures(&self, name: &str, figure: impl Fn(&Figures) -> f64) -> Vec<f64> {
        self.lane(name).map(|lane| lane.figures.iter().map(figure).collect()).unwrap_or_default()
    }

    /// The figure of `over` by that of `under`, round by round: what slows a round down slows both.
    pub(super) fn ratio(
        &self,
        what: &str,
        over: &str,
        under: &str,
        figure: impl Fn(&Lane, &Figures) -> f64,
        bound: Bound,
    ) -> Option<Requirement> {
        let (over, under) = (self.lane(over)?, self.lane(under)?);
        let pairs = over.figures.iter().zip(&under.figures);
        Requirement::new(what, pairs.map(|(o, u)| figure(over, o) / figure(under, u)).collect(), bound)
    }

    /// The lines of the table of figures; see [`COLUMNS`].
    pub(super) fn lines(&self) -> Vec<(String, Vec<String>)> {
        self.0.iter().map(|lane| (lane.name.clone(), lane.cells())).collect()
    }
}

/// The table of figures of a race.
pub(super) const COLUMNS: [&str; 6] = [
    "seconds",
    "changes/s",
    "CPU µs per change, own",
    "CPU µs per change, ClickHouse",
    "CPU µs per change, broker",
    "peak MiB",
];

impl Lane {
    fn cells(&self) -> Vec<String> {
        #[expect(clippy::cast_precision_loss, reason = "a count of messages")]
        let messages = self.topic.content.messages as f64;
        let spread = |figure: &dyn Fn(&Figures) -> f64| {
            Spread::of(self.figures.iter().map(figure).collect()).filter(|spread| spread.greatest > 0.0)
        };
        let text =
            |spread: Option<Spread>| spread.map_or_else(|| "–".to_owned(), |spread| spread.to_string());
        let rate = spread(&|figures| figures.seconds).map(|seconds| messages / seconds.median);
        vec![
            text(spread(&|figures| figures.seconds)),
            rate.map_or_else(String::new, |rate| format!("{rate:.0}")),
            text(spread(&|figures| figures.client_cpu_seconds * 1e6 / messages)),
            text(spread(&|figures| figures.server_cpu_seconds * 1e6 / messages)),
            text(spread(&|figures| figures.broker_cpu_seconds * 1e6 / messages)),
            text(spread(&|figures| figures.client_peak_mib)),
        ]
    }
}
