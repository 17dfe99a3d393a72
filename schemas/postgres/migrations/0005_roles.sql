-- Why: Debezium and the readers log in with no more rights than their work needs. Roles belong to the whole
-- cluster, so another database may have made them already; passwords are set outside of migrations
-- (ALTER ROLE nova_replication PASSWORD ...), for they must never be in a repository.
--
-- The migrating role needs SUPERUSER before PostgreSQL 16, afterwards CREATEROLE and REPLICATION; where neither
-- can be had, an administrator makes the two roles first and these statements leave them as they are.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nova_replication') THEN
        BEGIN
            CREATE ROLE nova_replication LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database's migration was faster
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nova_reader') THEN
        BEGIN
            CREATE ROLE nova_reader LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname IN ('nova_replication', 'nova_reader') AND rolsuper) THEN
        RAISE EXCEPTION 'role nova_replication or nova_reader is a superuser'
            USING HINT = 'Run ALTER ROLE nova_replication NOSUPERUSER; ALTER ROLE nova_reader NOSUPERUSER; and migrate again.';
    END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO nova_replication, nova_reader;

-- SELECT on a partitioned table covers its present and future partitions when they are read through it, and
-- Debezium's snapshots, dictionaries and reconciliation read only through it: partitions need no grants.
GRANT SELECT ON posts, follows, comments, likes, engagement_outbox TO nova_replication;
-- Signals and watermarks: Debezium inserts them, reads the table's structure, and deletes a watermark when told to.
GRANT SELECT, INSERT, DELETE ON debezium_signal TO nova_replication;

GRANT SELECT ON users, posts, follows, comments, likes, engagement_outbox TO nova_reader;
