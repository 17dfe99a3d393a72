//! `nova offsets`: where the consumer groups stand, and how they are set by hand.
//!
//! Invariant: nothing is committed without `--execute`, nor while a group has members, and no message that the topic
//! still holds is left out without `--allow-skip`.

mod args;
mod plan;
mod set;
mod show;

use nova_streams::StreamSet;

pub use args::OffsetsCommand;
pub use plan::Target;

use crate::config::Config;
use crate::exit::Outcome;

/// Runs `nova offsets`.
pub async fn run(command: &OffsetsCommand, config: &Config, streams: &StreamSet) -> Outcome {
    match command {
        OffsetsCommand::Show(args) => show::run(args, config, streams).await,
        OffsetsCommand::Set(args) => set::run(args, config, streams).await,
    }
}
