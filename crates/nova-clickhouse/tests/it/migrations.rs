//! Migrations on the real engine: applied once, applied again after a cut, refused when edited.

use nova_clickhouse::{Client, MIGRATIONS, MigrateError, Migration, Migrator, TemplateValues};

use crate::server::{Server, number};

pub(crate) fn values() -> TemplateValues {
    TemplateValues {
        postgres_host: "127.0.0.1".to_owned(),
        postgres_port: 1,
        postgres_database: "social".to_owned(),
        postgres_user: "o'reader".to_owned(),
        postgres_password: "it's; a \\ secret".into(),
    }
}

async fn apply(client: &Client, migrations: &[Migration]) -> Result<Vec<Migration>, MigrateError> {
    Migrator::new(client, &values(), migrations).apply().await
}

#[tokio::test]
async fn a_fresh_server_gets_all_and_a_second_run_nothing() {
    let server = Server::start().await;
    let client = server.client_for("no`va", "");
    assert_eq!(Migrator::new(&client, &values(), MIGRATIONS).plan().await.unwrap(), MIGRATIONS);
    assert_eq!(apply(&client, MIGRATIONS).await.unwrap(), MIGRATIONS);
    assert_eq!(apply(&client, MIGRATIONS).await.unwrap(), []);
    assert_eq!(
        number(&client, "SELECT count() FROM nova_migrations").await,
        i64::try_from(MIGRATIONS.len()).unwrap()
    );
    let engine = "SELECT engine FROM system.databases WHERE name = currentDatabase()";
    assert_eq!(client.query_text(engine, &[]).await.unwrap(), "Atomic\n");
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_applied_again() {
    let server = Server::start().await;
    let client = server.client();
    let broken = [Migration {
        version: 1,
        name: "0001_x.sql",
        sql: "CREATE TABLE IF NOT EXISTS ${database}.a (n UInt8) ENGINE = MergeTree ORDER BY n; \
              CREATE TABLE IF NOT EXISTS ${database}.b (n UInt8) ENGINE = MergeTree ORDER BY nope -- ${x}",
    }];
    let error = apply(&client, &broken).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Statement { statement: 2, .. }), "{error}");
    assert_eq!(number(&client, "SELECT count() FROM nova_migrations").await, 0);
    let mended = [Migration {
        sql: "CREATE TABLE IF NOT EXISTS ${database}.a (n UInt8) ENGINE = MergeTree ORDER BY n; \
              CREATE TABLE IF NOT EXISTS ${database}.b (n UInt8) ENGINE = MergeTree ORDER BY n",
        ..broken[0]
    }];
    assert_eq!(apply(&client, &mended).await.unwrap(), mended);
    assert_eq!(
        number(&client, "SELECT count() FROM system.tables WHERE database = 'it' AND name IN ('a', 'b')")
            .await,
        2
    );
}

#[tokio::test]
async fn two_migrators_at_once_end_in_the_same_state() {
    let server = Server::start().await;
    let (first, second) = (server.client_for("nova", ""), server.client_for("nova", ""));
    let (one, two) = tokio::join!(apply(&first, MIGRATIONS), apply(&second, MIGRATIONS));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    assert_eq!(apply(&first, MIGRATIONS).await.unwrap(), []);
}

#[tokio::test]
async fn an_edited_file_and_a_newer_database_are_refused_before_anything_runs() {
    let server = Server::start().await;
    let client = server.client();
    let original = Migration {
        version: 1,
        name: "0001_x.sql",
        sql: "CREATE TABLE IF NOT EXISTS it.a (n UInt8) ENGINE = Memory",
    };
    let next = Migration {
        version: 2,
        name: "0002_y.sql",
        sql: "CREATE TABLE IF NOT EXISTS it.b (n UInt8) ENGINE = Memory",
    };
    apply(&client, &[original]).await.unwrap();

    let edited = Migration { sql: "CREATE TABLE IF NOT EXISTS it.c (n UInt8) ENGINE = Memory", ..original };
    let error = apply(&client, &[edited, next]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Edited { .. }), "{error}");
    for part in ["0001_x.sql", &original.checksum(), &edited.checksum(), "new migration"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(number(&client, "SELECT count() FROM system.tables WHERE database = 'it'").await, 2);

    apply(&client, &[original, next]).await.unwrap();
    let error = apply(&client, &[original]).await.unwrap_err();
    assert!(matches!(error, MigrateError::Newer { found: 2, known: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_never_shows_the_password() {
    let server = Server::start().await;
    let client = server.client();
    let loud = [Migration {
        version: 1,
        name: "0001_x.sql",
        sql: "CREATE NOTHING IF NOT EXISTS x '${postgres_password}'",
    }];
    let error = apply(&client, &loud).await.unwrap_err().to_string();
    assert!(error.contains("0001_x.sql, statement 1") && !error.contains("secret"), "{error}");
    let unknown =
        [Migration { version: 1, name: "0001_x.sql", sql: "CREATE TABLE IF NOT EXISTS ${table} (n UInt8)" }];
    let error = apply(&client, &unknown).await.unwrap_err().to_string();
    assert!(error.contains("0001_x.sql") && error.contains("${table}"), "{error}");
}
