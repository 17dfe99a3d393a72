//! Workers that come and go while the application writes.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::admin::metric;
use crate::checks::equal;
use crate::wait::{s, until};
use crate::world::{World, ended};

/// GIVEN traffic / WHEN `nova run` gets SIGTERM / THEN it drains and exits with 0, and a new one goes on where it was.
pub(crate) async fn sigterm_under_load(world: &mut World) -> Result<()> {
    let load = world.load(200.0);
    let replace = async {
        load.goes_on_for(400).await?;
        let code = world.replace_worker(Signal::SIGTERM).await?;
        load.goes_on_for(200).await?;
        Ok(code)
    };
    let code = load.around(replace).await?;
    ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
    equal(world).await?;
    Ok(())
}

/// GIVEN traffic / WHEN a second member joins each group and leaves again / THEN nothing is lost or doubled.
pub(crate) async fn rebalance(world: &mut World) -> Result<()> {
    let load = world.load(200.0);
    let world = &*world;
    let join_and_leave = async {
        load.goes_on_for(200).await?;
        let share = async |admin: &str| metric(admin, "nova_assigned_partitions", &[]).await;
        let total = share(&world.worker().admin).await?;
        let second = world.installation.run_worker("cdc-second", &["cdc"]).await?;
        // On their way from one to the other, partitions are nobody's.
        until("both members own all partitions together", s(30), async || {
            let (first, other) = (share(&world.worker().admin).await?, share(&second.admin).await?);
            ensure!(first > 0.0 && other > 0.0, "{first} and {other}");
            ensure!((first + other - total).abs() < 0.5, "{first} and {other} of {total} partitions");
            Ok(())
        })
        .await?;
        load.goes_on_for(200).await?;
        let code = ended(&second.process, Signal::SIGTERM).await?;
        ensure!(code == Some(0), "the second member: exit code {code:?} after SIGTERM");
        until("the first member owns everything again", s(30), async || {
            let owned = share(&world.worker().admin).await?;
            ensure!((owned - total).abs() < 0.5, "{owned} of {total} partitions");
            Ok(())
        })
        .await
        .context("after the second member left")
    };
    load.around(join_and_leave).await?;
    equal(world).await?;
    Ok(())
}
