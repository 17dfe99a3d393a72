//! The facts of a small installation that is well, for tests.

use nova_clickhouse::{JobKind, JobRow, JobState};
use nova_reconcile::Verdict;

use super::state::position;
use super::*;
use crate::slot::Slot;

/// 2026-01-31 06:00:00 UTC.
pub const NOW_MS: i64 = 1_769_839_200_000;
const HOUR_MS: i64 = 3_600_000;

/// All well; two streams that have read everything.
pub fn healthy() -> Facts {
    let slot = Slot {
        name: "nova_cdc".to_owned(),
        active: true,
        wal_status: Some("reserved".to_owned()),
        retained_bytes: Some(5 << 20),
        unconfirmed_bytes: Some(4_096),
    };
    let connector = ConnectorFacts {
        connector: "nova-cdc".to_owned(),
        state: Some("RUNNING".to_owned()),
        tasks: vec!["RUNNING".to_owned()],
        trouble: None,
    };
    Facts {
        taken_ms: NOW_MS,
        nova_version: "0.1.0",
        postgres: Some(server(
            "db:5432/app",
            PostgresFacts { slot_name: "nova_cdc".to_owned(), slot: Some(slot) },
        )),
        connect: Some(server("http://connect:8083", connector)),
        kafka: server("kafka:9092", KafkaFacts { streams: 2 }),
        clickhouse: server("http://ch:8123", ClickHouseFacts { version: "26.5.1".to_owned() }),
        streams: vec![stream("likes"), stream("posts")],
        letters: Asked::Known(Some(LetterFacts {
            since_ms: NOW_MS - 24 * HOUR_MS,
            letters: 0,
            open: 0,
            actions_known: true,
            more: false,
            groups: Vec::new(),
        })),
        jobs: Asked::Known(Vec::new()),
        comparisons: Asked::Known(vec![comparison("likes", Verdict::Equal)]),
        heat_maps: Asked::Known(Vec::new()),
        findings: Vec::new(),
    }
}

/// The same with what is to be found in them.
pub fn found(mut facts: Facts) -> Facts {
    facts.findings = findings::of(&facts);
    facts
}

/// A comparison that ended three hours ago.
pub fn comparison(stream: &str, verdict: Verdict) -> Comparison {
    let (differences, explained) = match verdict {
        Verdict::Different => (7, 0),
        Verdict::Explained => (0, 2),
        Verdict::Equal | Verdict::Incomplete => (0, 0),
    };
    Comparison {
        stream: stream.to_owned(),
        finished_ms: NOW_MS - 3 * HOUR_MS,
        verdict,
        reason: String::new(),
        differences,
        explained,
        incremental: false,
        partial: false,
    }
}

/// What a server that is away answers.
pub fn away<T>() -> Asked<T> {
    Asked::Unknown(Unanswered { error: "connection refused".to_owned(), away: true })
}

/// One partition, in which all up to offset 50 is read.
pub fn standing(committed: i64, metadata: &str) -> Standing {
    let at = position(3, Some(committed), 10..50, metadata);
    let since_ms = (committed < 50).then_some(NOW_MS - 2 * HOUR_MS);
    Standing {
        retention_ms: Some(24 * HOUR_MS),
        members: Some(vec!["nova (10.0.0.7)".to_owned()]),
        partitions: vec![PartitionFacts::of(&at, true, since_ms, Some(24 * HOUR_MS), NOW_MS)],
    }
}

fn stream(name: &str) -> StreamFacts {
    let named = Named {
        stream: name.to_owned(),
        worker: "cdc".to_owned(),
        group: format!("nova-{name}"),
        topic: format!("cdc.{name}"),
        table: format!("{name}_events"),
    };
    let lag = StreamLag { named, standing: Asked::Known(standing(50, "")), pace: None };
    StreamFacts { lag, newest_row_seconds: Asked::Known(Some(2.4)) }
}

fn server<T>(place: &str, answer: T) -> Server<T> {
    Server { place: place.to_owned(), took_ms: 12, answer: Asked::Known(answer) }
}

/// A replay that is not yet half done, 90 s after it began.
pub fn job_row(request: &str, state: JobState, age_ms: i64) -> JobRow {
    let text = |text: &str| text.to_owned();
    JobRow {
        job_id: uuid::Uuid::nil(),
        seq: 3,
        kind: JobKind::Replay,
        stream: text("likes"),
        target: text("likes_events"),
        state,
        began_at: text("2026-01-31 05:00:00.000"),
        process: text("h/7/1"),
        actor: text("ada@h"),
        request: text(request),
        plan: text("{}"),
        checkpoint: String::new(),
        done: 45_000,
        total: 100_000,
        unit: text("messages"),
        written: 10,
        already_there: 44_990,
        skipped: 0,
        letters: 0,
        reason: String::new(),
        nova_version: text("0.1.0"),
        at: text("2026-01-31 05:01:30.000"),
        age_ms,
    }
}
