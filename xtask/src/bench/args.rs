//! The command line of `cargo xtask bench`.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::contest::Contestant;

/// Arguments of `bench`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench --messages 1000000 --rounds 3 --only nova,kafka-engine\n  \
    cargo xtask bench all --json docs/benchmarks.json --write docs/benchmarks.md")]
pub struct BenchArgs {
    /// What to measure, one after the other
    #[arg(value_enum, default_value = "drain")]
    pub measurements: Vec<Measurement>,
    /// How many changes the largest topic holds [default: 3000000; memory, flat and processes 10000000, connector 200000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1000..))]
    pub messages: Option<u64>,
    /// Partitions of the topic
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..))]
    pub partitions: u16,
    /// drain: over how many months the event times are spread; 0: they advance as in life
    #[arg(long, default_value_t = 0)]
    pub months: u64,
    /// How often each contestant runs, in turns with the others
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// drain: only these contestants, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Contestant>,
    /// A setting that every `nova` gets, as `nova run --set` takes it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also put all figures of all rounds into this file, as JSON, beside those of the same commit and machine
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also put the tables into this Markdown file, between the marks `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// A full backlog: nova, librdkafka alone, and ClickHouse's Kafka engine, tuned and as documented
    Drain,
    /// Peak memory of nova for a backlog and for a tenth of it
    Memory,
    /// Cost of one change in topics of a hundredth, a tenth and all of the changes
    Flat,
    /// Two nova processes of one group against one
    Processes,
    /// What exactly-once costs: nova against itself with the ledger off
    Ledger,
    /// A trickle over 12 and 96 partitions: inserts per second, and Kafka to visible
    Trickle,
    /// Commit in PostgreSQL to visible, through Debezium
    Freshness,
    /// How fast one connector task brings a backlog of PostgreSQL's log into ClickHouse
    Connector,
    /// All of these
    All,
}

impl Measurement {
    /// Each of `chosen` once, `all` resolved.
    pub(super) fn resolve(chosen: &[Self]) -> Vec<Self> {
        let all = chosen.contains(&Self::All);
        let each = Self::value_variants().iter().filter(|each| **each != Self::All);
        each.filter(|each| all || chosen.contains(each)).copied().collect()
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |name| name.get_name()))
    }
}

impl BenchArgs {
    /// How many changes the largest topic of a measurement holds.
    pub(super) fn messages(&self, measurement: Measurement) -> u64 {
        let default = match measurement {
            Measurement::Memory | Measurement::Flat | Measurement::Processes => 10_000_000,
            Measurement::Connector => 200_000,
            _ => 3_000_000,
        };
        self.messages.unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_each_once_and_the_order_is_ours() {
        use Measurement::{All, Drain, Memory, Trickle};
        assert_eq!(Measurement::resolve(&[Trickle, Drain, Trickle]), [Drain, Trickle]);
        let all = Measurement::resolve(&[Memory, All]);
        assert_eq!(all.len(), Measurement::value_variants().len() - 1);
        assert!(!all.contains(&All));
        assert_eq!(Memory.to_string(), "memory");
    }
}
