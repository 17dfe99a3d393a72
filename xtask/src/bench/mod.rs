//! `cargo xtask bench`: Nova against ClickHouse's own Kafka engine and against librdkafka alone, on the same servers,
//! in the same run, one after the other.
//!
//! Invariant: every figure is told as a ratio to something measured beside it, and a contestant counts only when the
//! table then holds exactly the rows that the topic must become.

mod contest;
mod process;
mod report;
mod site;

use anyhow::Result;

use crate::cli::BenchArgs;
use crate::prerequisites::{self, Need};
use crate::say;
pub use contest::Contestant;
use report::Report;
use site::Site;

/// Fills a topic, then lets each contestant drain it, in turns.
///
/// # Errors
/// When a server or a contestant fails, or a table does not hold what it must.
#[expect(clippy::print_stdout, reason = "the report is the command's data")]
pub async fn run(args: BenchArgs) -> Result<()> {
    prerequisites::ensure(&[Need::Java, Need::Maven, Need::Npm]).await?;
    let site = Site::start(&args).await?;
    let mut report = Report::new(&args, site.topic)?;
    for round in 1..=args.rounds {
        for contestant in contestants(&args) {
            let figures = contestant.drain(&site, round).await?;
            say(&format!("round {round} of {}: {contestant}: {figures}", args.rounds));
            report.add(contestant, figures);
        }
    }
    site.stop().await?;
    println!("{report}");
    if let Some(path) = &args.json {
        std::fs::write(path, report.json()?)?;
    }
    Ok(())
}

/// All, or those that were asked for.
fn contestants(args: &BenchArgs) -> Vec<Contestant> {
    if args.only.is_empty() { Contestant::ALL.to_vec() } else { args.only.clone() }
}
