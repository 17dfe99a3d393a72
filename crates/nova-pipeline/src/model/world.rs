//! Everything that exists once: servers, processes, the plan of faults, the history; and the effect, the moment at
//! which a client asks something of a server and a fault may meet it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::fault::{At, Break, Fault, When};
use super::group::Group;
use super::meddling::Meddling;
use super::table::Table;
use super::topic::Topic;
use crate::ledger::form::Release;
use crate::{ErrorKind, OffsetCommit, PipelineError};

/// From sending a request to its effect.
pub(super) const LATENCY: Duration = Duration::from_millis(2);
/// A client waits so long for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The coordinator waits so long for a heartbeat.
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// One start of a process: its slot, and a number that no other start has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) slot: usize,
    pub(super) number: u32,
}

/// A process that is started again whenever it ends.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) client: Option<u32>,
    pub(super) crashed: Option<u32>,
    pub(super) frozen_until: Option<Instant>,
    pub(super) leave: Option<tokio_util::sync::CancellationToken>,
}

pub(super) struct State {
    pub(super) topic: Topic,
    pub(super) group: Group,
    pub(super) table: Table,
    pub(super) letters: BTreeMap<(i32, i64), u32>,
    /// What was told so far, also by a topic that is gone: changes with their rows, snapshot reads, poison.
    pub(super) changes: BTreeMap<Uuid, u8>,
    pub(super) reads: BTreeSet<Uuid>,
    pub(super) poison: BTreeSet<(i32, i64)>,
    /// What an operator is about to do, as soon as all processes are gone.
    pub(super) meddling: Option<(Meddling, Instant)>,
    pub(super) slots: Vec<Slot>,
    /// Slots that may run.
    pub(super) active: usize,
    pub(super) clients: u32,
    pub(super) effects: u32,
    pub(super) inserts: u32,
    pub(super) plan: BTreeMap<At, Fault>,
    pub(super) healed: bool,
    pub(super) closing: bool,
    pub(super) history: Vec<String>,
    pub(super) violations: Vec<String>,
}

pub(super) struct World {
    state: Mutex<State>,
    pub(super) changed: Notify,
    servers: Mutex<JoinSet<()>>,
    pub(super) started: Instant,
    /// Whether an insert is refused by a server that does not know the client's session.
    pub(super) sessions: bool,
    /// Whether a client's commits arrive in the order in which they were sent.
    pub(super) ordered: bool,
    releases: &'static [Release],
}

/// What meets this effect, for the client that makes it.
#[derive(Debug, Default)]
pub(super) struct Meets {
    pub(super) refuse: Option<ErrorKind>,
    pub(super) lose_reply: bool,
    pub(super) slow: Duration,
    pub(super) broken: Option<Break>,
    after: Option<Fault>,
}

impl Meets {
    pub(super) fn refused(&self) -> Result<(), PipelineError> {
        self.refuse.map_or(Ok(()), |kind| Err(PipelineError::new(kind, "refused")))
    }
}

impl World {
    pub(super) fn new(
        state: State,
        sessions: bool,
        ordered: bool,
        releases: &'static [Release],
    ) -> Arc<Self> {
        let (state, servers, started) = (Mutex::new(state), Mutex::default(), Instant::now());
        Arc::new(Self { state, changed: Notify::new(), servers, started, sessions, ordered, releases })
    }

