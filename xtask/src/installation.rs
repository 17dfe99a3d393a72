//! Nova installed on a running stack: source schema, ClickHouse tables, connector, and `nova` itself.
//!
//! Invariant: everything is done by the same commands that a user runs (`nova migrate`, `nova connector apply`,
//! `nova run`); nothing here knows a second way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use tokio::process::Command;
use uuid::Uuid;

use crate::stack::{
    ClickHouseServer, Launch, Lifetime, ServerProcess, Stack, StopManner, free_port, wait_ready,
};
use crate::workspace;

/// Long enough for a first assignment of partitions on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The database of the event tables.
pub const DATABASE: &str = "nova";

/// Nova's files and program for one stack.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The `nova` program.
    pub nova: PathBuf,
    /// Its configuration for this stack.
    pub config: PathBuf,
    /// The source database, as its owner.
    pub postgres: PgPool,
    dir: PathBuf,
    lifetime: Lifetime,
}

/// A running `nova run`.
#[derive(Debug)]
pub struct RunningWorker {
    /// The process.
    pub process: ServerProcess,
    /// Where it serves health and metrics, `http://127.0.0.1:port`.
    pub admin: String,
    /// Where it serves the dashboard.
    pub dashboard: String,
}

impl Installation {
    /// Builds `nova`, makes the source schema and writes the configuration; changes nothing outside of PostgreSQL.
    ///
    /// # Errors
    /// When the build, a migration or a server fails.
    pub async fn prepare(stack: &Stack, lifetime: Lifetime) -> Result<Self> {
        Self::prepare_with(workspace::build_binary("nova").await?, stack, lifetime).await
    }

    /// The same with this program instead, of which it takes a copy: what is built meanwhile changes nothing here.
    ///
    /// # Errors
    /// When a migration or a server fails.
    pub async fn prepare_with(built: PathBuf, stack: &Stack, lifetime: Lifetime) -> Result<Self> {
        let postgres = connect_postgres(&stack.postgres()?.admin_url()).await?;
        source_schema(&postgres).await?;
        let dir = stack.run_dir.subdir("nova")?;
        let nova = dir.join("nova");
        std::fs::copy(&built, &nova).with_context(|| format!("copying {}", built.display()))?;
        let config = dir.join("nova.toml");
        std::fs::write(&config, render_config(stack, &postgres).await?)
            .context("nova.toml cannot be written")?;
        Ok(Self { nova, config, postgres, dir, lifetime })
    }

    /// Runs `nova` with these arguments and answers its standard output.
    ///
    /// # Errors
    /// When it fails; with its messages.
    pub async fn nova(&self, args: &[&str]) -> Result<String> {
        let output = self.nova_output(args).await?;
        ensure!(
            output.status.success(),
            "`nova {}` failed ({}):\n{}{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `nova` with these arguments, whatever comes of it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn nova_output(&self, args: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new(&self.nova);
        command.arg("--config").arg(&self.config).args(args).kill_on_drop(true);
        command.output().await.with_context(|| format!("{} cannot be run", self.nova.display()))
    }

    /// Tables, views and dictionaries in ClickHouse; topics and the connector.
    ///
    /// # Errors
    /// What the commands say.
    pub async fn install(&self) -> Result<()> {
        self.nova(&["migrate"]).await?;
        self.nova(&["connector", "apply"]).await?;
        Ok(())
    }

    /// Starts `nova run` with these arguments and waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with the end of its log.
    pub async fn run_worker(&self, log: &str, args: &[&str]) -> Result<RunningWorker> {
        let worker = self.spawn_worker(log, args)?;
        worker.wait_ready().await?;
        Ok(worker)
    }

    /// Starts `nova run` with these arguments, and does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_worker(&self, log: &str, args: &[&str]) -> Result<RunningWorker> {
        self.spawn_worker_with(log, args, Vec::new())
    }

