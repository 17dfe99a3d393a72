//! The consumer: a [`Source`] over the modelled group and topic, with the contract that the real one keeps.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, sleep_until, timeout};

use super::group::Question;
use super::world::{Client, LATENCY, PATIENCE, State, World};
use crate::fakes::FakeMessage;
use crate::{
    Committed, ErrorKind, OffsetCommit, PipelineError, Ranges, Source, SourceEvent, SourceMessage, StartAt,
    Watermarks,
};

pub(super) struct ModelSource {
    pub(super) world: Arc<World>,
    pub(super) client: Client,
    /// One connection to the coordinator: requests are answered in the order in which they are sent.
    connection: Arc<tokio::sync::Mutex<()>>,
}

/// What `next` finds.
enum Found {
    Question,
    Message(i32),
    Nothing(Option<Duration>),
}

impl ModelSource {
    pub(super) fn new(world: &Arc<World>, client: Client) -> Self {
        Self { world: Arc::clone(world), client, connection: Arc::default() }
    }

    fn look(&self, state: &State) -> Found {
        let Some(member) = state.group.members.get(&self.client.number) else { return Found::Nothing(None) };
        if member.open.is_some() {
            return if member.heard { Found::Nothing(None) } else { Found::Question };
        }
        if member.paused || member.positions.is_empty() {
            return Found::Nothing(None);
        }
        let now = self.world.started.elapsed();
        let count = u32::try_from(member.positions.len()).unwrap();
        let first = usize::try_from(member.turn % count).unwrap();
        let mut soonest = None;
        for (partition, position) in member.positions.iter().cycle().skip(first).take(member.positions.len())
        {
            match state.topic.from(*partition, *position) {
                Some(entry) if entry.at <= now => return Found::Message(*partition),
                Some(entry) => soonest = Some(soonest.map_or(entry.at, |at: Duration| at.min(entry.at))),
                None => {}
            }
        }
        Found::Nothing(soonest)
    }

    fn take(&self, partition: i32) -> Option<FakeMessage> {
        let mut state = self.world.state();
        let State { group, topic, .. } = &mut *state;
        let member = group.members.get_mut(&self.client.number).filter(|member| member.open.is_none())?;
        let position = member.positions.get_mut(&partition)?;
        let message = topic.from(partition, *position)?.message.clone();
        *position = message.offset + 1;
        member.turn = member.turn.wrapping_mul(7).wrapping_add(3);
        Some(message)
    }

    fn hear(&self) -> Option<SourceEvent<FakeMessage>> {
        let mut state = self.world.state();
        let member = state.group.members.get_mut(&self.client.number)?;
        let question = member.open.clone().filter(|_| !member.heard)?;
        member.heard = true;
        state.history.push(format!("            process {} hears {question:?}", self.client.slot));
        Some(match question {
            Question::Assigned(partitions) => SourceEvent::Assigned(partitions),
            Question::Revoked(partitions) => SourceEvent::Revoked(partitions),
            Question::Lost(partitions) => SourceEvent::Lost(partitions),
        })
    }

    /// What the client refuses without asking anybody: partitions that it was not given.
    fn granted(&self, commits: &[OffsetCommit]) -> Result<u32, PipelineError> {
        let mut state = self.world.state();
        let fenced = |message: &str| Err(PipelineError::new(ErrorKind::Fenced, message));
        let Some(member) = state.group.members.get(&self.client.number) else { return fenced("no member") };
        let epoch = member.epoch;
        match member.not_granted(commits.iter().map(|commit| commit.partition)) {
            None => Ok(epoch),
            Some((partition, told)) => {
                if told {
                    state.violate(format!("a commit for {partition}, which was handed back"));
                }
                fenced("not granted")
            }
        }
    }
}

fn misused(why: String) -> PipelineError {
    PipelineError::new(ErrorKind::Unknown, why)
}

impl Source for ModelSource {
    type Message<'a> = FakeMessage;

    fn topic(&self) -> &str {
        "cdc.likes"
    }

