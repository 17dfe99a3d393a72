//! What the migrations promise: repeatable, every partition with its full old row, an explicit publication, and roles
//! that can do their work and no more.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgPool};

use crate::postgres::{Postgres, migrator};

async fn texts(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

/// The SQLSTATE a statement ends with; empty for success.
async fn sqlstate(pool: &PgPool, sql: &'static str) -> String {
    match sqlx::query(sql).execute(pool).await {
        Ok(_) => String::new(),
        Err(error) => error.as_database_error().unwrap().code().unwrap().into_owned(),
    }
}

const INSUFFICIENT_PRIVILEGE: &str = "42501";
const CHECK_VIOLATION: &str = "23514";

#[tokio::test]
async fn migrations_can_be_repeated_and_share_a_cluster() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    migrator().await.run(&pool).await.unwrap();
    // The roles are there already, made by the other database's migration.
    postgres.migrated("another").await;
    // With the books lost as well, the roles' migration by itself does no harm.
    for migration in migrator().await.iter().filter(|migration| migration.description.contains("roles")) {
        sqlx::raw_sql(migration.sql.clone()).execute(&pool).await.unwrap();
    }
}

#[tokio::test]
async fn captured_rows_carry_their_whole_old_image() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    let month = "SELECT nova_create_posts_partition('2031-03-17')";
    assert_eq!(texts(&pool, month).await, ["posts_2031_03"]);
    // WHEN somebody's partition lacks the identity, THEN repeating the call repairs it.
    sqlx::query("ALTER TABLE posts_2031_03 REPLICA IDENTITY DEFAULT").execute(&pool).await.unwrap();
    assert_eq!(texts(&pool, month).await, ["posts_2031_03"]);

    let not_full = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relreplident <> 'f' \
                    AND (relname IN ('posts', 'follows', 'comments', 'likes') \
                         OR oid IN (SELECT relid FROM pg_partition_tree('posts')))";
    assert_eq!(texts(&pool, not_full).await, [""; 0]);
    let partitions = "SELECT relid::regclass::text FROM pg_partition_tree('posts') WHERE isleaf";
    assert!(texts(&pool, partitions).await.len() >= 3, "this month, the next and 2031-03");

    let published: BTreeSet<String> =
        texts(&pool, "SELECT tablename::text FROM pg_publication_tables WHERE pubname = 'nova_cdc'")
            .await
            .into_iter()
            .collect();
    let expected = ["posts", "follows", "comments", "likes", "engagement_outbox", "debezium_signal"];
    assert_eq!(published, expected.map(String::from).into());
    let via_root = "SELECT pubviaroot FROM pg_publication WHERE pubname = 'nova_cdc' AND NOT puballtables";
    assert!(sqlx::query_scalar::<_, bool>(via_root).fetch_one(&pool).await.unwrap());
}

