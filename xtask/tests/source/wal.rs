//! What pgoutput writes for this schema, which is what Debezium reads.
//! Message formats: <https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>

use std::collections::{BTreeMap, BTreeSet};

use crate::postgres::Postgres;

#[tokio::test]
async fn a_cascade_reaches_the_wal_row_by_row_with_whole_old_rows_under_the_root_table() {
    let postgres = Postgres::start().await;
    let pool = postgres.migrated("nova").await;
    // GIVEN a post with a like and a comment, and a slot that begins after them
    let given = "INSERT INTO users VALUES (gen_random_uuid(), 'a'); \
        INSERT INTO posts SELECT gen_random_uuid(), id, 'body' FROM users; \
        INSERT INTO likes SELECT gen_random_uuid(), p.id, p.created_at, u.id FROM posts p, users u; \
        INSERT INTO comments SELECT gen_random_uuid(), p.id, p.created_at, u.id, 'text' FROM posts p, users u";
    sqlx::raw_sql(given).execute(&pool).await.unwrap();
    sqlx::query("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')")
        .execute(&pool)
        .await
        .unwrap();

    // WHEN the user is deleted, and a signal is given
    sqlx::raw_sql("DELETE FROM users; INSERT INTO debezium_signal VALUES ('1', 'log', '{}')")
        .execute(&pool)
        .await
        .unwrap();

    // THEN each cascaded row is a delete with its old row ('O'), named by the partitioned table and not by a month
    let changes = "SELECT data FROM pg_logical_slot_get_binary_changes('slot', NULL, NULL, \
                   'proto_version', '1', 'publication_names', 'nova_cdc')";
    let messages: Vec<Vec<u8>> = sqlx::query_scalar(changes).fetch_all(&pool).await.unwrap();
    let relations: BTreeMap<&[u8], &str> =
        messages.iter().filter(|message| message[0] == b'R').map(|message| relation(message)).collect();
    let deleted: BTreeSet<(&str, char)> = messages
        .iter()
        .filter(|message| message[0] == b'D')
        .map(|message| (relations[&message[1..5]], char::from(message[5])))
        .collect();
    assert_eq!(deleted, [("posts", 'O'), ("likes", 'O'), ("comments", 'O')].into());
    let inserted: Vec<&str> = messages
        .iter()
        .filter(|message| message[0] == b'I')
        .map(|message| relations[&message[1..5]])
        .collect();
    assert_eq!(inserted, ["debezium_signal"]);
}

/// Relation message: 'R', its id (4 bytes), then schema and name, each ended by NUL.
fn relation(message: &[u8]) -> (&[u8], &str) {
    let name = message[5..].split(|byte| *byte == 0).nth(1).unwrap();
    (&message[1..5], std::str::from_utf8(name).unwrap())
}
