//! What happened in PostgreSQL, and what the connector made of it: changes in the order of commits, told once, unless a
//! twist has it tell them again or read the table.

use std::collections::BTreeMap;

/// A change of one row.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) before: Option<i64>,
    pub(super) after: Option<i64>,
    pub(super) tx: i64,
    pub(super) lsn: i64,
    /// The end of the commit before its transaction.
    pub(super) commit: i64,
}

/// A message before it has an offset.
#[derive(Debug, Clone)]
pub(super) enum Emitted {
    Change { change: Change, commit: Option<i64> },
    Read { key: String, value: i64, lsn: i64 },
    Letter,
    Skip,
}

/// What the connector does besides telling changes, once so many messages were written to the partition.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Twist {
    /// It is restarted without exactly-once, and begins again so many changes back.
    Restart { after: u8, back: u8 },
    /// It reads the whole table; so many changes were made while nobody listened.
    Snapshot { after: u8, lost: u8 },
}

impl Twist {
    fn after(self) -> usize {
        let (Self::Restart { after, .. } | Self::Snapshot { after, .. }) = self;
        after.into()
    }
}

/// How often each value of each key is there.
type Counts = BTreeMap<(String, i64), i64>;

/// A partition's messages, and what is there in the end.
pub(super) fn tell(partition: i32, messages: u8, twists: &[Twist]) -> (Vec<Emitted>, Counts) {
    let (script, changes) = script(partition, messages);
    let mut twists: Vec<Twist> = twists.to_vec();
    twists.sort_by_key(|twist| twist.after());
    let mut twists = twists.into_iter().peekable();
    let (mut connector, mut emitted) = (Connector::default(), Vec::new());
    let mut script = script.into_iter();
    loop {
        while let Some(twist) = twists.next_if(|twist| twist.after() <= emitted.len()) {
            connector.twist(twist, &changes, &mut emitted);
        }
        match script.next() {
            Some(Some(other)) => emitted.push(other),
            _ if connector.next < changes.len() => emitted.push(connector.tell(&changes)),
            Some(None) => {}
            None => return (emitted, state(&changes)),
        }
    }
}

/// How far the connector is in the changes.
#[derive(Default)]
struct Connector {
    next: usize,
    /// The one after the last that was ever told.
    reached: usize,
    /// No restart goes back before this one.
    base: usize,
    /// The transaction whose place it does not know, being the first since its start.
    first: Option<i64>,
}

impl Connector {
    fn tell(&mut self, changes: &[Change]) -> Emitted {
        let change = changes[self.next].clone();
        self.next += 1;
        self.reached = self.reached.max(self.next);
        let commit = (self.first != Some(change.tx)).then_some(change.commit);
        Emitted::Change { change, commit }
    }

    fn twist(&mut self, twist: Twist, changes: &[Change], emitted: &mut Vec<Emitted>) {
        match twist {
            Twist::Restart { back, .. } => {
                self.next = self.next.saturating_sub(back.into()).max(self.base);
                let group = |at: usize| changes.get(at).map(|change| (change.tx, change.lsn));
                while self.next > self.base && group(self.next - 1) == group(self.next) {
                    self.next -= 1;
                }
                self.first = changes.get(self.next).map(|change| change.tx);
            }
            Twist::Snapshot { lost, .. } => {
                let missed = changes[self.reached..].iter().take(lost.into());
                let missed = missed.take_while(|change| change.after.is_some()).count();
                if missed > 0 {
                    self.reached += missed;
                    (self.next, self.base) = (self.reached, self.reached);
                    self.first = changes.get(self.next).map(|change| change.tx);
                }
                let lsn = i64::try_from(self.reached * 100 + 95).unwrap();
                let live = state(&changes[..self.reached]).into_keys();
                emitted.extend(live.map(|(key, value)| Emitted::Read { key, value, lsn }));
            }
        }
    }
}

fn state(changes: &[Change]) -> Counts {
    let mut counts = Counts::new();
    for change in changes {
        for (value, sign) in [(change.before, -1), (change.after, 1)] {
            if let Some(value) = value {
                *counts.entry((change.key.clone(), value)).or_default() += sign;
            }
        }
    }
    counts.retain(|_, count| *count != 0);
    counts
}

/// What stands at each step, `None` for the next change; and the changes.
fn script(partition: i32, messages: u8) -> (Vec<Option<Emitted>>, Vec<Change>) {
    let (mut steps, mut changes) = (Vec::new(), Vec::<Change>::new());
    let mut live: Vec<(String, i64)> = Vec::new();
    for index in 0..i64::from(messages) {
        let turn = index + i64::from(partition);
        let (key, before, after) = match turn % 7 {
            3 => {
                steps.push(Some(Emitted::Letter));
                continue;
            }
            5 => {
                steps.push(Some(Emitted::Skip));
                continue;
            }
            2 if !live.is_empty() => {
                let (key, value) = &mut live[0];
                let before = std::mem::replace(value, 100 + index);
                (key.clone(), Some(before), Some(100 + index))
            }
            6 if !live.is_empty() => {
                let (key, value) = live.remove(0);
                (key, Some(value), None)
            }
            _ => {
                let key = format!("l{partition}-{index}");
                live.push((key.clone(), 7));
                (key, None, Some(7))
            }
        };
        // Some share a transaction with the change before, some its position, too.
        let (tx, lsn, commit) = match (changes.last(), turn % 4) {
            (Some(last), 1) => (last.tx, last.lsn + 1, last.commit),
            (Some(last), 3) if last.key != key => (last.tx, last.lsn, last.commit),
            _ => (1_000 + index, index * 100 + 150, index * 100 + 100),
        };
        steps.push(None);
        changes.push(Change { key, before, after, tx, lsn, commit });
    }
    (steps, changes)
}
