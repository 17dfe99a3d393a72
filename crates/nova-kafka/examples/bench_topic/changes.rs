//! Changes of `public.likes` in the very form that Debezium 3.7 gives them with JSON converters without schemas:
//! inserts, 12 % deletes and 8 % updates of rows that are there.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};

/// 2026-01-01T00:00:00Z, in microseconds since 1970.
const BEGIN_US: u64 = 1_767_225_600_000_000;
const MONTH_US: u64 = 30 * 24 * 3_600_000_000;
/// Between two changes, where event times advance as in life: 1,000 changes a second.
const STEP_US: u64 = 1_000;
const POSTS: u64 = 5_000;
const USERS: u64 = 100_000;

/// One message.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// The row's own number; decides the partition, so that a row stays in one.
    pub(crate) number: u128,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The state of a row: its number says everything else.
#[derive(Debug, Clone, Copy)]
struct Like {
    number: u64,
    /// How often it was moved to another post.
    moves: u64,
}

/// The stream of changes, the same in every run.
#[derive(Debug)]
pub(crate) struct Changes {
    total: u64,
    months: u64,
    made: u64,
    inserted: u64,
    rows: u64,
    lsn: u64,
    last_commit: u64,
    alive: Vec<Like>,
    seed: u64,
}

impl Changes {
    pub(crate) fn new(total: u64, months: u64) -> Self {
        let (lsn, seed) = (23_376_552, 0x9e37_79b9_7f4a_7c15);
        Self { total, months, made: 0, inserted: 0, rows: 0, lsn, last_commit: lsn, alive: Vec::new(), seed }
    }

    /// Messages so far.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// Rows that they must become.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The sum of the rows' signs: likes that are there now.
    pub(crate) fn state(&self) -> usize {
        self.alive.len()
    }

    pub(crate) fn next(&mut self) -> Option<Change> {
        if self.made == self.total {
            return None;
        }
        self.made += 1;
        self.lsn += 184;
        let dice = self.random() % 100;
        let change = if dice < 80 || self.alive.len() < 100 {
            let like = Like { number: self.inserted, moves: 0 };
            self.inserted += 1;
            self.alive.push(like);
            self.rows += 1;
            self.message(like, None, Some(like), 'c')
        } else {
            let index = usize::try_from(self.random()).unwrap_or_default() % self.alive.len();
            if dice < 92 {
                let like = self.alive.swap_remove(index);
                self.rows += 1;
                self.message(like, Some(like), None, 'd')
            } else {
                let before = self.alive.get(index).copied()?;
                let after = Like { moves: before.moves + 1, ..before };
                self.alive.splice(index..=index, [after]);
                self.rows += 2;
                self.message(before, Some(before), Some(after), 'u')
            }
        };
        self.last_commit = self.lsn + 48;
        Some(change)
    }

    fn message(&self, like: Like, before: Option<Like>, after: Option<Like>, op: char) -> Change {
        let id = uuid(1, like.number);
        let (lsn, last, tx) = (self.lsn, self.last_commit, 700 + self.made);
        let us = BEGIN_US + self.made * STEP_US;
        let ms = us / 1_000;
        let (before, after) = (self.image(before), self.image(after));
        let mut value = String::with_capacity(800);
        let _ = write!(
            value,
            r#"{{"before":{before},"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql","name":"cdc","ts_ms":{ms},"snapshot":"false","db":"nova","sequence":"[\"{last}\",\"{lsn}\"]","ts_us":{us},"ts_ns":{us}000,"schema":"public","table":"likes","txId":{tx},"lsn":{lsn},"xmin":null,"origin":null,"origin_lsn":null}},"transaction":{{"id":"{tx}:{lsn}","total_order":1,"data_collection_order":1}},"op":"{op}","ts_ms":{ms},"ts_us":{us},"ts_ns":{us}123}}"#
        );
        Change { number: like.number.into(), key: format!(r#"{{"id":"{id}"}}"#), value }
    }

    /// The columns of the source table, in its order.
    fn image(&self, like: Option<Like>) -> String {
        let Some(Like { number, moves }) = like else { return "null".to_owned() };
        // Each move goes to another post: an update that changes nothing would become no rows.
        let post = uuid(2, (mix(number) % POSTS + moves) % POSTS);
        let user = uuid(3, mix(number ^ 0xabcd) % USERS);
        let created = match self.months {
            0 => BEGIN_US + number * STEP_US,
            months => BEGIN_US - (mix(number) % (months * MONTH_US)),
        };
        let posted = BEGIN_US - 1_000_000;
        format!(
            r#"{{"id":"{}","post_id":"{post}","post_created_at":"{}","user_id":"{user}","created_at":"{}"}}"#,
            uuid(1, number),
            zoned(posted),
            zoned(created)
        )
    }

    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.seed)
    }
}

/// SplitMix64's finalizer (Steele, Lea, Flood 2014): well-spread numbers from a counter.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// As Debezium writes a `timestamptz(6)`.
fn zoned(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(DateTime::from_timestamp_micros).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn uuid(kind: u64, number: u64) -> String {
    let (high, low) = (mix(number * 4 + kind), mix(!(number * 4 + kind)));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
