//! Applies migrations: in order, once each, recorded in the table `nova_migrations`.
//!
//! ClickHouse has no transactions over DDL, so every statement is written to be repeatable (`IF NOT EXISTS`,
//! `OR REPLACE`), and a file is recorded after its last statement: one that was cut off is simply applied again. For
//! the same reason two migrators at once do no harm; at worst a file is recorded twice, with the same checksum.
//!
//! Invariant: what is recorded as applied is what this binary carries, text for text. Anything else is refused
//! before a statement runs.

use std::collections::BTreeMap;
use std::fmt;

use nova_pipeline::ErrorKind;
use secrecy::ExposeSecret;
use serde::Deserialize;
use thiserror::Error;

use crate::sql::{identifier, literal_content};
use crate::{ClickHouseError, Client, Ddl, Migration, TemplateError, TemplateValues, codes};

/// Why migrating stopped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MigrateError {
    /// A file differs from what was applied under its number.
    #[error(
        "{name} was edited after it had been applied: recorded checksum {recorded}, this binary carries {carried}; \
         put the file back as it was, and write the change as a new migration"
    )]
    Edited {
        /// The file.
        name: String,
        /// The checksum in `nova_migrations`.
        recorded: String,
        /// The checksum of the text in this binary.
        carried: String,
    },
    /// The database has a migration that this binary does not know.
    #[error(
        "database `{database}` is at migration {found} ({name}), and this binary knows up to {known}; \
         run the newer `nova` that applied it"
    )]
    Newer {
        /// The database.
        database: String,
        /// The highest version recorded.
        found: u32,
        /// Its name.
        name: String,
        /// The highest version known.
        known: u32,
    },
    /// The database was made for one server and is now to be on a cluster, or the other way round.
    #[error(
        "database `{database}` was made for {made_for}, and clickhouse.cluster says otherwise; \
         correct clickhouse.cluster, or name another database and let it be filled from the topics"
    )]
    OtherForm {
        /// The database.
        database: String,
        /// What it was made for.
        made_for: &'static str,
    },
    /// A file cannot be used.
    #[error("{name}: {source}")]
    Template {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// A statement failed; the file can be applied again once the cause is gone.
    #[error("{name}, statement {statement}: {source}")]
    Statement {
        /// The file.
        name: String,
        /// Which statement of the file, from 1.
        statement: usize,
        /// The server's refusal.
        source: ClickHouseError,
    },
    /// The record of applied migrations could not be read or written.
    #[error("the table nova_migrations: {0}")]
    Record(ClickHouseError),
}

impl MigrateError {
    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Edited { .. } | Self::Newer { .. } => ErrorKind::SchemaMismatch,
            Self::OtherForm { .. } | Self::Template { .. } => ErrorKind::Misconfigured,
            Self::Statement { source, .. } | Self::Record(source) => source.kind(),
        }
    }
}

/// Applies migrations to the client's database.
pub struct Migrator<'m> {
    client: &'m Client,
    ddl: Ddl<'m>,
}

impl fmt::Debug for Migrator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator").field("database", &self.client.database()).finish_non_exhaustive()
    }
}

impl<'m> Migrator<'m> {
    /// A migrator; `migrations` is [`MIGRATIONS`](crate::MIGRATIONS) everywhere but in tests.
    #[must_use]
    pub fn new(client: &'m Client, values: &'m TemplateValues, migrations: &'m [Migration]) -> Self {
        Self { client, ddl: Ddl { database: client.database(), cluster: "", values, migrations } }
    }

    /// The same for every server of a cluster, by one of them; an empty name means the one server.
    #[must_use]
    pub fn on_cluster(mut self, cluster: &'m str) -> Self {
        self.ddl.cluster = cluster;
        self
    }