    async fn next(&self) -> Result<SourceEvent<FakeMessage>, PipelineError> {
        loop {
            let changed = self.world.changed.notified();
            let found = self.look(&self.world.state());
            match found {
                Found::Question => {
                    self.world.effect(self.client, "hears a question").await.refused()?;
                    if let Some(event) = self.hear() {
                        return Ok(event);
                    }
                }
                Found::Message(partition) => {
                    self.world.effect(self.client, "reads").await.refused()?;
                    if let Some(message) = self.take(partition) {
                        return Ok(SourceEvent::Message(message));
                    }
                }
                Found::Nothing(None) => changed.await,
                Found::Nothing(Some(at)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = sleep_until(self.world.started + at) => {}
                    }
                }
            }
        }
    }

    /// Takes a message unless a fault is to meet it: `next` meets it then.
    fn ready(&self) -> impl Iterator<Item = Result<SourceEvent<FakeMessage>, PipelineError>> {
        std::iter::from_fn(|| {
            let Found::Message(partition) = self.look(&self.world.state()) else { return None };
            if !self.world.passes(self.client, "reads on") {
                return None;
            }
            self.take(partition).map(|message| Ok(SourceEvent::Message(message)))
        })
    }

    async fn committed(&self) -> Result<Vec<Committed>, PipelineError> {
        let meets = self.world.effect(self.client, "asks for offsets").await;
        meets.refused()?;
        sleep(LATENCY).await;
        let answer = {
            let state = self.world.state();
            let position = |partition: i32| {
                let (offset, metadata) = state.group.committed.get(&partition).cloned().unzip();
                Committed { partition, offset, metadata: metadata.unwrap_or_default() }
            };
            (0..state.topic.partitions).map(position).collect()
        };
        sleep(meets.slow).await;
        self.world.reply(self.client, meets, Ok(answer)).await
    }

    async fn watermarks(&self, partitions: &[i32]) -> Result<Vec<Watermarks>, PipelineError> {
        let state = self.world.state();
        let held = |partition: &i32| Watermarks {
            partition: *partition,
            low: 0,
            // Behind the last message there is still a transaction marker.
            high: state.topic.end_at(*partition, self.world.started.elapsed()) + 1,
        };
        Ok(partitions.iter().map(held).collect())
    }

    async fn start(&self, positions: &[StartAt]) -> Result<(), PipelineError> {
        let mut meets = self.world.effect(self.client, "starts").await;
        meets.lose_reply = false;
        let positions: Vec<(i32, i64)> = positions.iter().map(|at| (at.partition, at.offset)).collect();
        let started = self.world.state().group.started(self.client.number, &positions).map_err(misused);
        self.world.reply(self.client, meets, started).await
    }

    async fn release(&self, partitions: &[i32]) -> Result<(), PipelineError> {
        let mut meets = self.world.effect(self.client, "releases").await;
        meets.lose_reply = false;
        let released = self.world.state().group.released(self.client.number, partitions).map_err(misused);
        self.world.reply(self.client, meets, released).await
    }

    fn pause(&self) -> Result<(), PipelineError> {
        self.set_paused(true);
        Ok(())
    }

    fn resume(&self) -> Result<(), PipelineError> {
        self.set_paused(false);
        Ok(())
    }

    async fn commit(&self, commits: &[OffsetCommit]) -> Result<(), PipelineError> {
        let meets = self.world.effect(self.client, "commit").await;
        meets.refused()?;
        let epoch = self.granted(commits)?;
        self.world.note(|| {
            let each = commits
                .iter()
                .map(|commit| format!("{}@{} `{}`", commit.partition, commit.offset, commit.metadata));
            format!("process {} commits {}", self.client.slot, each.collect::<Vec<_>>().join(", "))
        });
        let (sender, receiver) = oneshot::channel();
        let (world, client, commits) = (Arc::clone(&self.world), self.client, commits.to_vec());
        let (connection, slow) = (Arc::clone(&self.connection), meets.slow);
        self.world.serve(async move {
            let _turn = if world.ordered { Some(connection.lock().await) } else { None };
            sleep(LATENCY + slow).await;
            let taken = world.state().take_commit(client, epoch, &commits);
            let _ = sender.send(taken);
        });
        let reply = match timeout(PATIENCE, receiver).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(PipelineError::new(ErrorKind::Fenced, "an old generation")),
            _ => Err(PipelineError::new(ErrorKind::LostReply, "no answer in time")),
        };
        self.world.reply(self.client, meets, reply).await
    }

    async fn reread(
        &self,
        ranges: &Ranges,
        visit: &mut (dyn FnMut(&dyn SourceMessage) -> Result<(), PipelineError> + Send),
    ) -> Result<(), PipelineError> {
        let meets = self.world.effect(self.client, "reads again").await;
        meets.refused()?;
        sleep(LATENCY + meets.slow).await;
        let messages: Vec<FakeMessage> = {
            let state = self.world.state();
            let entries = state.topic.entries.values().map(|entry| &entry.message);
            entries.filter(|message| ranges.contains(message.partition, message.offset)).cloned().collect()
        };
        messages.iter().try_for_each(|message| visit(message))?;
        self.world.reply(self.client, meets, Ok(())).await
    }

    async fn close(&self) -> Result<(), PipelineError> {
        self.world.state().group.remove(self.client.number);
        self.world.changed.notify_waiters();
        Ok(())
    }
}

impl ModelSource {
    fn set_paused(&self, paused: bool) {
        if let Some(member) = self.world.state().group.members.get_mut(&self.client.number) {
            member.paused = paused;
        }
    }
}
