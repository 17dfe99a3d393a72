//! What the generator remembers of the rows it may act on: likeable posts, shared by all writers, and each writer's
//! own likes, comments and follows. Invariant: memory is bounded, and what is remembered is only a hint. Every
//! statement checks the database, so a row that is gone is a conflict and never an error.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rand::RngExt as _;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::mix::zipf_rank;

/// More posts would make popularity flatter and memory larger, without another kind of change.
pub(super) const REMEMBERED_POSTS: usize = 10_000;
const REMEMBERED_ROWS: usize = 5_000;

/// A post's primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PostKey {
    pub(super) id: Uuid,
    pub(super) created_at: DateTime<Utc>,
}

/// Posts in the order of their popularity: the slot is the rank, and a new post inherits a deleted one's.
#[derive(Debug, Default)]
pub(super) struct Posts(Mutex<Vec<PostKey>>);

impl Posts {
    pub(super) fn new(posts: Vec<PostKey>) -> Self {
        Self(Mutex::new(posts))
    }

    pub(super) fn add(&self, post: PostKey, rng: &mut StdRng) {
        put_bounded(&mut self.lock(), post, REMEMBERED_POSTS, rng);
    }

    /// A post to engage with, popular ones far more often.
    pub(super) fn popular(&self, rng: &mut StdRng) -> Option<PostKey> {
        let posts = self.lock();
        posts.get(zipf_rank(rng, posts.len())).copied()
    }

    /// Any post, each as likely: popularity would make the deletes that follow by cascade the most of all changes.
    pub(super) fn any(&self, rng: &mut StdRng) -> Option<PostKey> {
        let posts = self.lock();
        random_index(posts.len(), rng).and_then(|slot| posts.get(slot).copied())
    }

    pub(super) fn forget(&self, post: PostKey) {
        let mut posts = self.lock();
        if let Some(slot) = posts.iter().position(|known| *known == post) {
            posts.swap_remove(slot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PostKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows that one writer made.
#[derive(Debug)]
pub(super) struct Remembered<T>(Vec<T>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> Remembered<T> {
    pub(super) fn add(&mut self, row: T, rng: &mut StdRng) {
        put_bounded(&mut self.0, row, REMEMBERED_ROWS, rng);
    }

    pub(super) fn any(&self, rng: &mut StdRng) -> Option<T> {
        random_index(self.0.len(), rng).and_then(|slot| self.0.get(slot).copied())
    }

    pub(super) fn take(&mut self, rng: &mut StdRng) -> Option<T> {
        random_index(self.0.len(), rng).map(|slot| self.0.swap_remove(slot))
    }
}

/// Adds a row, in place of a random one when the limit is reached.
fn put_bounded<T>(rows: &mut Vec<T>, row: T, limit: usize, rng: &mut StdRng) {
    if rows.len() < limit {
        rows.push(row);
    } else if let Some(slot) = random_index(rows.len(), rng).and_then(|slot| rows.get_mut(slot)) {
        *slot = row;
    }
}

pub(super) fn random_index(len: usize, rng: &mut StdRng) -> Option<usize> {
    (len > 0).then(|| rng.random_range(0..len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn memory_is_bounded_and_taken_rows_are_gone() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut rows = Remembered::default();
        for row in 0..2 * REMEMBERED_ROWS {
            rows.add(row, &mut rng);
        }
        let mut taken = std::collections::HashSet::new();
        while let Some(row) = rows.take(&mut rng) {
            assert!(taken.insert(row), "row {row} came twice");
        }
        assert_eq!(taken.len(), REMEMBERED_ROWS);
        assert_eq!(rows.any(&mut rng), None);
    }

    #[test]
    fn a_forgotten_post_is_not_offered_again() {
        let mut rng = StdRng::seed_from_u64(3);
        let posts = Posts::default();
        let post = PostKey { id: Uuid::nil(), created_at: DateTime::UNIX_EPOCH };
        posts.add(post, &mut rng);
        assert_eq!((posts.popular(&mut rng), posts.any(&mut rng)), (Some(post), Some(post)));
        posts.forget(post);
        assert_eq!((posts.popular(&mut rng), posts.any(&mut rng)), (None, None));
    }
}
