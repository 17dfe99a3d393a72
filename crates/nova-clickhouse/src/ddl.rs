//! The DDL as it is sent: for one server, or for every server of a cluster.
//!
//! Invariant: there is one source, the files of `clickhouse/`; where the tables are to be changes its form, never its meaning.

use std::collections::BTreeSet;

use crate::cluster::{on_cluster, tables_of_events};
use crate::sql::identifier;
use crate::template::{TemplateError, Value, fill, statements};
use crate::{MigrateError, Migration, TemplateValues};

/// What is recorded as applied.
const RECORD: &str = "CREATE TABLE IF NOT EXISTS ${database}.nova_migrations (version UInt32, name String, checksum String, \
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3), nova_version String)\nENGINE = MergeTree\nORDER BY version";

/// Where the tables are to be, and what the files' placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub struct Ddl<'d> {
    /// The database.
    pub database: &'d str,
    /// The cluster as servers know it (`remote_servers`); empty for one server.
    pub cluster: &'d str,
    /// Values of the placeholders.
    pub values: &'d TemplateValues,
    /// All files, in order.
    pub migrations: &'d [Migration],
}

impl Ddl<'_> {
    /// Everything, as text to read or to run by hand; opens no connection.
    ///
    /// # Errors
    /// [`MigrateError::Template`] for a file that cannot be used.
    pub fn render(&self) -> Result<String, MigrateError> {
        let mut text = format!("{};\n", self.create_database());
        for statement in self.create_record()? {
            text.push_str(&format!("\n{statement};\n"));
        }
        for migration in self.migrations {
            text.push_str(&format!("\n-- {}\n", migration.name));
            for statement in self.statements(migration)? {
                text.push_str(&format!("{statement};\n"));
            }
        }
        Ok(text)
    }

    /// Refreshable views need Atomic; the server's `default` database may be of another engine.
    pub(crate) fn create_database(&self) -> String {
        let on_cluster = if self.cluster.is_empty() {
            String::new()
        } else {
            format!(" ON CLUSTER {}", identifier(self.cluster))
        };
        format!("CREATE DATABASE IF NOT EXISTS {}{on_cluster} ENGINE = Atomic", identifier(self.database))
    }

    pub(crate) fn create_record(&self) -> Result<Vec<String>, MigrateError> {
        self.formed("nova_migrations", RECORD)
    }

    pub(crate) fn statements(&self, migration: &Migration) -> Result<Vec<String>, MigrateError> {
        self.formed(migration.name, migration.sql)
    }

    fn formed(&self, name: &str, file: &str) -> Result<Vec<String>, MigrateError> {
        self.split(file)
            .and_then(|templates| templates.iter().map(|text| fill(text, |name| self.value(name))).collect())
            .map_err(|source| MigrateError::Template { name: name.to_owned(), source })
    }

    /// The file's statements, for a cluster if there is one; placeholders unfilled.
    fn split(&self, file: &str) -> Result<Vec<String>, TemplateError> {
        let templates = statements(file)?;
        if self.cluster.is_empty() {
            return Ok(templates);
        }
        let events: BTreeSet<String> =
            tables_of_events(self.migrations.iter().map(|migration| migration.sql))?;
        let mut rewritten = Vec::new();
        for template in &templates {
            rewritten.extend(on_cluster(template, &events)?);
        }
        Ok(rewritten)
    }

    fn value(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "database" => Some(Value::Identifier(self.database)),
            "database_name" => Some(Value::Literal(self.database)),
            "cluster" => Some(Value::Identifier(self.cluster)),
            "cluster_name" => Some(Value::Literal(self.cluster)),
            _ => self.values.value(name),
        }
    }
}
