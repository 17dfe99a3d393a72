//! What must be there before servers can start: programs, downloads, our own binary.
//!
//! Invariant: only what the wanted servers need is looked for, installed, downloaded or built.

use std::path::PathBuf;

use anyhow::Result;

use super::clickhouse::ClickHouseSource;
use super::jvm::Jvm;
use super::options::{Server, StackOptions};
use crate::artifacts::Cache;
use crate::prerequisites::{self, Need};
use crate::workspace;

/// The programs and files of a stack's servers; `None` for those not wanted.
#[derive(Debug, Clone)]
pub struct Kit {
    /// PostgreSQL's folder of server programs.
    pub postgres_bin: Option<PathBuf>,
    /// Java, Kafka, Connect and its plugins.
    pub jvm: Option<Jvm>,
    /// Which ClickHouse.
    pub clickhouse: Option<ClickHouseSource>,
}

impl Kit {
    /// Looks for everything, installs what is missing when we are root, downloads and builds the rest.
    ///
    /// # Errors
    /// [`prerequisites::Missing`] with the command to run when we may not install; a failed download or build.
    pub async fn prepare(options: &StackOptions) -> Result<Self> {
        let cache = Cache::open()?;
        let (wants_jvm, wants_clickhouse) = (options.wants(Server::Kafka), options.wants(Server::ClickHouse));
        let clickhouse = if wants_clickhouse { existing_clickhouse() } else { None };
        let wants_engine = wants_clickhouse && clickhouse.is_none();

        let mut needs = Vec::new();
        if options.wants(Server::Postgres) {
            needs.push(Need::Postgres);
        }
        if wants_jvm {
            needs.push(Need::Java);
        }
        if wants_jvm && !cache.has_jars() {
            needs.push(Need::Maven);
        }
        if wants_engine && !cache.has_engine() {
            needs.push(Need::Npm);
        }
        let found = prerequisites::ensure(&needs).await?;

        let (jars, engine) = tokio::try_join!(
            async { if wants_jvm { cache.jars().await.map(Some) } else { Ok(None) } },
            async { if wants_engine { cache.engine().await.map(Some) } else { Ok(None) } },
        )?;
        let jvm = jars.zip(found.java).map(|((libs, plugins), java)| Jvm { java, libs, plugins });
        let clickhouse = match engine {
            Some(library) => {
                let package = "embedded-clickhouse";
                let program = if options.release {
                    workspace::build_release(package, "--bin", package, "").await?
                } else {
                    workspace::build_binary(package).await?
                };
                Some(ClickHouseSource::Embedded { program, library })
            }
            None => clickhouse,
        };
        Ok(Self { postgres_bin: found.postgres_bin, jvm, clickhouse })
    }
}

/// A server named by URL, or a `clickhouse` binary on PATH.
fn existing_clickhouse() -> Option<ClickHouseSource> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(url) = variable("NOVA_CLICKHOUSE_URL") {
        let user = variable("NOVA_CLICKHOUSE_USER").unwrap_or_else(|| "default".to_owned());
        let password = variable("NOVA_CLICKHOUSE_PASSWORD").unwrap_or_default();
        return Some(ClickHouseSource::External { url, user, password });
    }
    prerequisites::on_path("clickhouse").map(ClickHouseSource::Binary)
}
