//! Views and shares, written into the outbox as programs of three ages do: in version 3 by `nova-envelope`, in 1 and 2
//! by a statement of their own.
//!
//! Invariant: what is written depends on the random generator alone, but for ids and times.

use std::time::Duration;

use chrono::Utc;
use nova_envelope::{
    EngagementBuilder, EngagementType, EngagementV1, EngagementV2, OUTBOX_AGGREGATE_TYPE, OutboxError,
    Version, write_outbox,
};
use rand::RngExt as _;
use rand::rngs::StdRng;
use sqlx::{PgTransaction, Result};
use uuid::Uuid;

const PRODUCER: &str = "demo-traffic/1.0.0";
/// As other languages write, one row for each: `id`, `aggregate_type`, `aggregate_id`, `event_type`, `payload`.
const INSERT: &str = "INSERT INTO engagement_outbox (id, aggregate_type, aggregate_id, event_type, payload) \
                      VALUES ($1, $2, $3, $4, $5::jsonb)";

/// Somebody looks at a post, or passes it on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Engagement {
    what: EngagementType,
    post: Uuid,
    user: Uuid,
    dwell_ms: u32,
    version: u32,
}

impl Engagement {
    /// Most programs are of this year.
    pub(super) fn draw(rng: &mut StdRng, what: EngagementType, post: Uuid, user: Uuid) -> Self {
        let dwell_ms = rng.random_range(100..60_000);
        let version = match rng.random_range(0..10) {
            0 => 1,
            1 | 2 => 2,
            _ => 3,
        };
        Self { what, post, user, dwell_ms, version }
    }
}

/// Writes the events and returns their ids, in order.
pub(super) async fn write(transaction: &mut PgTransaction<'_>, events: &[Engagement]) -> Result<Vec<Uuid>> {
    let (mut ids, mut newest) = (Vec::with_capacity(events.len()), Vec::new());
    for event in events {
        let id = Uuid::now_v7();
        ids.push(id);
        let document = match event.version {
            1 => serde_json::to_string(&version_1(event, id)),
            2 => serde_json::to_string(&version_2(event, id)),
            _ => {
                newest.push(builder(event).event_id(id).build().map_err(encode)?);
                continue;
            }
        };
        sqlx::query(INSERT)
            .bind(id)
            .bind(OUTBOX_AGGREGATE_TYPE)
            .bind(event.post)
            .bind(event.what.name())
            .bind(document.map_err(encode)?)
            .execute(&mut **transaction)
            .await?;
    }
    write_outbox(transaction, &newest).await.map_err(|error| match error {
        OutboxError::NoPartition(error) | OutboxError::NoOutbox(error) | OutboxError::Database(error) => {
            error
        }
        other => encode(other),
    })?;
    Ok(ids)
}

fn encode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}

fn version_1(event: &Engagement, event_id: Uuid) -> EngagementV1 {
    let Engagement { what, post, user, .. } = *event;
    EngagementV1 {
        version: Version,
        event_id,
        timestamp: Utc::now(),
        event_type: what,
        post_id: post,
        user_id: user,
    }
}

fn version_2(event: &Engagement, event_id: Uuid) -> EngagementV2 {
    let Engagement { what, post, user, dwell_ms, .. } = *event;
    EngagementV2 {
        version: Version,
        event_id,
        timestamp: Utc::now(),
        event_type: what,
        post_id: post,
        user_id: user,
        dwell_time_ms: dwell_ms,
    }
}

fn builder(event: &Engagement) -> EngagementBuilder<'static> {
    let Engagement { what, post, user, dwell_ms, .. } = *event;
    let builder = match what {
        EngagementType::View => EngagementBuilder::view(post, user, PRODUCER),
        EngagementType::Share => EngagementBuilder::share(post, user, PRODUCER),
    };
    builder.dwell_time(Duration::from_millis(dwell_ms.into()))
}
