//! Servers that die and come back.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::admin::{get, metric, ready};
use crate::checks::{equal, goes_on};
use crate::topics::{Record, produce, read_all};
use crate::wait::{s, until};
use crate::world::World;

const DEAD_LETTERS: &str = "nova.dead-letters";

/// GIVEN traffic / WHEN ClickHouse is killed / THEN readiness says so, the process stays live, nothing becomes a dead
/// letter; WHEN it is back / THEN both ends become equal.
pub(crate) async fn clickhouse_down(world: &mut World) -> Result<()> {
    if world.clickhouse()?.process().is_err() {
        xtask::say("clickhouse_down: not done, since this ClickHouse is not ours to kill");
        return Ok(());
    }
    let letters = read_all(&world.brokers()?, DEAD_LETTERS)?.len();
    let load = world.load(150.0);
    let admin = world.worker().admin.clone();
    let kill = async {
        load.goes_on_for(150).await?;
        world.clickhouse()?.process()?.kill(Signal::SIGKILL)?;
        until("readiness tells of ClickHouse's death", s(20), async || {
            live(&admin).await?;
            let (status, body) = get(&admin, "/health/ready").await?;
            ensure!(status == 503, "/health/ready answers {status}: {body}");
            ensure!(reasons(&body)?.iter().any(|reason| reason.contains("ClickHouse")), "{body}");
            Ok(())
        })
        .await
    };
    load.around(kill).await?;
    live(&admin).await?;
    let clickhouse = world.stack.clickhouse.as_mut().context("this stack has no ClickHouse")?;
    clickhouse.restart().await?;
    ready(&admin, s(60)).await?;
    goes_on(world).await?;
    let now = read_all(&world.brokers()?, DEAD_LETTERS)?.len();
    ensure!(now == letters, "an outage made {} dead letters", now - letters);
    Ok(())
}

async fn live(admin: &str) -> Result<()> {
    let (status, body) = get(admin, "/health/live").await?;
    ensure!(status == 200, "/health/live answers {status}: {body}");
    Ok(())
}

fn reasons(body: &str) -> Result<Vec<String>> {
    let report: serde_json::Value = serde_json::from_str(body)?;
    let reasons = report["reasons"].as_array().context("no reasons")?;
    Ok(reasons.iter().filter_map(|reason| reason.as_str().map(str::to_owned)).collect())
}

/// GIVEN a resting application / WHEN the broker is killed and started again / THEN everybody goes on by himself.
pub(crate) async fn kafka_restart(world: &mut World) -> Result<()> {
    equal(world).await?;
    let kafka = world.stack.kafka.as_mut().context("this stack has no Kafka")?;
    kafka.process.kill(Signal::SIGKILL)?;
    kafka.restart().await?;
    recovered(world).await
}

/// GIVEN a resting application / WHEN the broker cannot write any more / THEN it gives its only log folder up and ends,
/// as it does on a full disk, and Nova waits and says so; WHEN it can write again / THEN everybody goes on.
///
/// The limit of a file's size stands for the disk: the broker meets the same failed write, and nothing is mounted.
pub(crate) async fn kafka_disk_full(world: &mut World) -> Result<()> {
    equal(world).await?;
    let (admin, brokers) = (world.worker().admin.clone(), world.brokers()?);
    let process = &world.stack.kafka()?.process;
    let pid = process.pid().to_string();
    let limited =
        Command::new("prlimit").args(["--pid", &pid, "--fsize=1"]).status().await.context("prlimit")?;
    ensure!(limited.success(), "prlimit: {limited}");
    // A tombstone: one write in no transaction, which Nova skips when it should arrive after all.
    let write = async {
        let _ = produce(&brokers, "cdc.likes", vec![Record::default()]).await;
        std::future::pending::<Result<()>>().await
    };
    let ended = until("the broker has ended", s(60), async || {
        process.exit_status().map(drop).context("it still runs")
    });
    tokio::select! {
        ended = ended => ended?,
        never = write => never?,
    }
    until("readiness tells of Kafka", s(60), async || {
        live(&admin).await?;
        let (status, body) = get(&admin, "/health/ready").await?;
        ensure!(status == 503, "/health/ready answers {status}: {body}");
        ensure!(reasons(&body)?.iter().any(|reason| reason.contains("kafka")), "{body}");
        Ok(())
    })
    .await?;
    let kafka = world.stack.kafka.as_mut().context("this stack has no Kafka")?;
    kafka.restart().await?;
    recovered(world).await
}

/// The same for the worker of Kafka Connect.
pub(crate) async fn connect_restart(world: &mut World) -> Result<()> {
    equal(world).await?;
    let connect = world.stack.connect.as_mut().context("this stack has no Kafka Connect")?;
    connect.process.kill(Signal::SIGKILL)?;
    connect.restart().await?;
    recovered(world).await
}

/// The same for PostgreSQL; a worker of streams stays ready meanwhile.
pub(crate) async fn postgres_restart(world: &mut World) -> Result<()> {
    equal(world).await?;
    let admin = world.worker().admin.clone();
    // Its orderly way out, at once.
    world.stack.postgres()?.process.kill(Signal::SIGINT)?;
    until("a metric tells of PostgreSQL's end", s(30), async || {
        let up = metric(&admin, "nova_server_up", &[("server", "postgres")]).await?;
        ensure!(up < 0.5, "nova_server_up is {up}");
        Ok(())
    })
    .await?;
    let (status, body) = get(&admin, "/health/ready").await?;
    ensure!(status == 200, "/health/ready answers {status}: {body}");
    let postgres = world.stack.postgres.as_mut().context("this stack has no PostgreSQL")?;
    postgres.restart().await?;
    recovered(world).await
}

async fn recovered(world: &mut World) -> Result<()> {
    ready(&world.worker().admin.clone(), s(60)).await?;
    goes_on(world).await?;
    let lost = metric(&world.worker().admin, "nova_dead_letters_total", &[("kind", "unavailable")]).await;
    ensure!(lost.unwrap_or(0.0) < 0.5, "an outage made dead letters");
    Ok(())
}
