//! A process: runs the real pipeline, can be killed or stopped at any moment, and is started again when it ends.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use nova_worker::{Backoff, StatusCell, WorkerContext};
use tokio::time::{Sleep, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::letters::ModelLetters;
use super::member::ModelSource;
use super::sink::ModelSink;
use super::world::{Client, World};
use crate::deliver::Delivery;
use crate::ledger::form::acting_as;
use crate::metrics::StreamMetrics;
use crate::run::Run;
use crate::{Ledger, NewGroup, PipelineError, PipelineOptions, Policy, Source};

const GROUP: &str = "nova-likes";

/// Runs the process of a slot until the world ends.
pub(super) async fn process(world: Arc<World>, slot: usize, batch_rows: usize) {
    loop {
        let client = {
            let mut state = world.state();
            if state.closing {
                return;
            }
            if state.active <= slot || state.meddling.is_some() {
                None
            } else {
                state.clients += 1;
                Some(Client { slot, number: state.clients })
            }
        };
        if let Some(client) = client {
            live(&world, client, batch_rows).await;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// One life of the process.
async fn live(world: &Arc<World>, client: Client, batch_rows: usize) {
    let shutdown = CancellationToken::new();
    {
        let mut state = world.state();
        let slot = &mut state.slots[client.slot];
        (slot.client, slot.leave) = (Some(client.number), Some(shutdown.clone()));
        state.group.join(client.number);
        let Client { slot, number } = client;
        let release = world.release(client).writes;
        state.history.push(format!("            process {slot} starts as client {number}, writes {release}"));
    }
    world.changed.notify_waiters();
    let source = Arc::new(ModelSource::new(world, client));
    let ended = guarded(world, client, async {
        let ended = run(world, client, batch_rows, Arc::clone(&source), &shutdown).await;
        source.close().await?;
        ended
    })
    .await;
    let mut state = world.state();
    match ended {
        None => {}
        Some(Err(error)) if matches!(error.kind.policy(), Policy::Halt | Policy::DeadLetter) => {
            state.violate(format!("process {} halts: {error}", client.slot));
        }
        Some(ended) => state.history.push(format!("            process {} ends: {ended:?}", client.slot)),
    }
}

async fn run(
    world: &Arc<World>,
    client: Client,
    batch_rows: usize,
    source: Arc<ModelSource>,
    shutdown: &CancellationToken,
) -> Result<(), PipelineError> {
    let backoff = Backoff {
        initial: Duration::from_millis(200),
        max: Duration::from_secs(2),
        factor: 2.0,
        jitter: false,
    };
    let options = PipelineOptions {
        batch_rows,
        backoff,
        new_group: NewGroup::FromBeginning,
        ..PipelineOptions::default()
    };
    let delivery = Arc::new(Delivery {
        stream: "likes".to_owned(),
        group: GROUP.to_owned(),
        topic: source.topic().to_owned(),
        sink: ModelSink::new(world, client),
        dead_letters: Some(ModelLetters { world: Arc::clone(world), client }),
        retry: options.retry_policy(),
        status: Arc::new(StatusCell::new()),
        metrics: Arc::new(StreamMetrics::new("likes")),
        shutdown: shutdown.clone(),
    });
    let ledger = Ledger::new("likes", GROUP, source.topic(), options.new_group);
    let progress = WorkerContext::new(shutdown.clone()).progress().clone();
    Run::new(source, crate::fakes::mapping(), delivery, options, ledger, progress).run(shutdown).await
}

/// Polls the process's whole work, unless it stands still; drops it when it is killed.
async fn guarded<F: Future>(world: &Arc<World>, client: Client, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let release = world.release(client);
    let mut thaw: Option<Pin<Box<Sleep>>> = None;
    let is_killed = || world.state().slots[client.slot].crashed == Some(client.number);
    poll_fn(|context| {
        loop {
            if is_killed() {
                return Poll::Ready(None);
            }
            if let Some(sleep) = &mut thaw {
                ready!(sleep.as_mut().poll(context));
                thaw = None;
            }
            let polled = acting_as(release, || work.as_mut().poll(context));
            if polled.is_ready() {
                return polled.map(Some);
            }
            let frozen = world.state().frozen(client.slot);
            match frozen {
                Some(until) => thaw = Some(Box::pin(sleep_until(until))),
                None if is_killed() => {}
                None => return Poll::Pending,
            }
        }
    })
    .await
}
