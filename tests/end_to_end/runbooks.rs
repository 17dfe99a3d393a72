//! Runbooks, followed command by command by [`Runbook`]: what each of them promises is so at its end.

use anyhow::{Result, ensure};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use xtask::installation::{DATABASE, clickhouse_number};

use crate::checks::{equal, goes_on};
use crate::runbook::Runbook;
use crate::topics::read_all;
use crate::wait::{s, until};
use crate::world::World;

/// GIVEN messages of `likes` that expired while its worker stood: rows written, changed and deleted / WHEN the page is
/// followed / THEN both sides are equal.
pub(crate) async fn expired(world: &mut World) -> Result<()> {
    world.traffic(2, 150.0).await?;
    let [changed, deleted] = likes(world, "before").await?;
    equal(world).await?;
    world.stop_worker().await?;
    for sql in [
        format!("UPDATE likes SET created_at = created_at - interval '1 hour' WHERE id = '{changed}'"),
        format!("DELETE FROM likes WHERE id = '{deleted}'"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(world.postgres()).await?;
    }
    let [_, last] = likes(world, "in the gap").await?;
    expire(world, &last).await?;
    let page = Runbook::read("lag-beyond-retention.md", "The way back")?;
    page.follow(world, async |world: &mut World, command: &str| match command {
        // Kafka deletes nothing of a stream that keeps up: here it stood before.
        "systemctl stop nova-cdc" => Ok(true),
        "systemctl start nova-cdc" => world.start_worker().await.map(|()| true),
        _ => Ok(false),
    })
    .await?;
    equal(world).await?;
    goes_on(world).await
}

/// GIVEN a backup of the event tables, and changes after it / WHEN it is restored as the page says / THEN both sides are
/// equal, and every message's rows are there.
pub(crate) async fn restored(world: &mut World) -> Result<()> {
    world.traffic(2, 150.0).await?;
    equal(world).await?;
    let folder = world.stack.run_dir.subdir("clickhouse")?.join("backups/nova").display().to_string();
    let (page, said) = ("restored-clickhouse-backup.md", "/var/backups/clickhouse/nova");
    let take = Runbook::read(page, "Take a backup")?.with(said, &folder)?;
    take.follow(world, async |_: &mut World, _: &str| Ok(false)).await?;
    let rows = format!("SELECT count() FROM {DATABASE}.post_engagement_events");
    let in_backup = clickhouse_number(world.clickhouse()?, &rows).await?;
    world.traffic(3, 150.0).await?;
    equal(world).await?;
    let lost = clickhouse_number(world.clickhouse()?, &rows).await?;
    ensure!(lost > in_backup, "nothing came after the backup");

    let restore = Runbook::read(page, "Restore")?.with(said, &folder)?;
    restore
        .follow(world, async |world: &mut World, command: &str| match command {
            "systemctl stop nova-cdc nova-events" => world.stop_workers().await.map(|()| true),
            "systemctl start nova-cdc nova-events" => {
                let restored = clickhouse_number(world.clickhouse()?, &rows).await?;
                ensure!(restored == in_backup, "{restored} rows were restored of {in_backup}");
                world.start_workers().await.map(|()| true)
            }
            _ => Ok(false),
        })
        .await?;
    equal(world).await?;
    let now = clickhouse_number(world.clickhouse()?, &rows).await?;
    ensure!(now == lost, "{lost} rows before, {now} now");
    goes_on(world).await
}

/// Two likes of a new post, which the traffic does not know.
async fn likes(world: &World, body: &str) -> Result<[String; 2]> {
    let keys: Vec<String> = sqlx::query_scalar(
        "WITH post AS (INSERT INTO posts (id, author_id, body) SELECT gen_random_uuid(), id, $1 FROM users ORDER BY id \
         LIMIT 1 RETURNING id, created_at) INSERT INTO likes (id, post_id, post_created_at, user_id) \
         SELECT gen_random_uuid(), post.id, post.created_at, users.id FROM post, users ORDER BY users.id LIMIT 2 \
         RETURNING id::text",
    )
    .bind(body)
    .fetch_all(world.postgres())
    .await?;
    <[String; 2]>::try_from(keys).map_err(|keys| anyhow::anyhow!("{keys:?} are not two likes"))
}

/// Deletes all messages of `cdc.likes`, as retention does, once the topic has the like.
async fn expire(world: &World, like: &str) -> Result<()> {
    let (brokers, topic) = (world.brokers()?, "cdc.likes");
    until("the last like is in Kafka", s(30), async || {
        let told = |value: &[u8]| value.windows(like.len()).any(|part| part == like.as_bytes());
        let records = read_all(&brokers, topic)?;
        ensure!(records.iter().any(|record| record.value.as_deref().is_some_and(told)), "not yet");
        Ok(())
    })
    .await?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(topic), s(10))?;
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        all.add_partition_offset(topic, partition.id(), Offset::End)?;
    }
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    admin.delete_records(&all, &AdminOptions::new()).await?;
    Ok(())
}
