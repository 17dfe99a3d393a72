//! What operators do while no process runs: offsets set by hand, a topic deleted and made again.

use std::time::Duration;

use tokio::time::Instant;

use super::world::{SESSION_TIMEOUT, State};

/// What operators do to offsets, while no process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meddling {
    /// Sets offsets back, of those partitions whose bit is set: to 0, to the middle, or only forgets what Nova noted.
    SetBack(u8),
    /// Deletes the topic, and makes it again.
    Remake,
}

impl State {
    /// Kills all processes; they are started again when the meddling is done.
    pub(super) fn meddle(&mut self, meddling: Meddling) {
        if self.meddling.is_none() {
            self.meddling = Some((meddling, Instant::now()));
            self.slots.iter_mut().for_each(|slot| slot.crashed = slot.client);
            self.history.push(format!("            {meddling:?}: all processes are killed"));
        }
    }

    /// The operator acts, once the group is empty and no request of the dead is under way.
    pub(super) fn act(&mut self, now: Duration) {
        let Some((meddling, since)) = self.meddling else { return };
        if since.elapsed() < SESSION_TIMEOUT {
            return;
        }
        let members: Vec<u32> = self.group.members.keys().copied().collect();
        members.into_iter().for_each(|client| self.group.remove(client));
        match meddling {
            // A group deleted with its first rows is not told from one that never was: see docs/exactly-once.md.
            Meddling::SetBack(how) if how >> 6 == 3 && !self.table.rows().is_empty() => {
                self.group.committed.clear();
            }
            Meddling::SetBack(how) => {
                for (_, (offset, metadata)) in
                    self.group.committed.iter_mut().filter(|(p, _)| how >> **p & 1 == 1)
                {
                    metadata.clear();
                    *offset = [0, *offset / 2, *offset][usize::from(how >> 4 & 3).min(2)];
                }
            }
            Meddling::Remake => {
                self.topic.remake(now);
                self.note_topic();
                self.group.committed.clear();
            }
        }
        self.meddling = None;
        let committed = format!("            {meddling:?} is done: {:?}", self.group.committed);
        self.history.push(committed);
    }
}
