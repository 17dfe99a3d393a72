//! What the traffic has done so far and in the end. Invariant: a row is counted only after the COMMIT of its
//! transaction returned, so that for a database that was empty inserts minus deletes are the rows of each table.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::mix::{Activity, MIX};

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// The row is new.
    Insert,
    /// The row has new values; its key may be one of them.
    Update,
    /// The row is gone, by a statement of its own or by a cascade.
    Delete,
}

/// The captured tables that the traffic writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// `posts`
    Posts,
    /// `follows`
    Follows,
    /// `comments`
    Comments,
    /// `likes`
    Likes,
    /// `engagement_outbox`: views and shares
    Outbox,
}

impl Table {
    /// All tables, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Posts, Self::Follows, Self::Comments, Self::Likes, Self::Outbox];

    /// The table's name in PostgreSQL, without schema.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posts => "posts",
            Self::Follows => "follows",
            Self::Comments => "comments",
            Self::Likes => "likes",
            Self::Outbox => "engagement_outbox",
        }
    }

    /// The stream that carries it.
    pub const fn stream(self) -> &'static str {
        match self {
            Self::Outbox => "engagement",
            _ => self.name(),
        }
    }

    /// The stream's topic.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Posts => "cdc.posts",
            Self::Follows => "cdc.follows",
            Self::Comments => "cdc.comments",
            Self::Likes => "cdc.likes",
            Self::Outbox => "events.engagement",
        }
    }
}

/// A row change whose transaction is committed.
#[derive(Clone, Debug)]
pub struct CommittedChange {
    /// The table's name, without schema.
    pub table: &'static str,
    /// The row's identity as text: the uuid of a post, comment, like or event (the new one when an update changed it),
    /// `follower:followee` of a follow.
    pub key: String,
    /// What happened to the row.
    pub op: Op,
    /// When COMMIT returned, for measuring latency.
    pub committed_at: Instant,
    /// The same moment on the wall clock, for comparing with times that servers recorded.
    pub committed_at_wall: SystemTime,
}

/// Counters of a running generator; each is exact by itself, together they may be a transaction apart.
#[derive(Debug, Default)]
pub struct TrafficCounters {
    transactions: AtomicU64,
    rolled_back: AtomicU64,
    conflicts: AtomicU64,
    rows: [[AtomicU64; 3]; Table::ALL.len()],
    activities: [AtomicU64; Activity::COUNT],
}

impl TrafficCounters {
    /// Committed transactions so far.
    pub fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Committed row changes so far, over all tables and operations.
    pub fn rows(&self) -> u64 {
        self.rows.iter().flatten().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn count_commit(&self) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_rollback(&self) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_conflicts(&self, conflicts: u64) {
        self.conflicts.fetch_add(conflicts, Ordering::Relaxed);
    }

    pub(super) fn count_activity(&self, activity: Activity) {
        if let Some(count) = self.activities.get(activity as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_row(&self, table: Table, op: Op) {
        if let Some(count) = self.rows.get(table as usize).and_then(|ops| ops.get(op as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters as they are now.
    pub fn report(&self, elapsed: Duration) -> TrafficReport {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TrafficReport {
            transactions: self.transactions(),
            rolled_back: load(&self.rolled_back),
            conflicts: load(&self.conflicts),
            rows: self.rows.each_ref().map(|ops| ops.each_ref().map(load)),
            activities: self.activities.each_ref().map(load),
            elapsed,
        }
    }
}

/// What a run of the generator did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficReport {
    /// Committed transactions.
    pub transactions: u64,
    /// Transactions rolled back on purpose.
    pub rolled_back: u64,
    /// Intended changes that had no effect because another came first: a post was gone, a like was there.
    pub conflicts: u64,
    rows: [[u64; 3]; Table::ALL.len()],
    activities: [u64; Activity::COUNT],
    /// From the first tick to the last commit.
    pub elapsed: Duration,
}

impl TrafficReport {
    /// Committed row changes of one table and operation, cascaded deletes included.
    pub fn rows(&self, table: Table, op: Op) -> u64 {
        self.rows.get(table as usize).and_then(|ops| ops.get(op as usize)).copied().unwrap_or_default()
    }

    /// How often a kind of decision was taken, rolled back and conflicting ones included.
    pub fn activities(&self, activity: Activity) -> u64 {
        self.activities.get(activity as usize).copied().unwrap_or_default()
    }
}

impl fmt::Display for TrafficReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = self.transactions as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON);
        writeln!(
            f,
            "{} transactions in {:.1} s ({rate:.0}/s), {} rolled back, {} conflicts",
            self.transactions,
            self.elapsed.as_secs_f64(),
            self.rolled_back,
            self.conflicts
        )?;
        writeln!(f, "{:<18}{:>10}{:>10}{:>10}", "table", "inserts", "updates", "deletes")?;
        for table in Table::ALL {
            let [inserts, updates, deletes] =
                [Op::Insert, Op::Update, Op::Delete].map(|op| self.rows(table, op));
            writeln!(f, "{:<18}{inserts:>10}{updates:>10}{deletes:>10}", table.name())?;
        }
        f.write_str("decisions:")?;
        for (activity, _) in MIX {
            write!(f, " {activity:?} {}", self.activities(activity))?;
        }
        Ok(())
    }
}
