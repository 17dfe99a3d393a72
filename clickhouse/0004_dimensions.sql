-- Posts and users as PostgreSQL has them now, for names and attributes beside counts.
--
-- They are caches that ask PostgreSQL by primary key for what a query needs and they lack: memory is bounded by the
-- number of cells, not by the size of the tables, and creating them needs no connection. An answer may be up to five
-- minutes old. Nothing in this folder depends on them: counts and rankings come from event tables alone, and stay
-- right while PostgreSQL is away.
-- The queries are written out because ClickHouse reads a timestamptz in the time zone of PostgreSQL's session, whatever
-- that is, and takes it for the attribute's; and it reads six digits after the second, whatever the attribute has.
-- OR REPLACE, because address and password change: see "Dictionaries" in README.md.
CREATE OR REPLACE DICTIONARY ${database}.posts
(
    id UUID,
    author_id UUID,
    visibility String,
    created_at DateTime64(6, 'UTC')
)
PRIMARY KEY id
SOURCE(POSTGRESQL(
    HOST '${postgres_host}' PORT ${postgres_port} DB '${postgres_database}'
    USER '${postgres_user}' PASSWORD '${postgres_password}'
    QUERY 'SELECT id, author_id, visibility, created_at AT TIME ZONE ''UTC'' AS created_at FROM posts WHERE {condition}'
))
LAYOUT(COMPLEX_KEY_CACHE(SIZE_IN_CELLS 1000000))
LIFETIME(MIN 60 MAX 300);

CREATE OR REPLACE DICTIONARY ${database}.users
(
    id UUID,
    handle String,
    created_at DateTime64(6, 'UTC')
)
PRIMARY KEY id
SOURCE(POSTGRESQL(
    HOST '${postgres_host}' PORT ${postgres_port} DB '${postgres_database}'
    USER '${postgres_user}' PASSWORD '${postgres_password}'
    QUERY 'SELECT id, handle, created_at AT TIME ZONE ''UTC'' AS created_at FROM users WHERE {condition}'
))
LAYOUT(COMPLEX_KEY_CACHE(SIZE_IN_CELLS 1000000))
LIFETIME(MIN 60 MAX 300);
