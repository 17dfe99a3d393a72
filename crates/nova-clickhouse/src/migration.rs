//! The migrations themselves: the files of `clickhouse/`, carried in the binary.
//!
//! Invariant: the list is the folder, in order and without gaps; a test compares the two.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::template::Value;

/// One file of `clickhouse/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The number in front of its name.
    pub version: u32,
    /// The file's name.
    pub name: &'static str,
    /// Its text, placeholders unfilled.
    pub sql: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../clickhouse/", $name)),
        }
    };
}

/// All migrations, in order.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_post_engagement_events.sql"),
    migration!(2, "0002_user_follow_events.sql"),
    migration!(3, "0003_post_events.sql"),
    migration!(4, "0004_dimensions.sql"),
    migration!(5, "0005_top_posts_1h.sql"),
    migration!(6, "0006_trending_24h.sql"),
    migration!(7, "0007_feed_candidates.sql"),
    migration!(8, "0008_index_by_lsn.sql"),
    migration!(9, "0009_dead_letter_actions.sql"),
    migration!(10, "0010_reconcile_runs.sql"),
    migration!(11, "0011_repairs.sql"),
    migration!(12, "0012_jobs.sql"),
    migration!(13, "0013_reconcile_cells.sql"),
];

impl Migration {
    /// SHA-256 of the text, in hexadecimal.
    #[must_use]
    pub fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What the placeholders `${postgres_…}` stand for: the database behind the dictionaries, as *ClickHouse* reaches it.
#[derive(Debug, Clone)]
pub struct TemplateValues {
    /// Host name or address.
    pub postgres_host: String,
    /// Port.
    pub postgres_port: u16,
    /// Database.
    pub postgres_database: String,
    /// A user who may read the dimension tables.
    pub postgres_user: String,
    /// The user's password.
    pub postgres_password: SecretString,
}

impl TemplateValues {
    pub(crate) fn value(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "postgres_host" => Value::Literal(&self.postgres_host),
            "postgres_port" => Value::Number(self.postgres_port),
            "postgres_database" => Value::Literal(&self.postgres_database),
            "postgres_user" => Value::Literal(&self.postgres_user),
            "postgres_password" => Value::Literal(self.postgres_password.expose_secret()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::template::statements;

    #[test]
    fn the_binary_carries_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clickhouse");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sql"))
            .collect();
        files.sort();
        assert_eq!(files, MIGRATIONS.iter().map(|migration| migration.name).collect::<Vec<_>>());
    }

    #[test]
    fn names_carry_their_versions_in_order_without_gaps() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version as usize, index + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)), "{}", migration.name);
        }
    }

    #[test]
    fn every_statement_is_repeatable_and_every_file_says_why() {
        for migration in MIGRATIONS {
            assert!(migration.sql.starts_with("-- "), "{} has no header comment", migration.name);
            for statement in statements(migration.sql).unwrap() {
                let repeatable = statement.contains(" IF NOT EXISTS ") || statement.contains(" OR REPLACE ");
                assert!(repeatable, "{}: {statement}", migration.name);
            }
        }
    }

    #[test]
    fn the_checksum_is_sha_256_of_the_template() {
        let migration = Migration { version: 1, name: "x", sql: "abc" };
        assert_eq!(migration.checksum(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
