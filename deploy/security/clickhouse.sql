-- Three users for three jobs. Apply with an account that may manage users, in the form that `envsubst` makes of it:
--
--   export WRITER_SHA256=$(printf %s "$password" | sha256sum | cut -d' ' -f1)     # likewise MIGRATOR_, READER_
--   envsubst < clickhouse.sql | clickhouse-client --multiquery
--
-- Safe to repeat. The database is `nova` here (clickhouse.database). On a cluster add ON CLUSTER to each statement, and grant
-- CLUSTER ON *.* to nova_migrator.

-- Everything but what the next one does: `nova run`, `reconcile`, `audit`, `repair`, `dlq`, `replay`, `backfill`, `doctor`.
-- It adds rows and asks questions. It cannot change or delete what is there: history is never rewritten.
CREATE USER IF NOT EXISTS nova_writer IDENTIFIED WITH sha256_hash BY '${WRITER_SHA256}';
GRANT SELECT, INSERT ON nova.* TO nova_writer;
GRANT dictGet ON nova.* TO nova_writer;
GRANT SELECT ON system.tables TO nova_writer;
GRANT SELECT ON system.columns TO nova_writer;
GRANT SELECT ON system.settings TO nova_writer;
GRANT SELECT ON system.merge_tree_settings TO nova_writer;
GRANT SELECT ON system.dictionaries TO nova_writer;
GRANT SELECT ON system.view_refreshes TO nova_writer;

-- `nova migrate`, and `nova replay kafka --mode rebuild`, which puts months in the place of others: each for as long as it runs.
-- It makes, alters and drops tables, views and dictionaries in this database and nowhere else.
CREATE USER IF NOT EXISTS nova_migrator IDENTIFIED WITH sha256_hash BY '${MIGRATOR_SHA256}';
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY ON nova.* TO nova_migrator;
GRANT DROP TABLE, DROP VIEW, DROP DICTIONARY, ALTER TABLE, ALTER VIEW ON nova.* TO nova_migrator;
GRANT SELECT, INSERT, SYSTEM VIEWS ON nova.* TO nova_migrator;
GRANT SELECT ON system.tables TO nova_migrator;
GRANT SELECT ON system.columns TO nova_migrator;
GRANT SELECT ON system.settings TO nova_migrator;
GRANT SELECT ON system.merge_tree_settings TO nova_migrator;
GRANT SELECT ON system.view_refreshes TO nova_migrator;

-- Dashboards and services, and commands of Nova that only ask: `nova status`, `lag`, `offsets show`.
CREATE USER IF NOT EXISTS nova_reader IDENTIFIED WITH sha256_hash BY '${READER_SHA256}' SETTINGS readonly = 2;
GRANT SELECT, dictGet ON nova.* TO nova_reader;
