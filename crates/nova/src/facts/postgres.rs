//! PostgreSQL: is it there, and does somebody read the slot?
//!
//! Invariant: one connection serves all looks; it is made anew after any failure.

use serde::Serialize;
use sqlx::PgConnection;

use super::asked::of_postgres;
use crate::config::Config;
use crate::exit::Failure;
use crate::login::log_in;
use crate::slot::Slot;

/// What PostgreSQL says.
#[derive(Debug, Clone, Serialize)]
pub struct PostgresFacts {
    /// The replication slot's name.
    pub slot_name: String,
    /// The slot; `None` if it is not there.
    pub slot: Option<Slot>,
}

/// The way to PostgreSQL.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    connection: Option<PgConnection>,
}

impl Postgres {
    /// `host:port/database`.
    pub(super) fn place(config: &Config) -> String {
        let postgres = &config.postgres;
        format!("{}:{}/{}", postgres.host, postgres.port, postgres.database)
    }

    pub(super) async fn look(&mut self, config: &Config) -> Result<PostgresFacts, Failure> {
        let failed = |error: sqlx::Error| of_postgres(&error, &Self::place(config));
        // Taken, so that a look that fails or is given up leaves no connection in the middle of a question.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let postgres = &config.postgres;
                let login = log_in(postgres, &postgres.user, &postgres.password, "postgres").await;
                login.map_err(|failure| failure.ends(postgres, &postgres.user))?
            }
        };
        let slot_name = config.connect.slot.clone();
        let slot = Slot::look(&mut connection, &slot_name).await.map_err(failed)?;
        self.connection = Some(connection);
        Ok(PostgresFacts { slot_name, slot })
    }
}
