//! The table's client: a [`Sink`] whose requests go on at the server when the client is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::fault::Break;
use super::table::Session;
use super::topic::month;
use super::world::{Client, LATENCY, PATIENCE, World};
use crate::fakes::{FakeBlock, FakeRow, resolve, seen};
use crate::{ErrorKind, PipelineError, Ranges, Resolved, RowId, Seen, Sink};

pub(super) struct ModelSink {
    world: Arc<World>,
    client: Client,
    session: Arc<Mutex<Session>>,
}

/// An insert on its way.
struct Request {
    block: FakeBlock,
    token: String,
    slow: Duration,
    broken: Option<Break>,
}

impl ModelSink {
    pub(super) fn new(world: &Arc<World>, client: Client) -> Self {
        let session = Arc::new(Mutex::new(world.state().table.open_session()));
        Self { world: Arc::clone(world), client, session }
    }
}

impl Sink for ModelSink {
    type Block = FakeBlock;

    fn table(&self) -> &str {
        "post_engagement_events"
    }

    fn block(&self) -> FakeBlock {
        FakeBlock::default()
    }

    async fn insert(&self, block: &FakeBlock, token: &str) -> Result<(), PipelineError> {
        let meets = self.world.effect(self.client, "insert").await;
        meets.refused()?;
        let request =
            Request { block: block.clone(), token: token.to_owned(), slow: meets.slow, broken: meets.broken };
        let (sender, receiver) = oneshot::channel();
        let (world, client, session) = (Arc::clone(&self.world), self.client, Arc::clone(&self.session));
        self.world.serve(async move {
            let outcome = execute(&world, &session, request).await;
            world.note(|| format!("the insert of process {} ends: {outcome:?}", client.slot));
            let _ = sender.send(outcome);
        });
        let reply = match timeout(PATIENCE, receiver).await {
            Ok(Ok(outcome)) => outcome,
            _ => Err(PipelineError::new(ErrorKind::LostReply, "no answer in time")),
        };
        self.world.reply(self.client, meets, reply).await
    }

    async fn present(&self, _topic: &str, ranges: &Ranges) -> Result<Vec<RowId>, PipelineError> {
        let meets = self.world.effect(self.client, "asks the table").await;
        meets.refused()?;
        sleep(LATENCY).await;
        let answer: Vec<RowId> = {
            let state = self.world.state();
            state.table.arrive()?;
            *self.session.lock().unwrap() = state.table.open_session();
            let rows = state.table.rows().iter().map(|row| row.id);
            rows.filter(|row| ranges.contains(row.partition, row.offset)).collect()
        };
        self.world.note(|| format!("process {} sees {}", self.client.slot, short(&answer)));
        sleep(meets.slow).await;
        self.world.reply(self.client, meets, Ok(answer)).await
    }

    async fn resolve(
        &self,
        _topic: &str,
        ranges: &Ranges,
        block: &FakeBlock,
        all: bool,
    ) -> Result<Resolved<FakeBlock>, PipelineError> {
        let resolved = self.question("resolves doubts", |table| resolve(table, ranges, block, all)).await?;
        let (Resolved { repeated, known, .. }, slot) = (&resolved, self.client.slot);
        self.world.note(|| format!("process {slot}: {repeated} repeated, {known} already there"));
        Ok(resolved)
    }

    async fn seen(&self, _topic: &str, partitions: &[i32]) -> Result<Vec<Seen>, PipelineError> {
        let seen = self.question("asks how far it was read", |table| seen(table, partitions)).await?;
        self.world.note(|| format!("process {} learns {seen:?}", self.client.slot));
        Ok(seen)
    }
}

impl ModelSink {
    async fn question<T>(
        &self,
        what: &str,
        answer: impl FnOnce(&[FakeRow]) -> T,
    ) -> Result<T, PipelineError> {
        let meets = self.world.effect(self.client, what).await;
        meets.refused()?;
        sleep(LATENCY).await;
        let answer = {
            let state = self.world.state();
            state.table.arrive()?;
            answer(state.table.rows())
        };
        sleep(meets.slow).await;
        self.world.reply(self.client, meets, Ok(answer)).await
    }
}

/// The server's side: one part per month, each by itself.
async fn execute(
    world: &Arc<World>,
    session: &Mutex<Session>,
    Request { block, token, slow, broken }: Request,
) -> Result<(), PipelineError> {
    sleep(LATENCY).await;
    let incarnation = {
        let state = world.state();
        let incarnation = state.table.arrive()?;
        if world.sessions {
            state.table.resume(&mut session.lock().unwrap())?;
        }
        incarnation
    };
    sleep(slow).await;
    let mut months: BTreeMap<u8, Vec<FakeRow>> = BTreeMap::new();
    for row in block.0 {
        months.entry(month(&row.id)).or_default().push(row);
    }
    for (index, (month, rows)) in (0u8..).zip(&months) {
        sleep(Duration::from_millis(1)).await;
        let broken = broken.filter(|broken| broken.months == index);
        let written = world.state().table.put(incarnation, (*month, &token), rows, broken);
        world.state().doubled();
        world.note(|| format!("month {month} under {}: {written:?} {}", &token[26..], told(rows)));
        written?;
    }
    match broken {
        Some(broken) if usize::from(broken.months) >= months.len() => {
            Err(world.state().table.break_off(broken))
        }
        _ => Ok(()),
    }
}

fn told(rows: &[FakeRow]) -> String {
    let rows: Vec<String> =
        rows.iter().map(|row| format!("{:+}×{} {}", row.sign, row.value, short(&[row.id]))).collect();
    rows.join(" ")
}

fn short(rows: &[RowId]) -> String {
    let rows: Vec<String> =
        rows.iter().map(|row| format!("{}@{}.{}", row.partition, row.offset, row.ordinal)).collect();
    format!("[{}]", rows.join(" "))
}
