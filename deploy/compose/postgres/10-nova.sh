#!/usr/bin/env bash
# Run once, by PostgreSQL's image, when the database is made: the source tables, and the passwords of Nova's two roles.
set -euo pipefail
for migration in /migrations/*.sql; do
    psql --no-psqlrc --set ON_ERROR_STOP=1 --single-transaction \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file "$migration"
done
# psql reads the files itself: a password is in no command line and no environment.
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set reader `cat /run/secrets/postgres_reader`
\set replication `cat /run/secrets/postgres_replication`
ALTER ROLE nova_reader PASSWORD :'reader';
ALTER ROLE nova_replication PASSWORD :'replication';
SQL
