//! The scripts of `deploy/security`, applied as an administrator does.

use anyhow::{Context, Result};
use sqlx::postgres::PgPoolOptions;
use tokio::process::Command;
use xtask::installation::source_schema;
use xtask::stack::Stack;
use xtask::workspace;

/// Who migrates.
pub(crate) const OWNER: &str = "nova_owner";

/// `kafka-acls.sh`, through the plain listener, whose clients are superusers.
pub(crate) async fn kafka_acls(stack: &Stack) -> Result<()> {
    let kafka = stack.kafka()?;
    let mut command = Command::new(workspace::root().join("deploy/security/kafka-acls.sh"));
    command.env("BOOTSTRAP", kafka.bootstrap());
    let (java, arguments) = kafka.tool_command("org.apache.kafka.tools.AclCommand");
    command.env("KAFKA_ACLS", format!("{} -XX:TieredStopAtLevel=1 {}", java.display(), arguments.join(" ")));
    run("kafka-acls.sh", command).await
}

/// `postgres.sql` as the superuser, then the migrations as the owner that it makes.
pub(crate) async fn postgres_roles(stack: &Stack, owner_password: &str) -> Result<()> {
    let postgres = stack.postgres()?;
    let mut command = Command::new(postgres.bin().join("psql"));
    command.arg(postgres.admin_url()).arg("--quiet").arg("--no-psqlrc");
    for (name, password) in
        [("owner", owner_password), ("replication", "replaced later"), ("reader", "replaced later")]
    {
        command.arg("-v").arg(format!("{name}={password}"));
    }
    command.arg("-f").arg(workspace::root().join("deploy/security/postgres.sql"));
    run("postgres.sql", command).await?;
    let url = format!("postgres://{OWNER}:{owner_password}@127.0.0.1:{}/nova", postgres.port());
    let pool = PgPoolOptions::new().max_connections(2).connect(&url).await.context("as the owner")?;
    source_schema(&pool).await?;
    pool.close().await;
    Ok(())
}

async fn run(what: &str, mut command: Command) -> Result<()> {
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("{what} cannot be run"))?;
    anyhow::ensure!(
        output.status.success(),
        "{what} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
