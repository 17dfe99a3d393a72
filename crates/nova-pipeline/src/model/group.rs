//! The group's coordinator, and what its clients know of it: generations, cooperative assignment, committed offsets.
//!
//! As with Kafka, the coordinator takes commits of any partition from any member of the current generation; that only
//! granted partitions are committed is the client's part. A client asks the pipeline one question at a time.

use std::collections::{BTreeMap, BTreeSet};

/// What the group asks of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
    Lost(Vec<i32>),
}

/// A client, member or not.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// Grows with every time it joins; a request of an older epoch is of an older generation.
    pub(super) epoch: u32,
    /// The coordinator has thrown it out. The client may not know yet.
    pub(super) evicted: bool,
    /// The client knows that it was thrown out, and asks as soon as no other question is open.
    knows: bool,
    pub(super) granted: BTreeSet<i32>,
    pub(super) open: Option<Question>,
    pub(super) heard: bool,
    pub(super) positions: BTreeMap<i32, i64>,
    pub(super) paused: bool,
    /// Turns of reading, for a fixed but mixed order of partitions.
    pub(super) turn: u32,
}

#[derive(Default)]
pub(super) struct Group {
    partitions: i32,
    pub(super) committed: BTreeMap<i32, (i64, String)>,
    pub(super) members: BTreeMap<u32, Member>,
    owner: BTreeMap<i32, u32>,
    pub(super) shift: usize,
}

impl Group {
    pub(super) fn new(partitions: i32) -> Self {
        Self { partitions, ..Self::default() }
    }

    pub(super) fn join(&mut self, client: u32) {
        self.members.insert(client, Member::default());
        self.rebalance();
    }

    /// The client has left in order, or died and its session has ended.
    pub(super) fn remove(&mut self, client: u32) {
        self.members.remove(&client);
        self.owner.retain(|_, owner| *owner != client);
        self.rebalance();
    }

    /// The coordinator gives the member up.
    pub(super) fn evict(&mut self, client: u32) {
        let Some(member) = self.members.get_mut(&client) else { return };
        member.evicted = true;
        self.owner.retain(|_, owner| *owner != client);
        self.rebalance();
    }

    /// The client hears that it was thrown out.
    pub(super) fn hear_of_eviction(&mut self, client: u32) {
        let Some(member) = self.members.get_mut(&client).filter(|member| member.evicted) else { return };
        member.knows = true;
        self.rebalance();
    }

    pub(super) fn accepts(&self, client: u32, epoch: u32) -> bool {
        self.members.get(&client).is_some_and(|member| !member.evicted && member.epoch == epoch)
    }

    /// The pipeline begins to read what it was assigned.
    pub(super) fn started(&mut self, client: u32, positions: &[(i32, i64)]) -> Result<(), String> {
        let member = self.members.get_mut(&client).ok_or("no member")?;
        let answered: BTreeSet<i32> = positions.iter().map(|(partition, _)| *partition).collect();
        match &member.open {
            Some(Question::Assigned(asked)) if asked.iter().copied().collect::<BTreeSet<_>>() == answered => {
            }
            open => return Err(format!("a start of {answered:?} answers {open:?}")),
        }
        member.open = None;
        member.positions.extend(positions.iter().copied());
        self.rebalance();
        Ok(())
    }

    /// The pipeline hands back what was asked for.
    pub(super) fn released(&mut self, client: u32, partitions: &[i32]) -> Result<(), String> {
        let member = self.members.get_mut(&client).ok_or("no member")?;
        match &member.open {
            Some(Question::Revoked(asked) | Question::Lost(asked)) if asked == partitions => {}
            open => return Err(format!("a release of {partitions:?} answers {open:?}")),
        }
        member.open = None;
        member.granted.retain(|partition| !partitions.contains(partition));
        member.positions.retain(|partition, _| !partitions.contains(partition));
        self.owner.retain(|partition, owner| *owner != client || !partitions.contains(partition));
        self.rebalance();
        Ok(())
    }

    /// Moves every partition one step towards the member that it is meant for.
    pub(super) fn rebalance(&mut self) {
        for member in self.members.values_mut().filter(|member| member.knows && member.open.is_none()) {
            if member.granted.is_empty() {
                (member.evicted, member.knows) = (false, false);
                member.epoch += 1;
            } else {
                let lost = std::mem::take(&mut member.granted);
                member.ask(Question::Lost(lost.into_iter().collect()));
            }
        }
        let live: Vec<u32> =
            self.members.iter().filter(|(_, member)| !member.evicted).map(|(client, _)| *client).collect();
        if live.is_empty() {
            return;
        }
        let mut moves: BTreeMap<u32, (Vec<i32>, Vec<i32>)> = BTreeMap::new();
        for partition in 0..self.partitions {
            let target = live[(usize::try_from(partition).unwrap() + self.shift) % live.len()];
            match self.owner.get(&partition) {
                None => moves.entry(target).or_default().1.push(partition),
                Some(owner) if *owner != target => moves.entry(*owner).or_default().0.push(partition),
                Some(_) => {}
            }
        }
        for (client, (revoked, assigned)) in moves {
            let Some(member) = self.members.get_mut(&client).filter(|member| member.open.is_none()) else {
                continue;
            };
            if !revoked.is_empty() {
                member.ask(Question::Revoked(revoked));
            } else {
                member.granted.extend(&assigned);
                self.owner.extend(assigned.iter().map(|partition| (*partition, client)));
                member.ask(Question::Assigned(assigned));
            }
        }
    }
}

impl Member {
    fn ask(&mut self, question: Question) {
        self.open = Some(question);
        self.heard = false;
    }

    /// The first of these that is not this client's to commit, and whether the pipeline was in a position to know.
    pub(super) fn not_granted(&self, partitions: impl IntoIterator<Item = i32>) -> Option<(i32, bool)> {
        let partition = partitions.into_iter().find(|partition| !self.granted.contains(partition))?;
        Some((partition, !matches!(self.open, Some(Question::Lost(_)))))
    }
}
