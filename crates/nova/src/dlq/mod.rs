//! `nova dlq`: the dead letters, grouped and shown; and what is done about them.
//!
//! Invariant: letters are only read. What was done stands in the table `dead_letter_actions`; a letter without a mark
//! there is open. Nothing is written without `--execute`, and a mark never before the rows that it speaks of.

mod args;
mod discard;
mod fate;
mod filter;
mod groups;
mod lane;
mod list;
mod place;
mod reason;
mod report;
mod retry;
mod scan;
mod show;
mod view;

use nova_streams::StreamSet;

pub use args::DlqCommand;
pub use groups::{Group, Groups};
#[cfg(test)]
pub use scan::example_letter;
pub use scan::{Site, Status};

use crate::config::Config;
use crate::exit::Outcome;

/// Runs `nova dlq`.
pub async fn run(command: &DlqCommand, config: &Config, streams: &StreamSet) -> Outcome {
    match command {
        DlqCommand::List(args) => list::run(args, config).await,
        DlqCommand::Show(args) => show::run(args, config).await,
        DlqCommand::Retry(args) => retry::run(args, config, streams).await,
        DlqCommand::Discard(args) => discard::run(args, config).await,
    }
}
