//! `nova status`: one page that says whether the installation is well, and if not, what to see to first.
//!
//! Invariant: whatever is away, the page comes, within the time that a server has for its answer.

mod text;

use clap::Args;
use nova_streams::StreamSet;

use crate::config::Config;
use crate::exit::Outcome;
use crate::facts::{Gatherer, conclude};
use crate::watch::WatchArgs;

/// `nova status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How often, and in which form.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// Runs `nova status`.
pub async fn run(args: &StatusArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let mut gatherer = Gatherer::new(config, streams.iter())?;
    let look = async || gatherer.gather().await;
    args.watch.show(look, text::text, |facts| conclude(&facts.findings)).await
}
