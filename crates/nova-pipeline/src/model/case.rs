//! A case: the sizes of a small world and the faults that meet its effects; and the run of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fault::{At, Fault};
use super::group::Group;
use super::meddling::Meddling;
use super::process::process;
use super::story::Twist;
use super::table::Table;
use super::topic::Topic;
use super::world::{Slot, State, World};
use crate::ledger::form::{Release, SHIPPED};

/// Faults meet effects until then; afterwards everything must come to an end.
const HEALED_AFTER: Duration = Duration::from_secs(120);
const DRAINED_WITHIN: Duration = Duration::from_secs(900);

/// What a history is a function of.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) processes: usize,
    pub(crate) partitions: i32,
    pub(crate) messages: u8,
    pub(crate) interval_ms: u64,
    pub(crate) batch_rows: usize,
    /// Whether a server that was restarted, or has not heard of a client for 20 s, refuses its insert.
    pub(crate) sessions: bool,
    /// Whether the coordinator takes a client's commits in the order in which they were sent.
    pub(crate) ordered: bool,
    pub(crate) faults: BTreeMap<At, Fault>,
    /// What the connector does besides telling changes once.
    pub(crate) twists: Vec<Twist>,
    /// Whether the topic is deleted and made again when it has been read.
    pub(crate) remade: bool,
    /// What the processes are: each start is of the next release, in turns.
    pub(crate) releases: &'static [Release],
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) history: Vec<String>,
    /// The number of effects, and of the inserts among them.
    pub(crate) effects: u32,
    pub(crate) inserts: u32,
}

impl Default for Case {
    /// Two processes, two partitions, two batches.
    fn default() -> Self {
        let faults = BTreeMap::new();
        Self {
            processes: 2,
            partitions: 2,
            messages: 4,
            interval_ms: 40,
            batch_rows: 3,
            sessions: true,
            ordered: true,
            faults,
            twists: Vec::new(),
            remade: false,
            releases: &[SHIPPED],
        }
    }
}

impl Case {
    pub(crate) fn with(&self, faults: &[(At, Fault)]) -> Self {
        Self { faults: faults.iter().copied().collect(), ..self.clone() }
    }

    /// Runs the history.
    pub(crate) fn run(&self) -> Outcome {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(self.play())
    }

    /// Runs the history, and panics with it if it violates anything.
    pub(crate) fn must_hold(&self) -> Outcome {
        let outcome = self.run();
        assert!(outcome.violations.is_empty(), "{}", self.tell(&outcome));
        outcome
    }

    pub(crate) fn tell(&self, outcome: &Outcome) -> String {
        format!("{:#?}\n{self:?}\n{}", outcome.violations, outcome.history.join("\n"))
    }

    fn state(&self) -> State {
        State {
            topic: Topic::new(
                self.partitions,
                self.messages,
                Duration::from_millis(self.interval_ms),
                &self.twists,
            ),
            group: Group::new(self.partitions),
            table: Table::default(),
            letters: BTreeMap::new(),
            changes: BTreeMap::new(),
            reads: BTreeSet::new(),
            poison: BTreeSet::new(),
            meddling: None,
            // One more may join.
            slots: (0..=self.processes).map(|_| Slot::default()).collect(),
            active: self.processes,
            clients: 0,
            effects: 0,
            inserts: 0,
            plan: self.faults.clone(),
            healed: false,
            closing: false,
            history: Vec::new(),
            violations: Vec::new(),
        }
    }

    async fn play(&self) -> Outcome {
        let world = World::new(self.state(), self.sessions, self.ordered, self.releases);
        world.state().note_topic();
        let mut processes = JoinSet::new();
        for slot in 0..=self.processes {
            processes.spawn(process(Arc::clone(&world), slot, self.batch_rows));
        }
        drain(&world).await;
        if self.remade && world.state().violations.is_empty() {
            world.state().meddle(Meddling::Remake);
            drain(&world).await;
        }
        world.state().closing = true;
        let leaving: Vec<_> = world.state().slots.iter().filter_map(|slot| slot.leave.clone()).collect();
        leaving.iter().for_each(tokio_util::sync::CancellationToken::cancel);
        while let Some(ended) = processes.join_next().await {
            ended.unwrap();
        }
        let mut state = world.state();
        if state.violations.is_empty() {
            state.check_end();
        }
        let (violations, history) =
            (std::mem::take(&mut state.violations), std::mem::take(&mut state.history));
        Outcome { violations, history, effects: state.effects, inserts: state.inserts }
    }
}

/// Waits until everything is consumed, nobody stands still, and no request is under way; or something is wrong.
async fn drain(world: &Arc<World>) {
    let started = Instant::now();
    loop {
        sleep(Duration::from_millis(250)).await;
        let quiet = world.quiet();
        let mut state = world.state();
        state.healed |= started.elapsed() > HEALED_AFTER;
        if quiet {
            state.act(world.started.elapsed());
        }
        let still = (0..state.slots.len()).any(|slot| state.frozen(slot).is_some());
        if !state.violations.is_empty() || (state.drained() && quiet && !still) {
            return;
        }
        if started.elapsed() > DRAINED_WITHIN {
            state.violate("not drained in time".to_owned());
            return;
        }
    }
}
