//! What each [`Activity`] does within its transaction. Invariant: an action draws from the random generator the
//! same way whatever other writers did, and reports each row it changed, or a conflict where it changed none.

use nova_envelope::EngagementType;
use rand::RngExt as _;
use sqlx::Result;
use uuid::Uuid;

use super::events::{self, Engagement};
use super::mix::Activity;
use super::report::{CommittedChange, Op, Table};
use super::statements::{self as sql, LikeIntent};
use super::text;
use super::transaction::Work;
use super::world::{PostKey, random_index};
use super::writer::Writer;

const VISIBILITIES: [&str; 3] = ["public", "followers", "private"];
const LIKES_PER_STATEMENT: usize = 3;
const LIKES_PER_COPY: usize = 5;
const VIEWS_PER_TRANSACTION: usize = 10;

impl<F: Fn(CommittedChange) + Send + Sync> Writer<'_, F> {
    /// Carries an activity out; `false`, with nothing done, if there is no row to do it to.
    pub(super) async fn perform(&mut self, activity: Activity, work: &mut Work) -> Result<bool> {
        match activity {
            Activity::Post => self.post(work).await,
            Activity::EditPost => self.edit_post(work).await,
            Activity::DeletePost => self.delete_post(work).await,
            Activity::Follow => self.follow(work).await,
            Activity::Unfollow => self.unfollow(work).await,
            Activity::Like => self.like(work, 1).await,
            Activity::LikeSeveral => self.like(work, LIKES_PER_STATEMENT).await,
            Activity::CopyLikes => self.copy_likes(work).await,
            Activity::Unlike => self.unlike(work).await,
            Activity::RekeyLike => self.rekey_like(work).await,
            Activity::Comment => self.comment(work).await,
            Activity::EditComment => self.edit_comment(work).await,
            Activity::DeleteComment => self.delete_comment(work).await,
            Activity::Savepoints => self.savepoints(work).await,
            Activity::View => self.engage(work, EngagementType::View, VIEWS_PER_TRANSACTION).await,
            Activity::Share => self.engage(work, EngagementType::Share, 1).await,
            Activity::Session | Activity::RolledBack => Ok(self.like(work, 1).await?
                && self.comment(work).await?
                && self.follow(work).await?
                && self.engage(work, EngagementType::View, 1).await?),
        }
    }

    async fn post(&mut self, work: &mut Work) -> Result<bool> {
        let author = self.user();
        let visibility = self.visibility();
        let body = text::post_body(&mut self.rng);
        let post = sql::insert_post(work.conn(), author, &body, visibility).await?;
        work.changed(Table::Posts, Op::Insert, [post.id]);
        self.draft = Some(post);
        Ok(true)
    }

    async fn edit_post(&mut self, work: &mut Work) -> Result<bool> {
        let Some(post) = self.shared.posts.any(&mut self.rng) else { return Ok(false) };
        let found = if self.rng.random_bool(0.5) {
            let body = text::post_body(&mut self.rng);
            sql::update_post_body(work.conn(), post, &body).await?
        } else {
            let visibility = self.visibility();
            sql::update_post_visibility(work.conn(), post, visibility).await?
        };
        note(work, Table::Posts, Op::Update, found.then_some(post.id));
        Ok(true)
    }

    async fn delete_post(&mut self, work: &mut Work) -> Result<bool> {
        let Some(post) = self.shared.posts.any(&mut self.rng) else { return Ok(false) };
        // Forgotten at once: until the commit others would only wait for this row to be told that it is gone.
        self.shared.posts.forget(post);
        let deleted = sql::delete_post(work.conn(), post).await?;
        note(work, Table::Posts, Op::Delete, deleted.as_ref().map(|_| post.id));
        if let Some(cascaded) = deleted {
            work.changed(Table::Likes, Op::Delete, cascaded.likes);
            work.changed(Table::Comments, Op::Delete, cascaded.comments);
        }
        Ok(true)
    }

    async fn follow(&mut self, work: &mut Work) -> Result<bool> {
        let (follower, mut followee) = (self.user(), self.user());
        while followee == follower {
            followee = self.user();
        }
        match sql::insert_follow(work.conn(), follower, followee).await? {
            true => work.follow_changed(Op::Insert, follower, followee),
            false => work.conflicts += 1,
        }
        Ok(true)
    }

    async fn unfollow(&mut self, work: &mut Work) -> Result<bool> {
        let Some((follower, followee)) = self.follows.take(&mut self.rng) else { return Ok(false) };
        match sql::delete_follow(work.conn(), follower, followee).await? {
            true => work.follow_changed(Op::Delete, follower, followee),
            false => work.conflicts += 1,
        }
        Ok(true)
    }

    async fn like(&mut self, work: &mut Work, count: usize) -> Result<bool> {
        let Some(likes) = self.like_intents(count) else { return Ok(false) };
        let ids = sql::insert_likes(work.conn(), &likes).await?;
        self.note_likes(work, &likes, ids);
        Ok(true)
    }

    async fn copy_likes(&mut self, work: &mut Work) -> Result<bool> {
        let Some(likes) = self.like_intents(LIKES_PER_COPY) else { return Ok(false) };
        let ids = sql::copy_likes(work.conn(), &likes).await?;
        self.note_likes(work, &likes, ids);
        Ok(true)
    }

    async fn unlike(&mut self, work: &mut Work) -> Result<bool> {
        let Some(id) = self.likes.take(&mut self.rng) else { return Ok(false) };
        let found = sql::delete_like(work.conn(), id).await?;
        note(work, Table::Likes, Op::Delete, found.then_some(id));
        Ok(true)
    }

    async fn rekey_like(&mut self, work: &mut Work) -> Result<bool> {
        let Some(id) = self.likes.take(&mut self.rng) else { return Ok(false) };
        let new_id = sql::rekey_like(work.conn(), id).await?;
        note(work, Table::Likes, Op::Update, new_id);
        Ok(true)
    }

    async fn comment(&mut self, work: &mut Work) -> Result<bool> {
        let Some(post) = self.shared.posts.popular(&mut self.rng) else { return Ok(false) };
        let user = self.user();
        let body = text::short(&mut self.rng);
        let id = sql::insert_comment(work.conn(), user, post, &body).await?;
        note(work, Table::Comments, Op::Insert, id);
        Ok(true)
    }

    async fn edit_comment(&mut self, work: &mut Work) -> Result<bool> {
        let Some(id) = self.comments.any(&mut self.rng) else { return Ok(false) };
        let body = text::short(&mut self.rng);
        let found = sql::update_comment(work.conn(), id, &body).await?;
        note(work, Table::Comments, Op::Update, found.then_some(id));
        Ok(true)
    }

    async fn delete_comment(&mut self, work: &mut Work) -> Result<bool> {
        let Some(id) = self.comments.take(&mut self.rng) else { return Ok(false) };
        let found = sql::delete_comment(work.conn(), id).await?;
        note(work, Table::Comments, Op::Delete, found.then_some(id));
        Ok(true)
    }

    async fn savepoints(&mut self, work: &mut Work) -> Result<bool> {
        if !self.like(work, 1).await? {
            return Ok(false);
        }
        work.savepoint().await?;
        self.comment(work).await?;
        work.release_savepoint().await?;
        let before = work.savepoint().await?;
        self.comment(work).await?;
        work.rollback_to_savepoint(before).await?;
        Ok(true)
    }

    /// Writes events into the outbox, in a version drawn for each.
    async fn engage(&mut self, work: &mut Work, what: EngagementType, count: usize) -> Result<bool> {
        let mut wanted = Vec::with_capacity(count);
        for _ in 0..count {
            let Some(post) = self.shared.posts.popular(&mut self.rng) else { return Ok(false) };
            let user = self.user();
            wanted.push(Engagement::draw(&mut self.rng, what, post.id, user));
        }
        let ids = events::write(work.transaction(), &wanted).await?;
        work.changed(Table::Outbox, Op::Insert, ids);
        Ok(true)
    }

    fn like_intents(&mut self, count: usize) -> Option<Vec<LikeIntent>> {
        (0..count)
            .map(|_| {
                let post: PostKey = self.shared.posts.popular(&mut self.rng)?;
                Some(LikeIntent { user: self.user(), post })
            })
            .collect()
    }

    fn note_likes(&self, work: &mut Work, wanted: &[LikeIntent], inserted: Vec<Uuid>) {
        work.conflicts += u64::try_from(wanted.len().saturating_sub(inserted.len())).unwrap_or(u64::MAX);
        work.changed(Table::Likes, Op::Insert, inserted);
    }

    /// Any user; the caller of the run made sure that there are some.
    fn user(&mut self) -> Uuid {
        let users = self.shared.users;
        random_index(users.len(), &mut self.rng)
            .and_then(|index| users.get(index).copied())
            .unwrap_or_default()
    }

    fn visibility(&mut self) -> &'static str {
        random_index(VISIBILITIES.len(), &mut self.rng)
            .and_then(|index| VISIBILITIES.get(index).copied())
            .unwrap_or("public")
    }
}

/// Reports the changed row, or a conflict if there was none.
fn note(work: &mut Work, table: Table, op: Op, id: Option<Uuid>) {
    if id.is_none() {
        work.conflicts += 1;
    }
    work.changed(table, op, id);
}
