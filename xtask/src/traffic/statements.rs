//! The SQL of the simulated application, one function for a statement. Invariant: a row that refers to a post is
//! inserted from that post, locked FOR KEY SHARE; so a post that was deleted meanwhile yields no row instead of a
//! foreign-key error, and a post that is being deleted waits.
//!
//! Ids are UUIDv7, as an application would make them, and not drawn from the seed: a second run with the same seed
//! on the same database must not collide with the first.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Result};
use uuid::Uuid;

use super::world::PostKey;

/// A user likes a post.
#[derive(Clone, Copy, Debug)]
pub(super) struct LikeIntent {
    pub(super) user: Uuid,
    pub(super) post: PostKey,
}

pub(super) async fn insert_post(
    conn: &mut PgConnection,
    author: Uuid,
    body: &str,
    visibility: &str,
) -> Result<PostKey> {
    let id = Uuid::now_v7();
    let sql = "INSERT INTO posts (id, author_id, body, visibility) VALUES ($1, $2, $3, $4::post_visibility) \
               RETURNING created_at";
    let created_at: DateTime<Utc> =
        sqlx::query_scalar(sql).bind(id).bind(author).bind(body).bind(visibility).fetch_one(conn).await?;
    Ok(PostKey { id, created_at })
}

pub(super) async fn update_post_body(conn: &mut PgConnection, post: PostKey, body: &str) -> Result<bool> {
    let sql = "UPDATE posts SET body = $3, edited_at = clock_timestamp() WHERE id = $1 AND created_at = $2";
    let done = sqlx::query(sql).bind(post.id).bind(post.created_at).bind(body).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn update_post_visibility(
    conn: &mut PgConnection,
    post: PostKey,
    visibility: &str,
) -> Result<bool> {
    let sql = "UPDATE posts SET visibility = $3::post_visibility WHERE id = $1 AND created_at = $2";
    let done = sqlx::query(sql).bind(post.id).bind(post.created_at).bind(visibility).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

/// The rows that went with a deleted post.
#[derive(Debug)]
pub(super) struct DeletedPost {
    pub(super) likes: Vec<Uuid>,
    pub(super) comments: Vec<Uuid>,
}

/// Deletes a post; `None` if it was gone. The post is locked before its likes and comments are listed, so that none
/// can be added between the list and the cascade.
pub(super) async fn delete_post(conn: &mut PgConnection, post: PostKey) -> Result<Option<DeletedPost>> {
    let lock = "SELECT id FROM posts WHERE id = $1 AND created_at = $2 FOR UPDATE";
    let found: Option<Uuid> =
        sqlx::query_scalar(lock).bind(post.id).bind(post.created_at).fetch_optional(&mut *conn).await?;
    if found.is_none() {
        return Ok(None);
    }
    let likes = "SELECT id FROM likes WHERE post_id = $1 AND post_created_at = $2 FOR UPDATE";
    let likes = sqlx::query_scalar(likes).bind(post.id).bind(post.created_at).fetch_all(&mut *conn).await?;
    let comments = "SELECT id FROM comments WHERE post_id = $1 AND post_created_at = $2 FOR UPDATE";
    let comments =
        sqlx::query_scalar(comments).bind(post.id).bind(post.created_at).fetch_all(&mut *conn).await?;
    let delete = "DELETE FROM posts WHERE id = $1 AND created_at = $2";
    sqlx::query(delete).bind(post.id).bind(post.created_at).execute(conn).await?;
    Ok(Some(DeletedPost { likes, comments }))
}

pub(super) async fn insert_follow(conn: &mut PgConnection, follower: Uuid, followee: Uuid) -> Result<bool> {
    let sql = "INSERT INTO follows (follower_id, followee_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(sqlx::query(sql).bind(follower).bind(followee).execute(conn).await?.rows_affected() > 0)
}

pub(super) async fn delete_follow(conn: &mut PgConnection, follower: Uuid, followee: Uuid) -> Result<bool> {
    let sql = "DELETE FROM follows WHERE follower_id = $1 AND followee_id = $2";
    Ok(sqlx::query(sql).bind(follower).bind(followee).execute(conn).await?.rows_affected() > 0)
}

/// Inserts the likes in one statement and returns the ids of those that are new. Posts are locked in the order of
/// their ids, so that two such statements cannot wait for each other.
pub(super) async fn insert_likes(conn: &mut PgConnection, likes: &[LikeIntent]) -> Result<Vec<Uuid>> {
    let sql = "INSERT INTO likes (id, post_id, post_created_at, user_id) \
               SELECT wanted.id, posts.id, posts.created_at, wanted.user_id \
               FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::uuid[]) \
                    AS wanted (id, post_id, post_created_at, user_id) \
               JOIN posts ON posts.id = wanted.post_id AND posts.created_at = wanted.post_created_at \
               ORDER BY posts.id, wanted.id FOR KEY SHARE OF posts \
               ON CONFLICT DO NOTHING RETURNING id";
    let ids: Vec<Uuid> = likes.iter().map(|_| Uuid::now_v7()).collect();
    let posts: Vec<Uuid> = likes.iter().map(|like| like.post.id).collect();
    let times: Vec<DateTime<Utc>> = likes.iter().map(|like| like.post.created_at).collect();
    let users: Vec<Uuid> = likes.iter().map(|like| like.user).collect();
    sqlx::query_scalar(sql).bind(ids).bind(posts).bind(times).bind(users).fetch_all(conn).await
}

/// Copies the likes that are neither there nor of a deleted post, and returns their ids. COPY knows no ON CONFLICT:
/// the caller treats a unique violation as a lost race.
pub(super) async fn copy_likes(conn: &mut PgConnection, likes: &[LikeIntent]) -> Result<Vec<Uuid>> {
    let post_there = "SELECT id FROM posts WHERE id = $1 AND created_at = $2 AND NOT EXISTS \
                      (SELECT FROM likes WHERE user_id = $3 AND post_id = $1) FOR KEY SHARE";
    let (mut ids, mut seen, mut lines) = (Vec::new(), Vec::new(), String::new());
    for LikeIntent { user, post } in likes {
        let free: Option<Uuid> = sqlx::query_scalar(post_there)
            .bind(post.id)
            .bind(post.created_at)
            .bind(user)
            .fetch_optional(&mut *conn)
            .await?;
        if free.is_none() || seen.contains(&(*user, post.id)) {
            continue;
        }
        let id = Uuid::now_v7();
        lines += &format!("{id}\t{}\t{}\t{user}\n", post.id, post.created_at.to_rfc3339());
        ids.push(id);
        seen.push((*user, post.id));
    }
    let mut copy = conn.copy_in_raw("COPY likes (id, post_id, post_created_at, user_id) FROM STDIN").await?;
    copy.send(lines.into_bytes()).await?;
    copy.finish().await?;
    Ok(ids)
}

pub(super) async fn delete_like(conn: &mut PgConnection, id: Uuid) -> Result<bool> {
    Ok(sqlx::query("DELETE FROM likes WHERE id = $1").bind(id).execute(conn).await?.rows_affected() > 0)
}

/// Gives a like another primary key and returns it; `None` if the like was gone.
pub(super) async fn rekey_like(conn: &mut PgConnection, id: Uuid) -> Result<Option<Uuid>> {
    let new_id = Uuid::now_v7();
    let sql = "UPDATE likes SET id = $2 WHERE id = $1";
    let done = sqlx::query(sql).bind(id).bind(new_id).execute(conn).await?;
    Ok((done.rows_affected() > 0).then_some(new_id))
}

/// Comments on a post and returns the comment's id; `None` if the post was gone.
pub(super) async fn insert_comment(
    conn: &mut PgConnection,
    user: Uuid,
    post: PostKey,
    body: &str,
) -> Result<Option<Uuid>> {
    let sql = "INSERT INTO comments (id, post_id, post_created_at, user_id, body) \
               SELECT $1, id, created_at, $4, $5 FROM posts WHERE id = $2 AND created_at = $3 \
               FOR KEY SHARE RETURNING id";
    let query = sqlx::query_scalar(sql).bind(Uuid::now_v7()).bind(post.id).bind(post.created_at);
    query.bind(user).bind(body).fetch_optional(conn).await
}

pub(super) async fn update_comment(conn: &mut PgConnection, id: Uuid, body: &str) -> Result<bool> {
    let sql = "UPDATE comments SET body = $2, edited_at = clock_timestamp() WHERE id = $1";
    Ok(sqlx::query(sql).bind(id).bind(body).execute(conn).await?.rows_affected() > 0)
}

pub(super) async fn delete_comment(conn: &mut PgConnection, id: Uuid) -> Result<bool> {
    Ok(sqlx::query("DELETE FROM comments WHERE id = $1").bind(id).execute(conn).await?.rows_affected() > 0)
}
