//! `nova run` as a contestant: one or several processes of one group.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::contest::Figures;
use super::process::Usage;
use super::site::{Site, Topic};
use super::table;
use crate::stack::{Launch, Lifetime, ServerProcess, StopManner, free_port, wait_ready};
use crate::workspace;

/// A running `nova run --stream likes`.
pub(super) struct Worker {
    pub(super) process: ServerProcess,
    admin: String,
}

/// Drains the topic with so many processes of `program`, each with these variables in its environment; `merging`: whether
/// ClickHouse merges the table's parts meanwhile.
pub(super) async fn drain(
    site: &mut Site,
    topic: &Topic,
    program: &Path,
    processes: usize,
    envs: &[(&str, &str)],
    merging: bool,
) -> Result<Figures> {
    let name = site.new_name();
    table::create(site, &name).await?;
    if !merging {
        table::stop_merges(site, &name).await?;
    }
    let (server, broker) = (site.clickhouse()?.process()?.pid(), site.kafka()?.process.pid());
    let (before, broker_before) = (Usage::of(server)?, Usage::of(broker)?);
    let begun = Instant::now();
    let mut workers = Vec::new();
    for number in 0..processes {
        workers.push(Worker::start(site, &topic.name, &name, number, program, envs)?.process);
    }
    table::all_rows(site, &name, &topic.content, &workers).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let clients = workers.iter().map(|worker| Usage::of(worker.pid())).collect::<Result<Vec<_>>>()?;
    let (server, broker) = (Usage::of(server)?, Usage::of(broker)?);
    for worker in &workers {
        worker.kill(Signal::SIGTERM)?;
    }
    for worker in workers {
        ensure!(worker.wait_ended(Duration::from_secs(30)), "nova did not end within 30 s of SIGTERM");
    }
    Ok(Figures {
        seconds,
        client_cpu_seconds: clients.iter().map(|client| client.cpu_seconds).sum(),
        server_cpu_seconds: server.cpu_seconds - before.cpu_seconds,
        broker_cpu_seconds: broker.cpu_seconds - broker_before.cpu_seconds,
        client_peak_mib: clients.iter().map(|client| client.peak_mib).fold(0.0, f64::max),
        row_bytes: table::judge(site, &name, &topic.content).await?,
    })
}

impl Worker {
    /// Starts number `number` of the group `name`, which fills the table in the database of the same name.
    pub(super) fn start(
        site: &Site,
        topic: &str,
        name: &str,
        number: usize,
        program: &Path,
        envs: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = site.folder(name)?;
        let (config, streams) = (folder.join("nova.toml"), folder.join("streams.toml"));
        fs::write(&streams, likes_alone(topic)?)?;
        let clickhouse = site.clickhouse()?;
        let text = format!(
            "streams = {streams:?}\n[kafka]\nbrokers = \"{}\"\ngroup_prefix = \"{name}\"\n\
             [clickhouse]\nurl = \"{}\"\ndatabase = \"{name}\"\nuser = \"{}\"\npassword = \"{}\"\n\
             [admin]\nlisten = \"\"\n",
            site.kafka()?.bootstrap(),
            clickhouse.url(),
            clickhouse.user(),
            clickhouse.password(),
        );
        fs::write(&config, text)?;
        let port = free_port()?;
        let mut args =
            vec!["--config".to_owned(), config.to_str().context("a path that is not UTF-8")?.to_owned()];
        let listen = format!("monitoring.listen=127.0.0.1:{port}");
        for setting in site.settings.iter().chain([&listen]) {
            args.extend(["--set".to_owned(), setting.clone()]);
        }
        args.extend(["run", "--stream", "likes", "--from-beginning"].map(str::to_owned));
        let process = ServerProcess::spawn(Launch {
            name: "nova run",
            program: program.to_owned(),
            args,
            envs: envs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            account: None,
            dir: folder.clone(),
            log: folder.join(format!("nova-{number}.log")),
            stop: StopManner::Terminate,
            lifetime: Lifetime::WithOwner,
        })?;
        Ok(Self { process, admin: format!("http://127.0.0.1:{port}") })
    }

    /// Waits until it owns its partitions.
    pub(super) async fn ready(&self) -> Result<()> {
        wait_ready(&self.process, Duration::from_secs(60), async || {
            let response = reqwest::get(format!("{}/health/ready", self.admin)).await?;
            ensure!(response.status().is_success(), "{}", response.text().await?);
            Ok(())
        })
        .await
    }
}

/// The declaration of `likes` from the shipped file, reading this topic; alone, so that the table's window is asked for
/// one stream.
fn likes_alone(topic: &str) -> Result<String> {
    let text = fs::read_to_string(workspace::root().join("config/streams.toml"))?;
    let (_, from) = text.split_once("[streams.likes]").context("config/streams.toml has no likes")?;
    let likes = from.split("\n[streams.").enumerate().filter_map(|(index, part)| match index {
        0 => Some(part.to_owned()),
        _ => part.strip_prefix("likes").map(|part| format!("\n[streams.likes{part}")),
    });
    let likes = likes.collect::<String>();
    let (before, after) = likes.split_once("\"cdc.likes\"").context("`likes` reads another topic")?;
    Ok(format!("[streams.likes]{before}\"{topic}\"{after}"))
}
