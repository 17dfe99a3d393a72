//! Events written into a real PostgreSQL: published with the caller's transaction or not at all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use nova_envelope::{
    EngagementBuilder, EngagementEvent, EventEnvelope, InvalidEvent, OutboxError, Uuid, decode_engagement,
    write_outbox,
};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};
use xtask::stack::{Server, Stack, StackOptions};

fn events(count: u64) -> Vec<EventEnvelope<EngagementEvent<'static>>> {
    let post = Uuid::from_u128(7);
    let view = |n| {
        EngagementBuilder::view(post, Uuid::now_v7(), "feed-api/2.14.0").dwell_time(Duration::from_millis(n))
    };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
    let share = EngagementBuilder::share(post, Uuid::now_v7(), "feed-api/2.14.0").traceparent(trace);
    (1..count).map(view).chain([share]).map(|event| event.build().unwrap()).collect()
}

async fn count(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM engagement_outbox").fetch_one(connection).await.unwrap()
}

/// One server for all: each step begins with an empty outbox.
#[tokio::test]
async fn events_share_the_fate_of_the_transaction() {
    let stack = Stack::start(StackOptions::only(&[Server::Postgres])).await.unwrap();
    let url = stack.postgres().unwrap().admin_url();
    let mut connection = PgConnection::connect(&url).await.unwrap();

    let mut transaction = connection.begin().await.unwrap();
    let error = write_outbox(&mut transaction, &events(1)).await.unwrap_err();
    assert!(matches!(error, OutboxError::NoOutbox(_)), "{error}");
    transaction.rollback().await.unwrap();

    let migrations = xtask::workspace::root().join("schemas/postgres/migrations");
    Migrator::new(migrations).await.unwrap().run(&mut connection).await.unwrap();
    committed_and_rolled_back(&mut connection).await;
    refused_before_anything_is_sent(&mut connection).await;
    a_missing_day_is_named(&mut connection).await;
    connection.close().await.unwrap();
    stack.stop().await.unwrap();
}

async fn committed_and_rolled_back(connection: &mut PgConnection) {
    let events = events(1000);
    let mut transaction = connection.begin().await.unwrap();
    write_outbox(&mut transaction, &events).await.unwrap();
    write_outbox(&mut transaction, &[]).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(count(connection).await, 0);

    let mut transaction = connection.begin().await.unwrap();
    write_outbox(&mut transaction, &events).await.unwrap();
    transaction.commit().await.unwrap();
    let rows: Vec<(Uuid, String, Uuid, String, String)> = sqlx::query_as(
        "SELECT id, aggregate_type, aggregate_id, event_type, payload::text FROM engagement_outbox",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    assert_eq!(rows.len(), events.len());
    for event in &events {
        let (_, aggregate_type, post, event_type, payload) =
            rows.iter().find(|row| row.0 == event.event_id).unwrap();
        assert_eq!((aggregate_type.as_str(), *post), ("engagement", event.payload.post_id));
        assert_eq!(event_type, event.payload.event_type.name());
        assert_eq!(decode_engagement(payload.as_bytes()).unwrap(), *event);
    }
    sqlx::query("DELETE FROM engagement_outbox").execute(connection).await.unwrap();
}

async fn refused_before_anything_is_sent(connection: &mut PgConnection) {
    let mut events = events(3);
    events[1].payload.user_id = Uuid::nil();
    let mut transaction = connection.begin().await.unwrap();
    let error = write_outbox(&mut transaction, &events).await.unwrap_err();
    let nil = InvalidEvent::NilId { field: "user_id" };
    assert!(
        matches!(&error, OutboxError::InvalidEvent { event_id, error } if *event_id == events[1].event_id && *error == nil),
        "{error}"
    );
    // The transaction goes on.
    write_outbox(&mut transaction, &events[..1]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(count(connection).await, 1);
}

async fn a_missing_day_is_named(connection: &mut PgConnection) {
    sqlx::raw_sql("DROP TABLE engagement_outbox CASCADE; CREATE TABLE engagement_outbox (id uuid, aggregate_type text, aggregate_id uuid, event_type text, payload jsonb, created_at timestamptz DEFAULT now()) PARTITION BY RANGE (created_at)")
        .execute(&mut *connection).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let error = write_outbox(&mut transaction, &events(1)).await.unwrap_err();
    assert!(matches!(error, OutboxError::NoPartition(_)), "{error}");
    assert!(error.to_string().contains("nova_ensure_partitions"), "{error}");
    transaction.rollback().await.unwrap();
    sqlx::query("SELECT nova_ensure_partitions(current_date, current_date)")
        .execute(&mut *connection)
        .await
        .unwrap();
    let mut transaction = connection.begin().await.unwrap();
    write_outbox(&mut transaction, &events(1)).await.unwrap();
    transaction.commit().await.unwrap();
}
