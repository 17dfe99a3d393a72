-- Roles before the migrations of schemas/postgres, for a cluster where nobody migrates as a superuser. As a superuser:
--
--   psql -d nova -v owner=… -v replication=… -v reader=… -f postgres.sql          # the three passwords
--
-- Then apply the migrations as nova_owner; they find the two other roles there, and grant them what they need.
-- Safe to repeat; a repetition sets the passwords again.
\set ON_ERROR_STOP on

-- Owns tables, functions and the publication: migrations, `nova outbox maintain` (postgres.owner). No superuser.
SELECT 'CREATE ROLE nova_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nova_owner') \gexec
ALTER ROLE nova_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner';
SELECT format('ALTER DATABASE %I OWNER TO nova_owner', current_database()) \gexec

-- Debezium: reads the WAL, and the captured tables for a snapshot.
SELECT 'CREATE ROLE nova_replication' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nova_replication') \gexec
ALTER ROLE nova_replication LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'replication';

-- `nova reconcile` and `doctor`, and ClickHouse's dictionaries: reads.
SELECT 'CREATE ROLE nova_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nova_reader') \gexec
ALTER ROLE nova_reader LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'reader';
ALTER ROLE nova_reader SET default_transaction_read_only = on;
