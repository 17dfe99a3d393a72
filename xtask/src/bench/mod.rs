//! `cargo xtask bench`: Nova against ClickHouse's own Kafka engine, against librdkafka alone and against itself, on the
//! same servers, in the same run, one after the other.
//!
//! Invariant: every figure is told as a ratio to something measured beside it or to a fixed bound, and a contestant
//! counts only when the table then holds exactly the rows that the topic must become.

mod args;
mod connector;
mod contest;
mod document;
mod drains;
mod freshness;
mod kafka_engine;
mod nova;
mod process;
mod report;
mod site;
mod spread;
mod table;
mod trickle;

use anyhow::{Context, Result};

use crate::prerequisites::{self, Need};
use crate::say;
pub use args::{BenchArgs, Measurement};
pub use contest::Contestant;
use report::{Outcome, Place};
use site::Site;

/// Runs the measurements one after the other and tells what each found, as soon as it is there.
///
/// # Errors
/// When a server or a contestant fails, or a table does not hold what it must.
pub async fn run(args: BenchArgs) -> Result<()> {
    let measurements = Measurement::resolve(&args.measurements);
    let place = Place::find().await?;
    let (on_site, from_source): (Vec<_>, Vec<_>) = measurements
        .iter()
        .partition(|each| !matches!(each, Measurement::Freshness | Measurement::Connector));
    if !on_site.is_empty() {
        prerequisites::ensure(&[Need::Java, Need::Maven, Need::Npm]).await?;
        let mut site = Site::start(&args, &measurements).await?;
        for measurement in on_site {
            say(&format!("measuring: {measurement}"));
            let outcome = match measurement {
                Measurement::Memory => drains::memory(&mut site, &args).await?,
                Measurement::Flat => drains::flat(&mut site, &args).await?,
                Measurement::Processes => drains::processes(&mut site, &args).await?,
                Measurement::Ledger => drains::ledger(&mut site, &args).await?,
                Measurement::Trickle => trickle::measure(&mut site, &args).await?,
                _ => drains::drain(&mut site, &args).await?,
            };
            tell(&args, &place, &outcome)?;
        }
        site.stop().await?;
    }
    if !from_source.is_empty() {
        prerequisites::ensure(&Need::ALL).await?;
        let source = freshness::Source::start(&args).await?;
        for measurement in from_source {
            say(&format!("measuring: {measurement}"));
            let outcome = match measurement {
                Measurement::Freshness => freshness::measure(&source, &args).await?,
                _ => connector::measure(&source, &args).await?,
            };
            tell(&args, &place, &outcome)?;
        }
        source.stop().await?;
    }
    Ok(())
}

/// Prints one outcome and writes the files that were asked for; what a later measurement fails with takes nothing away.
#[expect(clippy::print_stdout, reason = "the report is the command's data")]
fn tell(args: &BenchArgs, place: &Place, outcome: &Outcome) -> Result<()> {
    let text = outcome.markdown(place);
    println!("## {}\n\n{text}", outcome.name);
    if let Some(path) = &args.json {
        let before = std::fs::read_to_string(path).ok();
        let all = document::merged(before.as_deref(), &place.json(), &outcome.name, outcome.json());
        std::fs::write(path, format!("{all:#}\n")).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &args.write {
        let document = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let document = document::replace(&document, &outcome.name, &text);
        let document = document.with_context(|| path.display().to_string())?;
        std::fs::write(path, document).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