    /// What the program of this start is.
    pub(super) fn release(&self, client: Client) -> Release {
        let turn = usize::try_from(client.number).unwrap() % self.releases.len();
        self.releases[turn]
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Runs a server's side of a request, which goes on when the client is gone.
    pub(super) fn serve(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.servers.lock().unwrap().spawn(work);
    }

    /// Whether no request is under way.
    pub(super) fn quiet(&self) -> bool {
        let mut servers = self.servers.lock().unwrap();
        while let Some(served) = servers.try_join_next() {
            served.unwrap();
        }
        servers.is_empty()
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let at = self.started.elapsed().as_millis();
        let what = what();
        self.state().history.push(format!("{at:>7} ms  {what}"));
    }

    /// A client does something without asking anybody: counted as an effect, unless a fault is planned for it.
    pub(super) fn passes(&self, client: Client, what: &str) -> bool {
        let mut state = self.state();
        let number = state.effects;
        if !state.healed && state.plan.contains_key(&At::Effect(number)) {
            return false;
        }
        state.effects += 1;
        let at = self.started.elapsed().as_millis();
        state.history.push(format!("{at:>7} ms  #{number} process {} {what}", client.slot));
        true
    }

    /// A client is about to ask for something: faults before it happen now, those after it in [`World::reply`].
    pub(super) async fn effect(self: &Arc<Self>, client: Client, what: &str) -> Meets {
        let fault = {
            let mut state = self.state();
            let number = state.effects;
            state.effects += 1;
            let mut fault = state.plan.remove(&At::Effect(number));
            if what == "insert" {
                let insert = At::Insert(state.inserts);
                fault = fault.or(state.plan.remove(&insert));
                state.inserts += 1;
            }
            let fault = fault.filter(|_| !state.healed);
            let at = self.started.elapsed().as_millis();
            let met = fault.map(|fault| format!(" meets {fault:?}")).unwrap_or_default();
            state.history.push(format!("{at:>7} ms  #{number} process {} {what}{met}", client.slot));
            fault
        };
        let mut meets = Meets::default();
        match fault {
            None => {}
            Some(Fault::Crash(When::Before) | Fault::Freeze(When::Before, _)) => {
                self.suffer(client, fault).await
            }
            Some(Fault::Crash(When::After) | Fault::Freeze(When::After, _)) => meets.after = fault,
            Some(Fault::Refuse) => meets.refuse = Some(ErrorKind::Unavailable),
            Some(Fault::Fence) if what == "commit" => meets.refuse = Some(ErrorKind::Fenced),
            Some(Fault::Fence) => meets.refuse = Some(ErrorKind::Overloaded),
            Some(Fault::LoseReply) => meets.lose_reply = true,
            Some(Fault::Slow(seconds)) => meets.slow = Duration::from_secs(seconds.into()),
            Some(Fault::Server(broken)) if what == "insert" => meets.broken = Some(broken),
            Some(Fault::Server(_)) => self.state().table.kill(),
            Some(Fault::Outage(seconds)) => self.state().table.cut_off(seconds),
            Some(Fault::Evict(after_ms)) => self.evict(client, Duration::from_millis(after_ms.into())),
            Some(Fault::Shift) => {
                let mut state = self.state();
                state.group.shift += 1;
                state.group.rebalance();
            }
            Some(Fault::Join) => {
                let mut state = self.state();
                state.active = (state.active + 1).min(state.slots.len());
            }
            Some(Fault::Leave) => {
                if let Some(leave) = &self.state().slots[client.slot].leave {
                    leave.cancel();
                }
            }
            Some(Fault::Forget) => self.state().table.forget(),
            Some(Fault::SetBack(how)) => self.state().meddle(Meddling::SetBack(how)),
        }
        self.changed.notify_waiters();
        meets
    }

    /// The reply has arrived and will be read now, if the client still can.
    pub(super) async fn reply<T>(
        self: &Arc<Self>,
        client: Client,
        meets: Meets,
        reply: Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        self.changed.notify_waiters();
        if let Err(error) = &reply {
            self.note(|| format!("process {} is answered: {error}", client.slot));
        }
        if meets.after.is_some() {
            self.suffer(client, meets.after).await;
        }
        if meets.lose_reply && reply.is_ok() {
            return Err(PipelineError::new(ErrorKind::LostReply, "the reply was lost"));
        }
        reply
    }

    async fn suffer(self: &Arc<Self>, client: Client, fault: Option<Fault>) {
        match fault {
            Some(Fault::Crash(_)) => {
                self.state().slots[client.slot].crashed = Some(client.number);
                let world = Arc::clone(self);
                self.serve(async move {
                    sleep(SESSION_TIMEOUT).await;
                    world.state().group.remove(client.number);
                    world.changed.notify_waiters();
                });
                pending().await
            }
            Some(Fault::Freeze(_, seconds)) => {
                let until = Instant::now() + Duration::from_secs(seconds.into());
                self.state().slots[client.slot].frozen_until = Some(until);
                let world = Arc::clone(self);
                self.serve(async move {
                    sleep(SESSION_TIMEOUT).await;
                    if until > Instant::now() {
                        // The client's own threads stand still as well; it hears of it after it has woken up.
                        let late = until.duration_since(Instant::now()) + Duration::from_millis(300);
                        world.evict(client, late);
                    }
                });
                sleep_until(until).await;
            }
            _ => {}
        }
    }

    fn evict(self: &Arc<Self>, client: Client, heard_after: Duration) {
        self.state().group.evict(client.number);
        self.changed.notify_waiters();
        let world = Arc::clone(self);
        self.serve(async move {
            sleep(heard_after).await;
            world.state().group.hear_of_eviction(client.number);
            world.changed.notify_waiters();
        });
    }
}

impl State {
    pub(super) fn violate(&mut self, what: String) {
        self.history.push(format!("            !! {what}"));
        self.violations.push(what);
    }

    pub(super) fn frozen(&self, slot: usize) -> Option<Instant> {
        self.slots[slot].frozen_until.filter(|until| *until > Instant::now())
    }

    /// The coordinator takes a commit: nothing undurable may be passed, nothing may go back.
    pub(super) fn take_commit(&mut self, client: Client, epoch: u32, commits: &[OffsetCommit]) -> bool {
        if !self.group.accepts(client.number, epoch) {
            return false;
        }
        for OffsetCommit { partition, offset, metadata } in commits {
            let before = self.group.committed.insert(*partition, (*offset, metadata.clone()));
            let before = before.map_or(0, |(offset, _)| offset);
            if before > *offset {
                self.violate(format!("committed offset of {partition} goes back from {before} to {offset}"));
            }
            let passed = self.topic.entries.range((*partition, before.min(*offset))..(*partition, *offset));
            let lost: Vec<i64> =
                passed.filter(|(_, entry)| !self.durable(entry)).map(|((_, offset), _)| *offset).collect();
            if !lost.is_empty() {
                self.violate(format!("committed {partition} to {offset}, and {lost:?} are not durable"));
            }
        }
        true
    }
}
