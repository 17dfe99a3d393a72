//! `nova repair`: a report becomes a plan, a plan becomes rows.
//!
//! Invariant: `plan` and `list` write nothing to any server, and neither does `apply` without `--execute`.

mod apply;
mod args;
mod look;
mod plan;

pub use args::{RepairCommand, RepairListArgs};
use nova_reconcile::repair::{Phase, Recorded, recorded};
use nova_streams::StreamSet;

use crate::cli::Output;
use crate::config::Config;
use crate::exit::Outcome;
use crate::run::clickhouse_client;
use crate::table::table;

/// Runs `nova repair`.
pub async fn run(command: &RepairCommand, config: &Config, streams: &StreamSet) -> Outcome {
    match command {
        RepairCommand::Plan(args) => plan::run(args),
        RepairCommand::Apply(args) => apply::run(args, config, streams).await,
        RepairCommand::List(args) => list(args, config).await,
    }
}

async fn list(args: &RepairListArgs, config: &Config) -> Outcome {
    let client = clickhouse_client(&config.clickhouse)?;
    let entries = recorded(&client, args.limit).await?;
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&entries).unwrap_or_default()),
        Output::Table if entries.is_empty() => println!("nothing was ever repaired"),
        Output::Table => {
            let header = ["when", "stream", "phase", "+1", "-1", "left out", "who", "plan", "why"];
            print!("{}", table(&header, &entries.iter().map(cells).collect::<Vec<_>>()));
        }
    }
    Ok(())
}

fn cells(entry: &Recorded) -> Vec<String> {
    let at = chrono::DateTime::from_timestamp_millis(entry.at_ms);
    vec![
        at.map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%SZ").to_string()),
        entry.stream.clone(),
        if entry.phase == Phase::Begun { "begun" } else { "done" }.to_owned(),
        entry.added.to_string(),
        entry.removed.to_string(),
        entry.left_out.to_string(),
        entry.actor.clone(),
        entry.plan_id.to_string(),
        // One line, whatever was said.
        entry.reason.split_whitespace().collect::<Vec<_>>().join(" "),
    ]
}
