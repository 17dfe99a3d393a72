//! `nova connector`: the Debezium connector in Kafka Connect, told from the declared streams.
//!
//! Invariant: the connector's settings have one origin, [`Rendered`]; `apply` sends them, `doctor` compares with
//! them. An `apply` that fails leaves Connect as it was.

mod answer;
mod apply;
mod args;
mod cause;
#[cfg(test)]
mod deploy_tests;
mod outbox;
mod progress;
mod reading;
mod render;
mod resnapshot;
mod rest;
mod restart;
mod routing;
mod settings;
mod slot;
mod status;
mod topics;
mod verdict;
mod wait;

use nova_streams::StreamSet;

use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};

pub use args::ConnectorCommand;
pub use cause::Cause;
pub use reading::Reading;
pub use render::Rendered;
pub use rest::{Connect, ConnectError};
pub use routing::{Routing, SIGNAL_TABLE};
pub use status::missing;

/// Runs `nova connector …`.
pub async fn run(command: &ConnectorCommand, config: &Config, streams: &StreamSet) -> Outcome {
    match command {
        ConnectorCommand::Render => render(config, streams),
        ConnectorCommand::Apply => apply::run(config, streams).await,
        ConnectorCommand::Status => status::run(config).await,
        ConnectorCommand::Restart => restart::run(config).await,
        ConnectorCommand::Resnapshot(args) => resnapshot::run(args, config).await,
    }
}

fn render(config: &Config, streams: &StreamSet) -> Outcome {
    let rendered = Rendered::of(config, &Routing::of(streams)?)?;
    let json = serde_json::to_string_pretty(&rendered.shown())
        .map_err(|error| Failure::new(Exit::Failure, format!("the connector's settings as JSON: {error}")))?;
    println!("{json}");
    Ok(())
}
