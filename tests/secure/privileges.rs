//! Each user does its own job (that is what the other scenarios run under), and is refused another one's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use xtask::stack::ClickHouseUser;

use crate::site::Site;
use crate::wait::{s, until};

const TOPIC: &str = "cdc.likes";

/// The users that `deploy/security/clickhouse.sql` makes, with their grants, for an engine that cannot make users.
pub(crate) fn clickhouse_users(sql: &str) -> Result<Vec<ClickHouseUser>> {
    let code = sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
    let mut users: Vec<ClickHouseUser> = Vec::new();
    for statement in code.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        if let Some(rest) = statement.strip_prefix("CREATE USER IF NOT EXISTS ") {
            let (name, _) = rest.split_once(' ').context("CREATE USER without a name")?;
            let password = uuid::Uuid::new_v4().simple().to_string();
            users.push(ClickHouseUser { name: name.to_owned(), password, grants: Vec::new() });
            continue;
        }
        let granted = statement.strip_prefix("GRANT ").and_then(|rest| rest.rsplit_once(" TO "));
        let (grant, name) = granted.with_context(|| format!("not understood: {statement}"))?;
        let user = users.iter_mut().find(|user| user.name == name);
        user.with_context(|| format!("{name} is not made"))?.grants.push(format!("GRANT {grant}"));
    }
    Ok(users)
}

/// GIVEN the grants of `deploy/security` / WHEN a user tries another one's job / THEN ClickHouse refuses.
pub(crate) async fn clickhouse(site: &Site) -> Result<()> {
    for (user, statement) in [
        ("nova_writer", "TRUNCATE TABLE nova.post_events"),
        ("nova_writer", "ALTER TABLE nova.post_events DELETE WHERE 1"),
        (
            "nova_writer",
            "ALTER TABLE nova.post_events MODIFY SETTING non_replicated_deduplication_window = 0",
        ),
        ("nova_writer", "DROP TABLE nova.post_events"),
        ("nova_writer", "CREATE TABLE nova.other (a Int8) ENGINE = MergeTree ORDER BY a"),
        ("nova_writer", "ALTER TABLE nova.post_events UPDATE sign = 0 WHERE 1"),
        (
            "nova_writer",
            "ALTER TABLE nova.post_events REPLACE PARTITION ID '202601' FROM nova.user_follow_events",
        ),
        ("nova_writer", "EXCHANGE TABLES nova.post_events AND nova.user_follow_events"),
        ("nova_writer", "ALTER TABLE nova.jobs DELETE WHERE 1"),
        ("nova_writer", "CREATE VIEW nova.other AS SELECT 1"),
        ("nova_writer", "SYSTEM REFRESH VIEW nova.trending_24h"),
        ("nova_migrator", "CREATE DATABASE other"),
        ("nova_migrator", "CREATE TABLE default.other (a Int8) ENGINE = Memory"),
        ("nova_migrator", "GRANT SELECT ON nova.* TO nova_reader"),
        ("nova_migrator", "SYSTEM SHUTDOWN"),
        ("nova_migrator", "CREATE USER other"),
        ("nova_reader", "INSERT INTO nova.reconcile_runs SELECT * FROM nova.reconcile_runs"),
        ("nova_reader", "INSERT INTO nova.jobs SELECT * FROM nova.jobs"),
        ("nova_reader", "INSERT INTO nova.dead_letter_actions SELECT * FROM nova.dead_letter_actions"),
        ("nova_reader", "SYSTEM REFRESH VIEW nova.trending_24h"),
        ("nova_reader", "SELECT * FROM url('http://127.0.0.1:1', CSV, 'a Int8')"),
    ] {
        let answer = site.clickhouse_as(user, statement).await?;
        // ACCESS_DENIED
        ensure!(answer.as_deref().is_err_and(|code| code == "497"), "{user}: {statement}: {answer:?}");
    }
    for user in ["nova_writer", "nova_reader"] {
        let answer = site.clickhouse_as(user, "SELECT count() > 0 FROM nova.post_events").await?;
        ensure!(answer.as_deref() == Ok("1\n"), "{user}: {answer:?}");
    }
    Ok(())
}

/// The same for PostgreSQL's roles.
pub(crate) async fn postgres(site: &Site) -> Result<()> {
    let refused: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("nova_reader", &["DELETE FROM likes", "CREATE TABLE other (a int)"][..]),
        (
            "nova_replication",
            &[
                "UPDATE posts SET body = ''",
                "SELECT * FROM users",
                "DROP PUBLICATION nova_cdc",
                "ALTER PUBLICATION nova_cdc ADD TABLE users",
            ],
        ),
        (
            "nova_owner",
            &["CREATE ROLE other SUPERUSER", "SELECT pg_read_file('PG_VERSION')", "CREATE DATABASE other"],
        ),
    ]);
    for (role, statements) in refused {
        let mut connection = PgConnection::connect(&site.postgres_as(role)?).await.context(role)?;
        for statement in statements {
            let tried = sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut connection).await;
            let error = tried.err().with_context(|| format!("{role} may {statement}"))?;
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
            // insufficient_privilege, or read_only_sql_transaction.
            ensure!(matches!(&*code, "42501" | "25006"), "{role}: {statement}: {error}");
        }
    }
    let owner: String = sqlx::query_scalar(
        "SELECT pg_get_userbyid(pubowner)::text FROM pg_publication WHERE pubname = 'nova_cdc'",
    )
    .fetch_one(&site.installation.postgres)
    .await?;
    ensure!(owner == "nova_owner", "the publication is {owner}'s");
    Ok(())
}

/// The same for Kafka's users.
pub(crate) async fn kafka(site: &Site) -> Result<()> {
    for user in ["nova", "nova-deploy"] {
        let producer: FutureProducer = site.kafka_as(user)?.create()?;
        let record = FutureRecord::<str, str>::to(TOPIC).payload("forged").key("k");
        let sent = producer.send(record, s(10)).await;
        let refusal = sent.err().and_then(|(error, _)| error.rdkafka_error_code());
        ensure!(refusal == Some(Code::TopicAuthorizationFailed), "{user} writes to {TOPIC}: {refusal:?}");

        let admin: AdminClient<DefaultClientContext> = site.kafka_as(user)?.create()?;
        let deleted = admin.delete_topics(&[TOPIC], &AdminOptions::new()).await?;
        let refusal = deleted.into_iter().find_map(|deleted| deleted.err().map(|(_, code)| code));
        ensure!(refusal == Some(Code::TopicAuthorizationFailed), "{user} deletes {TOPIC}: {refusal:?}");
    }
    // It may not even see what it makes.
    let consumer: BaseConsumer = site.kafka_as("nova-deploy")?.create()?;
    let metadata = consumer.fetch_metadata(Some(TOPIC), s(10))?;
    let refusal = metadata.topics().first().and_then(|topic| topic.error()).map(Code::from);
    ensure!(refusal == Some(Code::TopicAuthorizationFailed), "nova-deploy sees {TOPIC}: {refusal:?}");
    reading_is_refused(&site.kafka_as("nova-connect")?, "nova-connect").await
}

async fn reading_is_refused(config: &ClientConfig, user: &str) -> Result<()> {
    let consumer: BaseConsumer = config.clone().set("group.id", "nova-connect").create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    until(&format!("{user} is refused to read {TOPIC}"), s(20), async || {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(_)) => bail!("it reads"),
            Some(Err(error)) if error.rdkafka_error_code() == Some(Code::TopicAuthorizationFailed) => Ok(()),
            other => bail!("{other:?}"),
        }
    })
    .await
}