    /// The migrations that are not applied yet, in order; nothing is changed. A database that does not exist has all
    /// of them before it.
    ///
    /// # Errors
    /// An edited or unknown applied migration, a file that cannot be used, a failed request.
    pub async fn plan(&self) -> Result<Vec<Migration>, MigrateError> {
        let recorded = self.recorded().await?;
        if !recorded.is_empty() {
            self.check_form().await?;
        }
        let known = self.ddl.migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
        if let Some((version, records)) = recorded.last_key_value().filter(|(version, _)| **version > known) {
            let name = records.first().map(|record| record.name.clone()).unwrap_or_default();
            let database = self.client.database().to_owned();
            return Err(MigrateError::Newer { database, found: *version, name, known });
        }
        let mut pending = Vec::new();
        for migration in self.ddl.migrations {
            self.ddl.statements(migration)?;
            let Some(records) = recorded.get(&migration.version) else {
                pending.push(*migration);
                continue;
            };
            let carried = migration.checksum();
            if let Some(record) = records.iter().find(|record| record.checksum != carried) {
                let (name, recorded) = (migration.name.to_owned(), record.checksum.clone());
                return Err(MigrateError::Edited { name, recorded, carried });
            }
        }
        Ok(pending)
    }

    /// Makes the database if need be, and applies what [`Migrator::plan`] shows; returns what was applied.
    ///
    /// # Errors
    /// As [`Migrator::plan`], and a statement that the server refuses; what came before it stays applied.
    pub async fn apply(&self) -> Result<Vec<Migration>, MigrateError> {
        let pending = self.plan().await?;
        self.client.execute_outside(&self.ddl.create_database()).await.map_err(MigrateError::Record)?;
        for statement in self.ddl.create_record()? {
            self.client.execute(&statement).await.map_err(MigrateError::Record)?;
        }
        for migration in &pending {
            for (index, statement) in self.ddl.statements(migration)?.iter().enumerate() {
                self.client
                    .execute(statement)
                    .await
                    .map_err(|source| self.failed(migration, index + 1, source))?;
            }
            self.record(migration).await?;
            tracing::info!(migration = migration.name, "applied");
        }
        Ok(pending)
    }

    /// A refusal may quote the statement, and with it the password.
    fn failed(&self, migration: &Migration, statement: usize, mut source: ClickHouseError) -> MigrateError {
        let secret = self.ddl.values.postgres_password.expose_secret();
        if let ClickHouseError::Exception { message, .. } = &mut source
            && !secret.is_empty()
        {
            *message = message.replace(&literal_content(secret), "***").replace(secret, "***");
        }
        MigrateError::Statement { name: migration.name.to_owned(), statement, source }
    }

    async fn recorded(&self) -> Result<BTreeMap<u32, Vec<Record>>, MigrateError> {
        let sql = "SELECT version, name, checksum FROM nova_migrations ORDER BY version, applied_at";
        let records: Vec<Record> = match self.client.query_rows(sql, &[]).await {
            Ok(records) => records,
            Err(error) if matches!(error.code(), Some(codes::UNKNOWN_DATABASE | codes::UNKNOWN_TABLE)) => {
                Vec::new()
            }
            Err(error) => return Err(MigrateError::Record(error)),
        };
        let mut by_version: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
        for record in records {
            by_version.entry(record.version).or_default().push(record);
        }
        Ok(by_version)
    }

    /// The record itself is replicated on a cluster, and there alone.
    async fn check_form(&self) -> Result<(), MigrateError> {
        let sql = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'nova_migrations'";
        let engine = self.client.query_text(sql, &[]).await.map_err(MigrateError::Record)?;
        let replicated = engine.starts_with("Replicated");
        if replicated != self.ddl.cluster.is_empty() {
            return Ok(());
        }
        let made_for = if replicated { "a cluster" } else { "one server" };
        Err(MigrateError::OtherForm { database: self.client.database().to_owned(), made_for })
    }

    async fn record(&self, migration: &Migration) -> Result<(), MigrateError> {
        let (version, checksum) = (migration.version, migration.checksum());
        // Version, name, checksum and version of the binary come from this file alone: nothing to escape.
        let sql = format!(
            "INSERT INTO {}.nova_migrations (version, name, checksum, nova_version) \
             SELECT {version}, '{}', '{checksum}', '{}'",
            identifier(self.client.database()),
            migration.name,
            env!("CARGO_PKG_VERSION")
        );
        self.client.execute(&sql).await.map_err(MigrateError::Record)
    }
}

#[derive(Debug, Deserialize)]
struct Record {
    version: u32,
    name: String,
    checksum: String,
}
