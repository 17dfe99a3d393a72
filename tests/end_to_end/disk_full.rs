//! A disk that is full under ClickHouse.
//!
//! A second, small server gets the same streams under consumer groups of its own. Its data lie on a tmpfs in a mount
//! namespace of its own, which ends with its process, so nothing is left mounted whatever happens.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use uuid::Uuid;
use xtask::compare::compare;
use xtask::installation::clickhouse_rows;
use xtask::stack::{
    ClickHouseServer, ClickHouseSource, Kit, Launch, Lifetime, Server, ServerProcess, Site, StackOptions,
    StopManner, free_port, wait_ready,
};
use xtask::traffic::Table;

use crate::admin::{get, metric, ready};
use crate::checks::TABLES;
use crate::wait::{s, until};
use crate::world::World;

const SIZE: &str = "256m";
/// Mounts the tmpfs ($0 its size, $1 where), then becomes the server.
const ON_TMPFS: &str = "mount -t tmpfs -o size=$0 tmpfs \"$1\" && shift && exec \"$@\"";

/// GIVEN a worker whose ClickHouse runs out of space / THEN it waits and says so, and nothing becomes a dead letter;
/// WHEN there is space again / THEN it goes on, and each row is there once.
pub(crate) async fn disk_full(world: &mut World) -> Result<()> {
    let Some(small) = Small::start(world).await? else { return Ok(()) };
    let settings = small.settings();
    let set: Vec<&str> = settings.iter().map(String::as_str).collect();
    let migrated = world.nova(&[&set[..], &["migrate"]].concat()).await?;
    ensure!(migrated.code == Some(0), "{migrated:?}");
    world.traffic(2, 100.0).await?;
    let args = [&["cdc", "--from-beginning"], &set[..]].concat();
    let worker = world.installation.run_worker("disk-full", &args).await?;
    same(world, &small.server).await?;
    // From the beginning: poison of before is among it.
    let before = letters(&worker.admin).await;

    let ballast = small.fill()?;
    world.traffic(2, 100.0).await?;
    until("readiness tells of the full disk", s(60), async || {
        let (status, body) = get(&worker.admin, "/health/ready").await?;
        ensure!(status == 503, "/health/ready answers {status}: {body}");
        ensure!(body.contains("space"), "{body}");
        Ok(())
    })
    .await?;
    let (status, body) = get(&worker.admin, "/health/live").await?;
    ensure!(status == 200, "/health/live answers {status}: {body}");

    std::fs::remove_file(&ballast)?;
    ready(&worker.admin, s(60)).await?;
    world.traffic(1, 100.0).await?;
    same(world, &small.server).await?;
    let now = letters(&worker.admin).await;
    ensure!(now == before, "a full disk made dead letters: {now} after {before}");
    Ok(())
}

/// How many dead letters the worker has written.
async fn letters(admin: &str) -> f64 {
    metric(admin, "nova_dead_letters_total", &[]).await.unwrap_or(0.0)
}

/// Waits until the small server has the states of PostgreSQL, each message's rows once.
async fn same(world: &World, server: &ClickHouseServer) -> Result<()> {
    until("the small server has everything", s(60), async || {
        // The small worker runs no stream of events.
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Outbox) {
            let compared = compare(world.postgres(), server, table).await?;
            ensure!(compared.different == 0, "{compared:?}");
        }
        Ok(())
    })
    .await?;
    for table in TABLES {
        let doubled = format!(
            "SELECT topic, kafka_partition, kafka_offset, ordinal, count() FROM nova.{table} \
             GROUP BY ALL HAVING count() > 1 LIMIT 5"
        );
        let doubled = clickhouse_rows(server, &doubled).await?;
        ensure!(doubled.is_empty(), "{table}: rows of one message more than once: {doubled:?}");
    }
    Ok(())
}

/// The embedded engine on a small disk. The process goes before the folder it works in, which is the stack's.
struct Small {
    process: ServerProcess,
    server: ClickHouseServer,
    disk: PathBuf,
}

impl Small {
    /// Nothing where it cannot be done; then it says why.
    async fn start(world: &World) -> Result<Option<Self>> {
        let options = StackOptions::only(&[Server::ClickHouse]);
        let Some(ClickHouseSource::Embedded { program, library }) = Kit::prepare(&options).await?.clickhouse
        else {
            xtask::say("disk_full: not done, since this ClickHouse is not the embedded one");
            return Ok(None);
        };
        let run_dir = &world.stack.run_dir;
        let home = run_dir.subdir("small-clickhouse")?;
        if let Err(refused) = may_mount(&home).await {
            xtask::say(&format!("disk_full: not done, since no file system can be mounted: {refused}"));
            return Ok(None);
        }
        let (port, password) = (free_port()?, Uuid::new_v4().simple().to_string());
        let (listen, disk) = (format!("127.0.0.1:{port}"), home.display().to_string());
        let (program, library) = (program.display().to_string(), library.display().to_string());
        let data = home.join("data").display().to_string();
        let server = [&program, "--library", &library, "--data", &data, "--listen", &listen];
        let mount = ["--mount", "--propagation", "private", "sh", "-c", ON_TMPFS, SIZE, &disk];
        let process = ServerProcess::spawn(Launch {
            name: "small ClickHouse",
            program: "unshare".into(),
            args: mount.iter().chain(&server).map(|arg| (*arg).to_owned()).collect(),
            envs: vec![("EMBEDDED_CLICKHOUSE_PASSWORD".to_owned(), password.clone())],
            account: None,
            dir: run_dir.path().to_owned(),
            log: run_dir.log("small-clickhouse"),
            stop: StopManner::Terminate,
            lifetime: Lifetime::WithOwner,
        })?;
        let url = format!("http://{listen}");
        wait_ready(&process, s(60), async || {
            ensure!(reqwest::get(format!("{url}/ping")).await?.status().is_success(), "not ready");
            Ok(())
        })
        .await?;
        let source = ClickHouseSource::External { url, user: "default".to_owned(), password };
        let server = ClickHouseServer::start(Site { run_dir, options: &options }, &source, port).await?;
        Ok(Some(Self { process, server, disk: home }))
    }

    fn settings(&self) -> [String; 4] {
        [
            format!("--set=clickhouse.url={}", self.server.url()),
            format!("--set=clickhouse.user={}", self.server.user()),
            format!("--set=clickhouse.password={}", self.server.password()),
            "--set=kafka.group_prefix=small".to_owned(),
        ]
    }

    /// Takes all space, by a file that is answered.
    fn fill(&self) -> Result<PathBuf> {
        // The way into the process's own mounts.
        let inside = Path::new("/proc").join(self.process.pid().to_string()).join("root");
        let ballast = inside.join(self.disk.strip_prefix("/")?).join("ballast");
        let mut file = File::create(&ballast).with_context(|| ballast.display().to_string())?;
        for size in [1 << 20, 1 << 10] {
            let block = vec![1; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => bail!("{}: {error}", ballast.display()),
                }
            }
        }
        Ok(ballast)
    }
}

async fn may_mount(at: &Path) -> Result<()> {
    let at = at.display().to_string();
    let args = ["--mount", "--propagation", "private", "sh", "-c", ON_TMPFS, "1m", &at, "true"];
    let output = Command::new("unshare").args(args).output().await.context("unshare")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
