//! Where scenarios are performed: holds the one world, gives it to each scenario, takes it away from a failed one.
//!
//! Invariant: a scenario begins with a world in which everything runs. After a failure the world is stopped, so that
//! the next scenario starts one of its own and fails or passes for its own reasons.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// No scenario waits for anything for so long, except for those that say how long.
const LIMIT: Duration = Duration::from_secs(180);

/// The one world, or why there is none.
enum Slot {
    Empty,
    Up(Box<World>),
    /// It did not start; another try would not either.
    Refused(String),
}

/// Shared by all trials.
pub(crate) struct Stage {
    runtime: Handle,
    slot: Mutex<Slot>,
    interrupt: CancellationToken,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let interrupt = CancellationToken::new();
        Self { runtime: Handle::current(), slot: Mutex::new(Slot::Empty), interrupt }
    }

    /// A scenario as a test of that name.
    pub(crate) fn trial<S>(self: &Arc<Self>, name: &str, scenario: S) -> Trial
    where
        S: AsyncFnOnce(&mut World) -> Result<()> + Send + 'static,
    {
        self.trial_within(name, LIMIT, scenario)
    }

    /// The same with a limit of its own.
    pub(crate) fn trial_within<S>(self: &Arc<Self>, name: &str, limit: Duration, scenario: S) -> Trial
    where
        S: AsyncFnOnce(&mut World) -> Result<()> + Send + 'static,
    {
        let stage = Arc::clone(self);
        Trial::test(name, move || stage.perform(limit, scenario))
    }

    /// The same for a scenario that leaves both ends different for good, or topics that lack what the next one needs: that
    /// one gets a world of its own.
    pub(crate) fn trial_that_spoils<S>(self: &Arc<Self>, name: &str, scenario: S) -> Trial
    where
        S: AsyncFnOnce(&mut World) -> Result<()> + Send + 'static,
    {
        let stage = Arc::clone(self);
        Trial::test(name, move || {
            stage.perform(LIMIT, scenario)?;
            stage.clear();
            Ok(())
        })
    }

    /// Ends the scenario at work; those after it fail at once.
    pub(crate) fn interrupt(&self) {
        self.interrupt.cancel();
    }

    /// Stops the world, if there is one.
    pub(crate) fn clear(&self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Empty;
    }

    fn perform(
        &self,
        limit: Duration,
        scenario: impl AsyncFnOnce(&mut World) -> Result<()>,
    ) -> Result<(), Failed> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let work = async {
            let work = self.interrupt.run_until_cancelled(on(&mut slot, limit, scenario));
            work.await.unwrap_or_else(|| Err(anyhow!("interrupted")))
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(work)));
        let error = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without words").to_owned()
            }
        };
        let told = match &*slot {
            Slot::Up(world) => format!("{error}\n{}", world.story()),
            Slot::Empty | Slot::Refused(_) => error,
        };
        if matches!(*slot, Slot::Up(_)) {
            *slot = Slot::Empty;
        }
        Err(told.into())
    }
}

async fn on(
    slot: &mut Slot,
    limit: Duration,
    scenario: impl AsyncFnOnce(&mut World) -> Result<()>,
) -> Result<()> {
    if matches!(slot, Slot::Empty) {
        *slot = match World::start().await {
            Ok(world) => Slot::Up(Box::new(world)),
            Err(error) => Slot::Refused(format!("{error:#}")),
        };
    }
    match slot {
        Slot::Up(world) => {
            world.begin();
            timeout(limit, scenario(world)).await.context("the scenario took too long")?
        }
        Slot::Refused(reason) => Err(anyhow!("the servers did not start: {reason}")),
        Slot::Empty => Err(anyhow!("no world")),
    }
}