    /// The same with these variables in its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_worker_with(
        &self,
        log: &str,
        args: &[&str],
        envs: Vec<(String, String)>,
    ) -> Result<RunningWorker> {
        let port = free_port()?;
        let listen = format!("monitoring.listen=127.0.0.1:{port}");
        let shown = free_port()?;
        let show = format!("admin.listen=127.0.0.1:{shown}");
        let fixed = ["--config", path_text(&self.config)?, "--set", &listen, "--set", &show, "run"];
        let process = ServerProcess::spawn(Launch {
            name: "nova run",
            program: self.nova.clone(),
            args: fixed.iter().chain(args).map(|arg| (*arg).to_owned()).collect(),
            envs,
            account: None,
            dir: self.dir.clone(),
            log: self.dir.join(format!("{log}.log")),
            stop: StopManner::Terminate,
            lifetime: self.lifetime,
        })?;
        let (admin, dashboard) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{shown}"));
        Ok(RunningWorker { process, admin, dashboard })
    }
}

impl RunningWorker {
    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with the end of its log.
    pub async fn wait_ready(&self) -> Result<()> {
        wait_ready(&self.process, READY_WITHIN, async || {
            let response = reqwest::get(format!("{}/health/ready", self.admin)).await?;
            let (status, body) = (response.status(), response.text().await?);
            ensure!(status.is_success(), "{body}");
            Ok(())
        })
        .await
    }
}

/// A pool for the source database.
///
/// # Errors
/// When it cannot be reached.
pub async fn connect_postgres(url: &str) -> Result<PgPool> {
    PgPoolOptions::new().max_connections(16).connect(url).await.context("PostgreSQL cannot be reached")
}

/// Applies the migrations of the source schema.
///
/// # Errors
/// What the migration that fails says.
pub async fn source_schema(pool: &PgPool) -> Result<()> {
    let folder = workspace::root().join("schemas/postgres/migrations");
    let migrator = Migrator::new(folder).await.context("schemas/postgres/migrations")?;
    migrator.run(pool).await.context("source schema")
}

async fn render_config(stack: &Stack, postgres: &PgPool) -> Result<String> {
    let (reader, replication) = (password(), password());
    for (role, password) in [("nova_reader", &reader), ("nova_replication", &replication)] {
        // Both parts are our own: a fixed role and hexadecimal digits. ALTER ROLE takes no parameters.
        let sql = format!("ALTER ROLE {role} PASSWORD '{password}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(postgres)
            .await
            .with_context(|| format!("role {role}"))?;
    }
    let streams = workspace::root().join("config/streams.toml");
    let clickhouse = stack.clickhouse()?;
    let (owner, owner_password) = stack.postgres()?.owner();
    Ok(format!(
        "streams = {streams}\n\
         [postgres]\nhost = \"127.0.0.1\"\nport = {port}\ndatabase = \"nova\"\npassword = \"{reader}\"\n\
         owner = \"{owner}\"\nowner_password = \"{owner_password}\"\n\
         [kafka]\nbrokers = \"{brokers}\"\n\
         [connect]\nurl = \"{connect}\"\nreplication_password = \"{replication}\"\npartitions = 4\nreplicas = 1\n\
         [clickhouse]\nurl = \"{url}\"\ndatabase = \"{DATABASE}\"\nuser = \"{user}\"\npassword = \"{password}\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n",
        streams = toml_text(path_text(&streams)?),
        port = stack.postgres()?.port(),
        brokers = stack.kafka()?.bootstrap(),
        connect = stack.connect()?.url(),
        url = clickhouse.url(),
        user = clickhouse.user(),
        password = clickhouse.password(),
    ))
}

fn password() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A TOML basic string; JSON's escapes are a part of TOML's.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Rows of a ClickHouse query as tab-separated fields.
///
/// # Errors
/// With ClickHouse's message when it refuses.
pub async fn clickhouse_rows(server: &ClickHouseServer, sql: &str) -> Result<Vec<Vec<String>>> {
    let text = server.query(&format!("{sql} FORMAT TSV")).await.with_context(|| sql.to_owned())?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// The one number that a query answers.
///
/// # Errors
/// When it answers anything else.
pub async fn clickhouse_number(server: &ClickHouseServer, sql: &str) -> Result<i64> {
    let rows = clickhouse_rows(server, sql).await?;
    match rows.as_slice() {
        [row] if row.len() == 1 => Ok(row.concat().parse()?),
        _ => bail!("{sql} answered {rows:?}"),
    }
}
