-- Why: users are a dimension (read by ClickHouse dictionaries, never captured); posts are the object that
-- every engagement refers to. Posts grow without end and are read by age, so they are partitioned by month:
-- an old month can be archived by itself and indexes stay small.
--
-- There is no default partition, on purpose. Rows that fall into one are invisible to partition pruning, make
-- every later partition of their month fail to attach, and have to be moved by delete and insert, which change
-- capture would publish as changes that never happened. A missing month fails the insert with its reason;
-- nova_ensure_partitions makes months ahead of time.

CREATE TABLE users (
    id         uuid        PRIMARY KEY,
    handle     text        NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE post_visibility AS ENUM ('public', 'followers', 'private');

-- PostgreSQL requires the partition key inside the primary key, hence (id, created_at).
CREATE TABLE posts (
    id         uuid            NOT NULL,
    author_id  uuid            NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    body       text            NOT NULL,
    visibility post_visibility NOT NULL DEFAULT 'public',
    created_at timestamptz(6)  NOT NULL DEFAULT now(),
    edited_at  timestamptz(6),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

-- An author's page, newest first; also what deleting a user looks up.
CREATE INDEX posts_author_id_created_at_idx ON posts (author_id, created_at DESC);

-- A deleted post must carry its whole row. With publish_via_partition_root the relation is described by the
-- parent, but the old row is written to the WAL by the partition: both need it, and partitions do not inherit it.
ALTER TABLE posts REPLICA IDENTITY FULL;

-- Creates the partition of the month that holds the given day and returns its name. Safe to repeat, also
-- side by side; repairs the replica identity of a partition that was made by hand. Months are UTC months whatever
-- the session's time zone is, or two callers would disagree about the bounds.
CREATE FUNCTION nova_create_posts_partition(month date) RETURNS text
LANGUAGE plpgsql
SET timezone = 'UTC'
SET search_path = public, pg_temp
AS $$
DECLARE
    lower_bound date := date_trunc('month', month)::date;
    upper_bound date := (lower_bound + interval '1 month')::date;
    partition   text := format('posts_%s', to_char(lower_bound, 'YYYY_MM'));
BEGIN
    -- IF NOT EXISTS alone lets two sessions collide in the catalog.
    PERFORM pg_advisory_xact_lock(hashtext('nova_create_partition'));
    IF to_regclass(format('public.%I', partition)) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.posts FOR VALUES FROM (%L) TO (%L)',
                       partition, lower_bound::timestamptz, upper_bound::timestamptz);
    END IF;
    -- Only when needed: ALTER TABLE would lock out every reader of a partition in use.
    IF (SELECT relreplident FROM pg_class WHERE oid = to_regclass(format('public.%I', partition))) <> 'f' THEN
        EXECUTE format('ALTER TABLE public.%I REPLICA IDENTITY FULL', partition);
    END IF;
    RETURN partition;
END
$$;
