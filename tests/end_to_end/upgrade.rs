//! A rolling upgrade to a release that writes another form of the ledger's metadata, and the rolling downgrade.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use xtask::installation::{Installation, RunningWorker};
use xtask::workspace;

use crate::checks::{equal, goes_on};
use crate::wait::{s, until};
use crate::world::{Answer, World, ended};

/// A second `nova` is built first.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

/// Members of the group at any time.
const MEMBERS: usize = 2;
/// What `LEDGER_FORM` says of a release; without it, the program as shipped.
const STAGES: [&str; 4] = ["reads-next", "writes-next", "reads-next", ""];

/// GIVEN two members under load / WHEN all of them are replaced, one by one, by the release that reads the next form, by that
/// which writes it, and back again, every second one by a kill / THEN nothing is lost or doubled, batches that a release left
/// open were settled by its neighbour, and the program as shipped says when it may come back.
pub(crate) async fn upgrade(world: &mut World) -> Result<()> {
    let next = rehearsal(world).await?;
    let load = world.load(150.0);
    world.stop_worker().await?;
    let mut logs = Vec::new();
    let rolling = async {
        let on_stage: &World = world;
        let mut members = Vec::new();
        for number in 0..MEMBERS {
            members.push(member(&on_stage.installation, &format!("shipped-{number}"), "").await?);
        }
        for (number, stage) in STAGES.iter().enumerate() {
            let installation = if stage.is_empty() { &on_stage.installation } else { &next };
            for (place, signal) in [Signal::SIGKILL, Signal::SIGTERM].into_iter().enumerate() {
                load.goes_on_for(150).await?;
                let old = members.get_mut(place).context("no such member")?;
                let code = ended(&old.process, signal).await?;
                ensure!(
                    signal == Signal::SIGKILL || code == Some(0),
                    "{:?} of {}",
                    code,
                    old.process.log().display()
                );
                logs.push(old.process.log().to_owned());
                *old = member(installation, &format!("stage-{number}-{place}"), stage).await?;
            }
            load.goes_on_for(150).await?;
            may_shipped_come(on_stage, *stage != "writes-next").await.context(*stage)?;
        }
        for member in &members {
            ended(&member.process, Signal::SIGTERM).await?;
            logs.push(member.process.log().to_owned());
        }
        Ok(())
    };
    load.around(rolling).await?;
    world.start_worker().await?;
    equal(world).await?;
    let mut settled = 0;
    for log in &logs {
        let text = std::fs::read_to_string(log).with_context(|| log.display().to_string())?;
        settled += text.matches("settling a batch that was left open").count();
        let halt = text.lines().find(|line| line.contains("ERROR"));
        ensure!(halt.is_none(), "{}: {halt:?}", log.display());
    }
    world.note(&format!("{settled} batches that were left open were settled"));
    ensure!(settled > 0, "no kill left a batch open");
    goes_on(world).await
}

/// The program that can be told to be a later release, beside the one that is shipped.
async fn rehearsal(world: &World) -> Result<Installation> {
    let built = workspace::build_binary_with("nova", "nova-pipeline/next-form").await?;
    let copy = world.stack.run_dir.subdir("next")?.join("nova");
    tokio::fs::copy(&built, &copy).await.with_context(|| format!("copying {}", built.display()))?;
    let mut next = world.installation.clone();
    next.nova = copy;
    Ok(next)
}

/// The group gives up a member that was killed after 6 s.
async fn member(installation: &Installation, log: &str, form: &str) -> Result<RunningWorker> {
    let envs = if form.is_empty() { Vec::new() } else { vec![("LEDGER_FORM".to_owned(), form.to_owned())] };
    let args = ["cdc", "--set", "kafka.session_timeout=6s"];
    let worker = installation.spawn_worker_with(log, &args, envs)?;
    worker.wait_ready().await?;
    Ok(worker)
}

/// `nova offsets show` of the program as shipped says whether it can read what stands beside the offsets.
async fn may_shipped_come(world: &World, expected: bool) -> Result<()> {
    until("the program as shipped says whether it may come", s(30), async || {
        let Answer { code, stdout, stderr, .. } = world.nova(&["offsets", "show"]).await?;
        let refuses = code == Some(3) && stdout.contains("written by another version");
        ensure!((code == Some(0)) == expected && refuses != expected, "{code:?}: {stdout}{stderr}");
        Ok(())
    })
    .await
}
