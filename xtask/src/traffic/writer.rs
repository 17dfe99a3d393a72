//! One simulated writer: a random generator, a memory of its own rows and a pace. Invariant: with one writer and an
//! empty database, the decisions and their outcomes follow from the seed alone.

use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use rand::rngs::StdRng;
use sqlx::PgPool;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::mix::Activity;
use super::report::{CommittedChange, Op, Table, TrafficCounters};
use super::transaction::{Change, RowKey, Work, is_lost_race};
use super::world::{PostKey, Posts, Remembered};

/// What all writers of a run share.
pub(super) struct Shared<'a, F> {
    pub(super) pool: &'a PgPool,
    pub(super) users: &'a [Uuid],
    pub(super) posts: &'a Posts,
    pub(super) counters: &'a TrafficCounters,
    pub(super) on_commit: &'a F,
}

pub(super) struct Writer<'a, F> {
    pub(super) shared: &'a Shared<'a, F>,
    pub(super) rng: StdRng,
    pub(super) likes: Remembered<Uuid>,
    pub(super) comments: Remembered<Uuid>,
    pub(super) follows: Remembered<(Uuid, Uuid)>,
    /// The post of the transaction at hand; shared with the other writers once it is committed.
    pub(super) draft: Option<PostKey>,
}

impl<'a, F: Fn(CommittedChange) + Send + Sync> Writer<'a, F> {
    pub(super) fn new(shared: &'a Shared<'a, F>, rng: StdRng) -> Self {
        let (likes, comments, follows) = Default::default();
        Self { shared, rng, likes, comments, follows, draft: None }
    }

    /// Runs so many transactions, one for each tick; ends early, between transactions, when `stop` is cancelled.
    pub(super) async fn run(
        mut self,
        transactions: u64,
        mut ticks: Interval,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        for _ in 0..transactions {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // The rate is one of committed transactions: one that is rolled back on purpose comes on top.
            while self.transact().await? == Activity::RolledBack {}
        }
        Ok(())
    }

    /// Takes one decision and carries it out in a transaction.
    async fn transact(&mut self) -> anyhow::Result<Activity> {
        let mut work = Work::begin(self.shared.pool).await.context("cannot begin a transaction")?;
        let mut activity = Activity::draw(&mut self.rng);
        let mut done = self.perform(activity, &mut work).await;
        while matches!(done, Ok(false)) {
            activity = activity.without_object();
            done = self.perform(activity, &mut work).await;
        }
        let counters = self.shared.counters;
        counters.count_activity(activity);
        match done {
            Ok(_) if activity == Activity::RolledBack => {
                work.rollback().await.context("cannot roll back")?;
                self.draft = None;
                counters.count_rollback();
            }
            Ok(_) => self.commit(work).await.with_context(|| format!("cannot commit {activity:?}"))?,
            Err(error) if is_lost_race(&error) => {
                work.rollback().await.context("cannot roll back after a lost race")?;
                self.draft = None;
                counters.count_conflicts(1);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot carry out {activity:?}")),
        }
        Ok(activity)
    }

    async fn commit(&mut self, work: Work) -> sqlx::Result<()> {
        let conflicts = work.conflicts;
        let changes = work.commit().await?;
        let (now, wall) = (Instant::now(), SystemTime::now());
        self.shared.counters.count_commit();
        self.shared.counters.count_conflicts(conflicts);
        if let Some(post) = self.draft.take() {
            self.shared.posts.add(post, &mut self.rng);
        }
        for change in changes {
            self.shared.counters.count_row(change.table, change.op);
            self.remember(change);
            (self.shared.on_commit)(change.committed(now, wall));
        }
        Ok(())
    }

    /// Keeps own rows for later; rows taken back were forgotten when they were chosen.
    fn remember(&mut self, change: Change) {
        match (change.table, change.op, change.key) {
            (Table::Likes, Op::Insert | Op::Update, RowKey::Id(id)) => self.likes.add(id, &mut self.rng),
            (Table::Comments, Op::Insert, RowKey::Id(id)) => self.comments.add(id, &mut self.rng),
            (Table::Follows, Op::Insert, RowKey::Follow { follower, followee }) => {
                self.follows.add((follower, followee), &mut self.rng);
            }
            _ => {}
        }
    }
}
