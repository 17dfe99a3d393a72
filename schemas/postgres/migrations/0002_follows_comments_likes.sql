-- Why: the three relations between users and posts whose rows come and go. Deleting a post or a user deletes
-- them by foreign key, and each row so deleted reaches the WAL as a change of its own. Deletes are counted
-- downstream as -1 of the old row, so the old row must be complete: REPLICA IDENTITY FULL.
--
-- A foreign key to posts repeats the partition key (post_created_at), because the primary key of a partitioned
-- table contains it. Every foreign key has an index that begins with its columns, or a cascade reads whole tables.

CREATE TABLE follows (
    follower_id uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    followee_id uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  timestamptz(6) NOT NULL DEFAULT now(),
    PRIMARY KEY (follower_id, followee_id),
    CONSTRAINT follows_not_oneself CHECK (follower_id <> followee_id)
);
-- Whom somebody follows is the primary key; who follows somebody, newest first:
CREATE INDEX follows_followee_id_created_at_idx ON follows (followee_id, created_at DESC);
ALTER TABLE follows REPLICA IDENTITY FULL;

CREATE TABLE comments (
    id              uuid           PRIMARY KEY,
    post_id         uuid           NOT NULL,
    post_created_at timestamptz(6) NOT NULL,
    user_id         uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    body            text           NOT NULL,
    created_at      timestamptz(6) NOT NULL DEFAULT now(),
    edited_at       timestamptz(6),
    FOREIGN KEY (post_id, post_created_at) REFERENCES posts (id, created_at) ON DELETE CASCADE
);
-- A thread, and the cascade from posts.
CREATE INDEX comments_post_id_created_at_idx ON comments (post_id, created_at DESC);
-- A user's comments, and the cascade from users.
CREATE INDEX comments_user_id_created_at_idx ON comments (user_id, created_at DESC);
ALTER TABLE comments REPLICA IDENTITY FULL;

CREATE TABLE likes (
    id              uuid           PRIMARY KEY,
    post_id         uuid           NOT NULL,
    post_created_at timestamptz(6) NOT NULL,
    user_id         uuid           NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at      timestamptz(6) NOT NULL DEFAULT now(),
    CONSTRAINT likes_once_per_user UNIQUE (user_id, post_id),
    FOREIGN KEY (post_id, post_created_at) REFERENCES posts (id, created_at) ON DELETE CASCADE
);
-- Who liked a post, and the cascade from posts.
CREATE INDEX likes_post_id_created_at_idx ON likes (post_id, created_at DESC);
-- What a user liked, newest first; the cascade from users may take the unique key.
CREATE INDEX likes_user_id_created_at_idx ON likes (user_id, created_at DESC);
ALTER TABLE likes REPLICA IDENTITY FULL;