#[tokio::test]
async fn partitions_are_utc_months_and_days() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    let ensure =
        "SET timezone = 'Pacific/Kiritimati'; SELECT nova_ensure_partitions('2030-12-30', '2031-02-02')";
    for _ in 0..2 {
        sqlx::raw_sql(ensure).execute(&pool).await.unwrap();
    }
    let made = |parent: &'static str| {
        let sql = format!(
            "SELECT relid::regclass::text FROM pg_partition_tree('{parent}') \
             WHERE isleaf AND relid::regclass::text ~ '203[01]' ORDER BY 1"
        );
        let pool = pool.clone();
        async move { sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap() }
    };
    assert_eq!(made("posts").await, ["posts_2030_12", "posts_2031_01", "posts_2031_02"]);
    let days = made("engagement_outbox").await;
    assert_eq!(days.len(), 35);
    assert_eq!(days[2], "engagement_outbox_2031_01_01");

    let outbox = "INSERT INTO engagement_outbox VALUES (gen_random_uuid(), 'engagement', gen_random_uuid(), 'view', '{}', \
                  '2031-01-31 23:59:59.999999+00') RETURNING tableoid::regclass::text";
    assert_eq!(texts(&pool, outbox).await, ["engagement_outbox_2031_01_31"]);
    let user = "INSERT INTO users VALUES ('00000000-0000-0000-0000-000000000001', 'a')";
    sqlx::query(user).execute(&pool).await.unwrap();
    let post = "INSERT INTO posts VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '', 'public', \
                '2031-02-01 00:00:00+00') RETURNING tableoid::regclass::text";
    assert_eq!(texts(&pool, post).await, ["posts_2031_02"]);
    let last = "INSERT INTO posts VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '', 'public', \
                '2031-01-31 23:59:59.999999+00') RETURNING tableoid::regclass::text";
    assert_eq!(texts(&pool, last).await, ["posts_2031_01"]);
    // No default partition: a month that nobody made is refused, not hidden.
    let far = "INSERT INTO posts VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '', 'public', \
               '2050-01-01')";
    assert_eq!(sqlstate(&pool, far).await, CHECK_VIOLATION);
    let own = "INSERT INTO follows SELECT id, id FROM users";
    assert_eq!(sqlstate(&pool, own).await, CHECK_VIOLATION);
    let backwards = "SELECT nova_ensure_partitions('2031-02-02', '2031-02-01')";
    assert_eq!(sqlstate(&pool, backwards).await, "22023");
}

#[tokio::test]
async fn roles_can_do_their_work_and_no_more() {
    let postgres = Postgres::start().await;
    let owner = postgres.migrated("nova").await;
    let attributes = "SELECT concat_ws(' ', rolname, rolcanlogin, rolreplication, rolsuper, rolcreatedb, rolcreaterole, \
                      rolbypassrls) FROM pg_roles WHERE rolname ~ '^nova_' ORDER BY 1";
    assert_eq!(texts(&owner, attributes).await, ["nova_reader t f f f f f", "nova_replication t t f f f f"]);
    sqlx::query("SELECT nova_create_posts_partition('2031-03-01')").execute(&owner).await.unwrap();

    let captured = ["posts", "follows", "comments", "likes", "engagement_outbox"];
    for role in ["nova_replication", "nova_reader"] {
        let pool = postgres.pool("nova", role).await.unwrap();
        for table in captured {
            let read = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            sqlx::query(read)
                .execute(&pool)
                .await
                .unwrap_or_else(|error| panic!("{role} on {table}: {error}"));
            let write = AssertSqlSafe(format!("DELETE FROM {table}"));
            let refused = sqlx::query(write).execute(&pool).await.unwrap_err();
            assert_eq!(refused.as_database_error().unwrap().code().unwrap(), INSUFFICIENT_PRIVILEGE);
        }
        // Through the parent, present and future partitions are readable; by themselves they need not be.
        assert_eq!(sqlstate(&pool, "SELECT FROM posts_2031_03").await, INSUFFICIENT_PRIVILEGE);
    }
    let replication = postgres.pool("nova", "nova_replication").await.unwrap();
    assert_eq!(sqlstate(&replication, "SELECT FROM users").await, INSUFFICIENT_PRIVILEGE);
    assert_eq!(sqlstate(&replication, "INSERT INTO debezium_signal VALUES ('1', 'log', '{}')").await, "");
    assert_eq!(sqlstate(&replication, "DELETE FROM debezium_signal WHERE id = '1'").await, "");
    let slot = "SELECT pg_create_logical_replication_slot('try', 'pgoutput', true)";
    assert_eq!(sqlstate(&replication, slot).await, "");
    let reader = postgres.pool("nova", "nova_reader").await.unwrap();
    assert_eq!(sqlstate(&reader, "SELECT FROM users").await, "");
    assert_eq!(sqlstate(&reader, "SELECT FROM debezium_signal").await, INSUFFICIENT_PRIVILEGE);
}
