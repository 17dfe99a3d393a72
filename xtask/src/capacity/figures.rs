//! What the simulation reckons with: the shipped figures, a file of one's own over them, single values over both.
//!
//! Invariant: every figure is a positive, finite number; an unknown name is refused with those that exist.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The figures as they ship, with where each comes from.
pub(super) const DEFAULTS: &str = include_str!("defaults.toml");

/// All figures; `defaults.toml` says what each is, in which unit, and where it comes from.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Figures {
    pub(super) change: Change,
    pub(super) postgres: Postgres,
    pub(super) connect: Connect,
    pub(super) kafka: Kafka,
    pub(super) nova: Nova,
    pub(super) clickhouse: ClickHouse,
    pub(super) plan: Planning,
}

/// One change in PostgreSQL.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Change {
    pub(super) kafka_bytes: f64,
    pub(super) rows: f64,
    pub(super) wire_row_bytes: f64,
    pub(super) table_row_bytes: f64,
}

/// The source.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Postgres {
    pub(super) primary_changes_per_second: f64,
    pub(super) slots_per_primary: f64,
}

/// Kafka Connect with Debezium.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Connect {
    pub(super) task_changes_per_second: f64,
    pub(super) cpu_us: f64,
}

/// The brokers.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Kafka {
    pub(super) partition_bytes_per_second: f64,
    pub(super) broker_bytes_per_second: f64,
    pub(super) broker_replicas: f64,
    pub(super) broker_disk_bytes: f64,
    pub(super) cpu_us: f64,
    pub(super) replicas: f64,
    pub(super) retention_days: f64,
}

/// One process of one stream.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Nova {
    pub(super) process_changes_per_second: f64,
    pub(super) cpu_us: f64,
    pub(super) peak_mib: f64,
    pub(super) linger_seconds: f64,
    pub(super) batch_rows: f64,
    pub(super) batch_partitions: f64,
}

/// The servers that keep the rows.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct ClickHouse {
    pub(super) cpu_us: f64,
    pub(super) server_cores: f64,
    pub(super) table_inserts_per_second: f64,
    pub(super) window_parts: f64,
    pub(super) window_seconds: f64,
    pub(super) months: f64,
    pub(super) replicas: f64,
    pub(super) retention_days: f64,
    pub(super) server_disk_bytes: f64,
}

/// How much room is planned with.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Planning {
    pub(super) average: f64,
    pub(super) headroom: f64,
    pub(super) catch_up: f64,
    pub(super) host_network_bytes_per_second: f64,
}

impl Figures {
    /// The shipped figures, those of the file over them, and the single ones (`section.name=value`) over both.
    ///
    /// # Errors
    /// A file that cannot be read, a name that does not exist, a value that is no positive number.
    pub(super) fn load(file: Option<&Path>, single: &[String]) -> Result<Self> {
        let mut figures: Table = DEFAULTS.parse().context("the shipped figures")?;
        if let Some(path) = file {
            let place = || path.display().to_string();
            let own: Table =
                std::fs::read_to_string(path).with_context(place)?.parse().with_context(place)?;
            for (section, values) in own {
                let Value::Table(values) = values else {
                    bail!("{}: `{section}` is no section", path.display())
                };
                for (name, value) in values {
                    replace(&mut figures, &section, &name, value).with_context(place)?;
                }
            }
        }
        for text in single {
            let parts = text.split_once('=').and_then(|(path, value)| Some((path.split_once('.')?, value)));
            let Some(((section, name), value)) = parts else {
                bail!("--set {text}: write section.name=value, for example kafka.retention_days=7")
            };
            let value: f64 = value.trim().parse().with_context(|| format!("--set {text}: no number"))?;
            replace(&mut figures, section.trim(), name.trim(), Value::Float(value))
                .with_context(|| format!("--set {text}"))?;
        }
        Ok(Self::deserialize(figures)?)
    }
}

fn replace(figures: &mut Table, section: &str, name: &str, value: Value) -> Result<()> {
    let sections = names(figures);
    let Some(Value::Table(found)) = figures.get_mut(section) else {
        bail!("there is no section `{section}`; there are {sections}")
    };
    let existing = names(found);
    let Some(place) = found.get_mut(name) else {
        bail!("there is no figure `{section}.{name}`; there are {existing}")
    };
    #[expect(clippy::cast_precision_loss, reason = "figures are far below 2^52")]
    let number = value.as_float().or_else(|| value.as_integer().map(|integer| integer as f64));
    let number = number.with_context(|| format!("`{section}.{name}` is no number"))?;
    ensure!(number.is_finite() && number > 0.0, "`{section}.{name}` is {number}, and must be above 0");
    *place = Value::Float(number);
    Ok(())
}

fn names(table: &Table) -> String {
    table.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_single_figures_replace_the_shipped_ones() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[kafka]\nreplicas = 2\nretention_days = 7\n").unwrap();
        let figures = Figures::load(Some(file.path()), &["kafka.retention_days=1".to_owned()]).unwrap();
        assert_eq!((figures.kafka.replicas, figures.kafka.retention_days), (2.0, 1.0));
        assert_eq!(figures.kafka.broker_replicas, Figures::load(None, &[]).unwrap().kafka.broker_replicas);
    }

    #[test]
    fn what_does_not_exist_is_refused_with_what_does() {
        let refused = |text: &str| format!("{:#}", Figures::load(None, &[text.to_owned()]).unwrap_err());
        assert!(
            refused("nova.cpu=1").contains("no figure `nova.cpu`; there are"),
            "{}",
            refused("nova.cpu=1")
        );
        assert!(refused("nowa.cpu_us=1").contains("no section `nowa`; there are change, "));
        assert!(refused("nova.cpu_us=0").contains("must be above 0"));
        assert!(refused("nova.cpu_us=NaN").contains("must be above 0"));
        assert!(refused("nova=1").contains("write section.name=value"));
    }
}
