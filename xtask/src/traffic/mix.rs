//! What the application does, and how often. Invariant: the weights are per cent and add up to 100.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// One decision of a simulated user; each is one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activity {
    /// Writes a post.
    Post,
    /// Changes a post's body or visibility.
    EditPost,
    /// Deletes a post; its likes and comments go with it by foreign key.
    DeletePost,
    /// Follows another user.
    Follow,
    /// Takes a follow back.
    Unfollow,
    /// Likes one post.
    Like,
    /// Likes several posts in one statement.
    LikeSeveral,
    /// Likes several posts by COPY, whose rows share one WAL position.
    CopyLikes,
    /// Takes a like back.
    Unlike,
    /// Changes the primary key of a like, which Debezium splits into a delete and an insert.
    RekeyLike,
    /// Comments on a post.
    Comment,
    /// Changes a comment's body.
    EditComment,
    /// Deletes a comment.
    DeleteComment,
    /// Looks at many posts: events of all versions in one transaction, by the outbox.
    View,
    /// Passes a post on: an event, too.
    Share,
    /// Several statements in one transaction: a like, a comment, a follow and a view.
    Session,
    /// A like, a comment under a savepoint that is released, and one under a savepoint that is rolled back.
    Savepoints,
    /// A session whose transaction is rolled back: nothing of it may ever be seen.
    RolledBack,
}

/// Each activity's share of all decisions, in per cent. About 12 % of the row changes that follow from it are deletes.
pub const MIX: [(Activity, u32); Activity::COUNT] = [
    (Activity::Like, 22),
    (Activity::Comment, 15),
    (Activity::Follow, 11),
    (Activity::Post, 11),
    (Activity::LikeSeveral, 6),
    (Activity::Unlike, 6),
    (Activity::EditComment, 4),
    (Activity::EditPost, 4),
    (Activity::View, 5),
    (Activity::Session, 4),
    (Activity::Share, 2),
    (Activity::Unfollow, 2),
    (Activity::DeleteComment, 2),
    (Activity::Savepoints, 2),
    (Activity::DeletePost, 1),
    (Activity::RekeyLike, 1),
    (Activity::CopyLikes, 1),
    (Activity::RolledBack, 1),
];

const _: () = assert!(total_weight() == 100, "the weights of MIX must add up to 100");

const fn total_weight() -> u32 {
    let (mut total, mut next) = (0, 0);
    while next < MIX.len() {
        total += MIX[next].1;
        next += 1;
    }
    total
}

impl Activity {
    /// How many kinds there are.
    pub const COUNT: usize = 18;

    /// Draws a kind with the weights of [`MIX`].
    pub(super) fn draw(rng: &mut StdRng) -> Self {
        let mut left = rng.random_range(0..total_weight());
        for (activity, weight) in MIX {
            if left < weight {
                return activity;
            }
            left -= weight;
        }
        Self::Like
    }

    /// What to do instead when there is nothing yet to take back or to change.
    pub(super) fn without_object(self) -> Self {
        match self {
            Self::Unfollow => Self::Follow,
            Self::Unlike | Self::RekeyLike => Self::Like,
            Self::EditComment | Self::DeleteComment => Self::Comment,
            _ => Self::Post,
        }
    }
}

/// Draws a rank below `ranks` with a probability nearly proportional to 1 / (rank + 1): Zipf's law with exponent 1,
/// by inverting its continuous distribution function ln(x) / ln(ranks + 1). Returns 0 for no ranks.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "ranks are a few thousand and the power of a number above 1 is positive"
)]
pub(super) fn zipf_rank(rng: &mut StdRng, ranks: usize) -> usize {
    let rank = ((ranks + 1) as f64).powf(rng.random::<f64>()) as usize;
    rank.saturating_sub(1).min(ranks.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use std::collections::HashMap;

    #[test]
    fn draws_follow_the_weights() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut drawn: HashMap<Activity, f64> = HashMap::new();
        for _ in 0..100_000 {
            *drawn.entry(Activity::draw(&mut rng)).or_default() += 0.001;
        }
        for (activity, weight) in MIX {
            let share = drawn[&activity];
            assert!((share - f64::from(weight)).abs() < 0.6, "{activity:?}: {share} % instead of {weight} %");
        }
    }

    #[test]
    fn the_first_rank_is_twice_as_popular_as_the_second() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut hits = [0_u32; 1000];
        for _ in 0..200_000 {
            hits[zipf_rank(&mut rng, 1000)] += 1;
        }
        let ratio = f64::from(hits[0]) / f64::from(hits[1]);
        assert!((1.5..2.0).contains(&ratio), "{ratio}");
        assert!(hits[0] > 100 * hits[700].max(1), "the tail must be long: {} and {}", hits[0], hits[700]);
        assert!(hits[500..].iter().any(|&h| h > 0));
        assert_eq!(zipf_rank(&mut rng, 0), 0);
    }
}
