//! `nova config`, and the loading that every command begins with.

use nova_streams::StreamSet;

use crate::cli::{ConfigCommand, Global};
use crate::config::Loaded;
use crate::exit::{Exit, Failure, Outcome};

/// The configuration and the streams that it names, both checked.
pub fn load(global: &Global) -> Result<(Loaded, StreamSet), Failure> {
    let loaded = Loaded::load(global.config.as_deref(), &global.set)?;
    let Some(path) = global.streams.clone().or_else(|| loaded.config.streams.clone()) else {
        return Err(Failure::new(Exit::Usage, "no file of stream declarations is named")
            .with_cure("Write `streams = \"streams.toml\"` into the configuration, or use --streams FILE."));
    };
    let mut streams = StreamSet::load(&path)?;
    if !loaded.config.clickhouse.cluster.is_empty() {
        streams.rename_tables(nova_clickhouse::local_table);
    }
    Ok((loaded, streams))
}

/// `nova config check|show`.
pub fn run(command: &ConfigCommand, global: &Global) -> Outcome {
    match command {
        ConfigCommand::Check => {
            let (_, streams) = load(global)?;
            for worker in streams.workers() {
                let names: Vec<&str> =
                    streams.of_worker(worker).iter().map(|stream| stream.name.as_str()).collect();
                println!("worker {worker}: streams {}", names.join(", "));
            }
            println!("configuration and streams are right");
        }
        ConfigCommand::Show => {
            let rows = Loaded::load(global.config.as_deref(), &global.set)?.listing();
            let width =
                rows.iter().map(|(key, value, _)| key.len() + value.len() + 3).max().unwrap_or(0).min(72);
            for (key, value, origin) in rows {
                let setting = format!("{key} = {value}");
                println!("{setting:width$}  # {origin}");
            }
        }
    }
    Ok(())
}
