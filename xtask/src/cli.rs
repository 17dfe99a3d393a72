//! The command line: subcommands, and what the exit code means.
//!
//! Invariant: 0 ok, 1 failure, 2 usage, 3 differences found, 5 something needed is not available, 130 interrupted.

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::artifacts::ArtifactError;
use crate::bench::{self, BenchArgs};
use crate::capacity::{self, CapacityArgs};
use crate::chaos::Fault;
use crate::interrupt::{Interrupted, unless_interrupted};
use crate::prerequisites::Missing;
use crate::sbom::{self, SbomArgs};
use crate::up::{self, UpArgs};
use crate::{chaos, check, demo, deny, instructions, manifests, monitoring};

/// Development tasks of Nova CDC on the real servers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the main job: the whole stack, a social application's traffic, and a comparison of both ends
    Demo(DemoArgs),
    /// Break the servers and Nova while an application writes, and check that every change arrived exactly once
    Chaos(ChaosArgs),
    /// Measure Nova beside ClickHouse's own Kafka engine and librdkafka alone
    Bench(BenchArgs),
    /// Say how many partitions, workers, brokers and servers a load needs, and what breaks first
    Capacity(CapacityArgs),
    /// Run all checks: format, clippy, unit tests, documentation tests, end-to-end tests on the real servers
    Test(TestArgs),
    /// Count the instructions that decoding, mapping and encoding a message take, and compare with the baseline
    Instructions(InstructionsArgs),
    /// Check what the dependencies are: licences, bans, sources, and advisories where their database can be reached
    Deny,
    /// Write what a package is made of, as a CycloneDX document
    Sbom(SbomArgs),
    /// Check the alerts and the dashboard in deploy/monitoring against the metrics that nova has
    Monitoring,
    /// Build the manifests in deploy/ and hold them against their schemas and our rules
    Manifests(ManifestsArgs),
    /// Start the servers alone and leave them running; prints `export` lines
    Up(UpArgs),
    /// Stop the servers that `up` left running
    Down,
}

/// Arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How long the application writes, in seconds
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Transactions per second of the application
    #[arg(long, default_value_t = 300)]
    pub rate: u32,
    /// Seed of the application's behaviour
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Leave everything running at the end and print the addresses
    #[arg(long)]
    pub keep: bool,
}

const SEED: u64 = 1;
const SECONDS: u64 = 60;
const RATE: u32 = 60;
const CLASSIC: &str = "classic";

/// Arguments of `chaos`.
#[derive(Debug, Clone, Args)]
pub struct ChaosArgs {
    /// Seed of the application's behaviour and of the faults
    #[arg(long, default_value_t = SEED)]
    pub seed: u64,
    /// How long the application writes and faults are injected, in seconds
    #[arg(long, default_value_t = SECONDS)]
    pub seconds: u64,
    /// Only these kinds of fault, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    pub faults: Vec<Fault>,
    /// How many runs, with consecutive seeds, each on servers of its own
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// Transactions per second of the application
    #[arg(long, default_value_t = RATE)]
    pub rate: u32,
    /// How the members of a group agree: `classic`, or `consumer` (KIP-848)
    #[arg(long, default_value = CLASSIC, value_parser = [CLASSIC, "consumer"])]
    pub group_protocol: String,
    /// Kafka Connect without exactly-once sources, so that a killed connector emits changes again; every fourth seed
    /// has it anyway
    #[arg(long)]
    pub at_least_once: bool,
    /// This `nova` instead of the workspace's, to see a defect found
    #[arg(long, value_name = "PROGRAM")]
    pub nova: Option<std::path::PathBuf>,
}

impl Default for ChaosArgs {
    /// Those of a command line without arguments.
    fn default() -> Self {
        let (faults, group_protocol) = (Vec::new(), CLASSIC.to_owned());
        Self {
            seed: SEED,
            seconds: SECONDS,
            faults,
            seeds: 1,
            rate: RATE,
            group_protocol,
            at_least_once: false,
            nova: None,
        }
    }
}

/// Arguments of `test`.
#[derive(Debug, Clone, Args)]
pub struct TestArgs {}

/// Arguments of `manifests`.
#[derive(Debug, Clone, Args)]
pub struct ManifestsArgs {
    /// Write first what is made from another file: the alerts for the Prometheus operator
    #[arg(long)]
    pub write: bool,
}

/// Arguments of `instructions`.
#[derive(Debug, Clone, Args)]
pub struct InstructionsArgs {
    /// Make what is counted the new baseline
    #[arg(long)]
    pub record: bool,
}

/// Runs the subcommand; signals end it with everything cleaned up.
///
/// # Errors
/// Those of the subcommand; see [`exit_code`].
pub async fn run(cli: Cli) -> Result<()> {
    let work = async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Chaos(args) => chaos::run(args).await,
            Command::Bench(args) => bench::run(args).await,
            Command::Capacity(args) => capacity::run(&args),
            Command::Test(args) => check::run(args).await,
            Command::Instructions(args) => instructions::run(args.record).await,
            Command::Deny => deny::run().await,
            Command::Sbom(args) => sbom::run(&args),
            Command::Monitoring => monitoring::run().await,
            Command::Manifests(args) => manifests::run(args.write).await,
            Command::Up(args) => up::up(args).await,
            Command::Down => up::down().await,
        }
    };
    unless_interrupted(work).await
}

/// The exit code for a failed subcommand.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<Interrupted>().is_some() {
        130
    } else if error.is::<demo::Different>() || error.is::<chaos::Failed>() {
        3
    } else if error.downcast_ref::<Missing>().is_some() || error.downcast_ref::<ArtifactError>().is_some() {
        5
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn exit_codes_see_through_context() {
        assert_eq!(exit_code(&anyhow::Error::new(Interrupted).context("starting")), 130);
        let no_space = ArtifactError::NoSpace { dir: "/c".into(), free_mib: 1 };
        assert_eq!(exit_code(&anyhow::Error::new(no_space).context("starting")), 5);
        assert_eq!(exit_code(&anyhow::anyhow!("else")), 1);
    }
}
