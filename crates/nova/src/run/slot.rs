//! What the replication slot keeps of PostgreSQL's write-ahead log, as metrics.
//!
//! Invariant: one short question at a time, over one connection; it changes nothing.

use std::time::Duration;

use metrics::gauge;
use nova_pipeline::{ErrorKind, PipelineError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::Config;
use crate::doctor::postgres_options;
use crate::login::login_failure;
use crate::slot::Slot;
use crate::telemetry::catalogue::{SLOT_ACTIVE, SLOT_RETAINED, SLOT_UNCONFIRMED, SLOT_WAL_STATUS};

/// No answer within this time is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What a slot can be; those of PostgreSQL, and `missing` for none.
const STATUSES: [&str; 5] = ["reserved", "extended", "unreserved", "lost", "missing"];

/// Looks at the slot.
pub struct SlotWatch {
    options: PgConnectOptions,
    place: String,
    slot: String,
    connection: Mutex<Option<PgConnection>>,
}

impl SlotWatch {
    /// The configured slot; `None` where no password for PostgreSQL is configured, and so nobody means to ask it.
    pub fn new(config: &Config) -> Option<Self> {
        let postgres = &config.postgres;
        if postgres.password.is_empty() {
            return None;
        }
        Some(Self {
            options: postgres_options(postgres, &postgres.user, &postgres.password),
            place: format!("{}:{}/{}", postgres.host, postgres.port, postgres.database),
            slot: config.connect.slot.clone(),
            connection: Mutex::default(),
        })
    }

    /// Looks, and publishes what is there.
    ///
    /// # Errors
    /// `Unavailable`: PostgreSQL is away, or refuses; the next look connects anew.
    pub async fn look(&self) -> Result<(), PipelineError> {
        let mut connection = self.connection.lock().await;
        let looked = timeout(ANSWER_WITHIN, self.ask(&mut connection)).await;
        match looked.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(found) => {
                publish(&self.slot, found.as_ref());
                Ok(())
            }
            Err(error) => {
                *connection = None;
                let message = format!(
                    "PostgreSQL at {} does not say what it keeps for slot {}: {}",
                    self.place,
                    self.slot,
                    login_failure(&error, "postgres").finding
                );
                Err(PipelineError::new(ErrorKind::Unavailable, message))
            }
        }
    }

    async fn ask(&self, connection: &mut Option<PgConnection>) -> Result<Option<Slot>, sqlx::Error> {
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(PgConnection::connect_with(&self.options).await?),
        };
        Slot::look(connection, &self.slot).await
    }
}

/// Sets the gauges of the slot; one that is missing is read by nobody and keeps nothing.
fn publish(name: &str, slot: Option<&Slot>) {
    let label = || name.to_owned();
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    let bytes = |of: Option<i64>| of.unwrap_or_default() as f64;
    let active = slot.is_some_and(|slot| slot.active);
    gauge!(SLOT_ACTIVE, "slot" => label()).set(if active { 1.0 } else { 0.0 });
    gauge!(SLOT_RETAINED, "slot" => label()).set(bytes(slot.and_then(|slot| slot.retained_bytes)));
    gauge!(SLOT_UNCONFIRMED, "slot" => label()).set(bytes(slot.and_then(|slot| slot.unconfirmed_bytes)));
    let now = slot.map_or(Some("missing"), |slot| slot.wal_status.as_deref());
    for status in STATUSES {
        let is = if now == Some(status) { 1.0 } else { 0.0 };
        gauge!(SLOT_WAL_STATUS, "slot" => label(), "status" => status).set(is);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_slot_has_one_status_and_a_missing_one_keeps_nothing() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let lines = |slot: Option<&Slot>| {
            metrics::with_local_recorder(&recorder, || publish("s", slot));
            let text = recorder.handle().render();
            let values = text.lines().filter(|line| line.starts_with("nova_slot") && !line.ends_with(" 0"));
            let mut values: Vec<String> = values.map(str::to_owned).collect();
            values.sort();
            values
        };
        let slot = Slot {
            name: "s".to_owned(),
            active: true,
            wal_status: Some("extended".to_owned()),
            retained_bytes: Some(7),
            unconfirmed_bytes: Some(3),
        };
        let expected = [
            "nova_slot_active{slot=\"s\"} 1",
            "nova_slot_retained_wal_bytes{slot=\"s\"} 7",
            "nova_slot_unconfirmed_wal_bytes{slot=\"s\"} 3",
            "nova_slot_wal_status{slot=\"s\",status=\"extended\"} 1",
        ];
        assert_eq!(lines(Some(&slot)), expected);
        assert_eq!(lines(None), ["nova_slot_wal_status{slot=\"s\",status=\"missing\"} 1"]);
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_named_and_an_unconfigured_one_not_asked() {
        let mut config = Config::default();
        assert!(SlotWatch::new(&config).is_none(), "nobody means to ask");
        config.postgres.password = Secret::new("secret");
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        config.postgres.port = listener.local_addr().unwrap().port();
        config.postgres.host = "127.0.0.1".to_owned();
        drop(listener);
        let error = SlotWatch::new(&config).unwrap().look().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("/nova does not say what it keeps for slot nova_cdc"), "{error}");
    }
}
