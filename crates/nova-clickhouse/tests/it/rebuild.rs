//! Rows made anew and exchanged beside live inserts: nothing is lost or doubled, whatever is killed between two steps.
//!
//! What the pipeline would fill is written here by SQL: the same messages with another value in one column.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use nova_clickhouse::Client;
use nova_clickhouse::rebuild::{
    Fewer, FewerAt, Frontier, Live, Scope, Shadow, Step, exchange_all, views_over,
};
use nova_pipeline::{ErrorKind, PipelineError, Ranges};
use uuid::Uuid;

use crate::recovery::{TABLE, TOPIC, migrated};
use crate::server::{Server, number};

const JOB: Uuid = Uuid::from_u128(0x0102_0304 << 96);
/// Messages of the topic before the rebuild begins; the range ends there.
const HISTORY: i64 = 3_000;
/// Where the range begins.
const FROM: i64 = 100;
/// By which rows are compared: all but `ingested_at`.
const COLUMNS: [&str; 14] = [
    "event_time",
    "event_type",
    "post_id",
    "user_id",
    "dwell_time_ms",
    "sign",
    "event_id",
    "source_key",
    "source_lsn",
    "source_tx",
    "topic",
    "kafka_partition",
    "kafka_offset",
    "ordinal",
];

fn columns() -> Vec<String> {
    COLUMNS.map(str::to_owned).to_vec()
}

/// Writes messages of a topic, one row each, over 60 days in three months.
async fn write(client: &Client, table: &str, topic: &str, offsets: std::ops::Range<i64>, dwell: u32) {
    let sql = format!(
        "INSERT INTO {table} ({}) SELECT toDateTime64('2026-01-05 00:00:00', 3, 'UTC') + toIntervalDay(number % 60), 'like', \
         reinterpretAsUUID(toUInt128(number % 7)), reinterpretAsUUID(toUInt128(number % 11)), {dwell}, 1, \
         reinterpretAsUUID(toUInt128(number + 1)), reinterpretAsUUID(toUInt128(number + 1)), number, 0, '{topic}', 0, number, 0 \
         FROM numbers({}, {})",
        COLUMNS.join(", "),
        offsets.start,
        offsets.end - offsets.start
    );
    client.execute(&sql).await.unwrap();
}

/// A table with history of two topics and a repair, and its shadow, filled.
struct Site {
    client: Client,
    shadow: Shadow,
    /// The offset behind the last message that was announced, and behind the last that is durable and committed.
    announced: AtomicI64,
    committed: AtomicI64,
    remembered: Mutex<Frontier>,
    healed: AtomicUsize,
}

impl Site {
    async fn new(server: &Server) -> Self {
        let client = migrated(server).await;
        write(&client, TABLE, TOPIC, 0..HISTORY, 0).await;
        write(&client, TABLE, "cdc.comments", 0..500, 1).await;
        let repair = "INSERT INTO post_engagement_events (event_time, event_type, sign, topic, kafka_partition, kafka_offset) \
                      VALUES ('2026-01-07 00:00:00', 'like', 1, 'cdc.likes', 2147483647, 5)";
        client.execute(repair).await.unwrap();
        let shadow = Shadow::new(client.clone(), TABLE, JOB, scope()).await.unwrap();
        assert!(shadow.create().await.unwrap(), "it is new");
        write(&client, shadow.filled(), TOPIC, FROM..HISTORY, 7).await;
        assert!(!shadow.create().await.unwrap(), "it was there");
        Self {
            client,
            shadow,
            announced: AtomicI64::new(HISTORY),
            committed: AtomicI64::new(HISTORY),
            remembered: Mutex::default(),
            healed: AtomicUsize::new(0),
        }
    }

    /// What a worker does: announce, insert, commit.
    async fn insert_batch(&self, rows: i64) {
        let start = self.announced.fetch_add(rows, Ordering::SeqCst);
        write(&self.client, TABLE, TOPIC, start..start + rows, 7).await;
        self.committed.store(start + rows, Ordering::SeqCst);
    }

    /// Exchanges, and dies before step number `fatal`, if there is one; answers whether it came to its end.
    async fn run(&self, fatal: usize) -> bool {
        let mut steps = 0;
        let mut tell = |step: &Step| {
            steps += 1;
            if steps == fatal {
                return Err(PipelineError::new(ErrorKind::Unknown, format!("killed before {step:?}")));
            }
            Ok(())
        };
        let heal = self.remembered.lock().unwrap().clone();
        match exchange_all(&self.shadow, &columns(), self, &heal, &mut tell).await {
            Ok(_) => true,
            Err(error) if error.message.starts_with("killed before") => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Each message is there once, with the value that it should have; projections and all else are as they were.
    async fn assert_right(&self) {
        let end = self.committed.load(Ordering::SeqCst);
        let wrong = "SELECT kafka_offset, count(), groupArray(dwell_time_ms) FROM post_engagement_events \
                     WHERE topic = 'cdc.likes' AND kafka_partition = 0 GROUP BY kafka_offset \
                     HAVING count() != 1 OR any(dwell_time_ms) != if(kafka_offset < 100, 0, 7) LIMIT 5";
        assert_eq!(self.client.query_text(wrong, &[]).await.unwrap(), "");
        let count = |condition: &str| format!("SELECT count() FROM {TABLE} WHERE {condition}");
        assert_eq!(number(&self.client, &count("topic = 'cdc.likes' AND kafka_partition = 0")).await, end);
        assert_eq!(number(&self.client, &count("topic = 'cdc.comments' AND dwell_time_ms = 1")).await, 500);
        assert_eq!(number(&self.client, &count("kafka_partition = 2147483647")).await, 1);
        let hourly = "SELECT toStartOfHour(event_time) AS hour, post_id, event_type, sum(sign) AS n, sum(sign * dwell_time_ms) \
                      FROM post_engagement_events GROUP BY hour, post_id, event_type ORDER BY hour, post_id, event_type";
        let plan = self.client.query_text(&format!("EXPLAIN {hourly}"), &[]).await.unwrap();
        assert!(plan.contains("hourly_engagement"), "the projection is not read:\n{plan}");
        let read = self.client.query_text(hourly, &[]).await.unwrap();
        let recount = format!("{hourly} SETTINGS optimize_use_projections = 0");
        assert_eq!(read, self.client.query_text(&recount, &[]).await.unwrap());
    }
}

fn scope() -> Scope {
    Scope { topic: TOPIC.to_owned(), ranges: Ranges::from_iter([(0, FROM..HISTORY)]) }
}

impl Live for Site {
    async fn frontier(&self) -> Result<Frontier, PipelineError> {
        let mut frontier = Frontier::default();
        frontier.set(TOPIC, 0, self.committed.load(Ordering::SeqCst));
        frontier.set("cdc.comments", 0, 500);
        Ok(frontier)
    }

    async fn remember(&self, heal: &Frontier) -> Result<(), PipelineError> {
        heal.clone_into(&mut self.remembered.lock().unwrap());
        Ok(())
    }

    /// What a replay of missing rows does.
    async fn heal(&self, from: &Frontier) -> Result<(), PipelineError> {
        let (from, end) = (from.get(TOPIC, 0).unwrap(), self.announced.load(Ordering::SeqCst));
        while self.committed.load(Ordering::SeqCst) < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sql = format!(
            "SELECT number FROM numbers({from}, {}) WHERE number NOT IN (SELECT kafka_offset FROM {TABLE} \
             WHERE topic = '{TOPIC}' AND kafka_partition = 0 AND kafka_offset >= {from})",
            end - from
        );
        for offset in self.client.query_text(&sql, &[]).await.unwrap().lines() {
            let offset: i64 = offset.parse().unwrap();
            write(&self.client, TABLE, TOPIC, offset..offset + 1, 7).await;
            self.healed.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// GIVEN a worker that never rests / WHEN three months are exchanged, killed before each step in turn / THEN every row of the
/// range is the new one, and of everything else nothing is lost or doubled; and doing it again changes nothing.
#[tokio::test]
async fn killed_between_any_two_steps_beside_live_inserts_every_row_is_there_once() {
    let server = Server::start().await;
    let site = Site::new(&server).await;
    let stop = AtomicBool::new(false);
    let worker = async {
        while !stop.load(Ordering::SeqCst) {
            site.insert_batch(20).await;
        }
    };
    let rebuild = async {
        let mut fatal = 1;
        while !site.run(fatal).await {
            fatal += 1;
        }
        stop.store(true, Ordering::SeqCst);
        fatal
    };
    let (fatal, ()) = tokio::join!(rebuild, worker);
    assert!(fatal > 5, "only {fatal} runs");
    site.assert_right().await;
    assert!(site.remembered.lock().unwrap().is_empty(), "nothing is left to heal");
    assert!(site.shadow.differing(&columns()).await.unwrap().is_empty());

    let changes =
        "SELECT max(modification_time) FROM system.parts WHERE table = 'post_engagement_events' AND active";
    let before = site.client.query_text(changes, &[]).await.unwrap();
    let mut told = Vec::new();
    let mut tell = |step: &Step| {
        told.push(step.clone());
        Ok(())
    };
    exchange_all(&site.shadow, &columns(), &site, &Frontier::default(), &mut tell).await.unwrap();
    assert_eq!((told, site.client.query_text(changes, &[]).await.unwrap()), (vec![Step::Done], before));
    site.shadow.drop_all().await.unwrap();
    let left = "SELECT count() FROM system.tables WHERE database = 'nova' AND name LIKE '%rebuild%'";
    assert_eq!(number(&site.client, left).await, 0);
}

/// GIVEN rows that come after the last copy / WHEN the partition is exchanged / THEN they are gone with it, and healed once.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_between_the_copy_and_the_exchange_is_healed() {
    let server = Server::start().await;
    let site = Site::new(&server).await;
    let (mut late, mut months) = (false, Vec::new());
    let client = site.client.clone();
    // The hook cannot wait, so the late insert stands in the announced and committed batch before its rows do.
    let mut tell = |step: &Step| {
        if matches!(step, Step::Exchange(_)) && !late {
            late = true;
            site.announced.store(HISTORY + 120, Ordering::SeqCst);
            site.committed.store(HISTORY + 120, Ordering::SeqCst);
            let write = write(&client, TABLE, TOPIC, HISTORY..HISTORY + 120, 7);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(write));
        }
        if let Step::Exchanged(month) = step {
            months.push(month.partition.clone());
        }
        Ok(())
    };
    exchange_all(&site.shadow, &columns(), &site, &Frontier::default(), &mut tell).await.unwrap();
    assert_eq!(months, ["202601", "202602", "202603"]);
    // 120 messages over 60 days: those of January were there and went.
    assert_eq!(site.healed.load(Ordering::SeqCst), 54);
    site.assert_right().await;
}

/// GIVEN a month that only the table has rows of, and one that only the filled rows have / THEN both are exchanged.
#[tokio::test]
async fn a_month_may_become_empty_and_another_may_begin() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    write(&client, TABLE, TOPIC, 0..10, 0).await;
    let ranges = Ranges::from_iter([(0, 0..10)]);
    let shadow =
        Shadow::new(client.clone(), TABLE, JOB, Scope { topic: TOPIC.to_owned(), ranges }).await.unwrap();
    shadow.create().await.unwrap();
    let moved = format!(
        "INSERT INTO {} SELECT * REPLACE (event_time + toIntervalYear(1) AS event_time) FROM {TABLE}",
        shadow.filled()
    );
    client.execute(&moved).await.unwrap();
    let site = Site {
        client,
        shadow,
        announced: AtomicI64::new(10),
        committed: AtomicI64::new(10),
        remembered: Mutex::default(),
        healed: AtomicUsize::new(0),
    };
    assert!(site.run(0).await);
    let months = format!("SELECT DISTINCT toYYYYMM(event_time) FROM {TABLE} ORDER BY ALL");
    assert_eq!(site.client.query_text(&months, &[]).await.unwrap(), "202701\n");
    assert_eq!(number(&site.client, &format!("SELECT count() FROM {TABLE}")).await, 10);
}

/// GIVEN rows of the range that were not filled, a doubled one, and keys that are out of order / THEN each is counted.
#[tokio::test]
async fn what_an_exchange_would_lose_is_counted_with_examples() {
    let server = Server::start().await;
    let site = Site::new(&server).await;
    assert_eq!(site.shadow.fewer().await.unwrap(), Fewer::default());
    // Doubled in the table: no loss.
    write(&site.client, TABLE, TOPIC, 200..201, 0).await;
    assert_eq!(site.shadow.fewer().await.unwrap(), Fewer::default());
    let filled = site.shadow.filled();
    let gone =
        format!("ALTER TABLE {filled} DELETE WHERE kafka_offset IN (500, 501) SETTINGS mutations_sync = 1");
    site.client.execute(&gone).await.unwrap();
    let at = |kafka_offset| FewerAt { kafka_partition: 0, kafka_offset, has: 1, gets: 0 };
    let fewer = Fewer { messages: 2, rows: 2, examples: vec![at(500), at(501)] };
    assert_eq!(site.shadow.fewer().await.unwrap(), fewer);

    let sums = site.shadow.type_sums("event_type").await.unwrap();
    assert_eq!(sums.len(), 1);
    assert_eq!((sums[0].value.as_str(), sums[0].table, sums[0].filled), ("like", 2_901, 2_898));

    let declared: Vec<String> = COLUMNS[..5].iter().map(|column| (*column).to_owned()).collect();
    let keys = site.shadow.contradictory(&declared).await.unwrap();
    assert_eq!((keys.before, keys.after, keys.examples.len()), (1, 0, 0), "the doubled one is mended");
    write(&site.client, filled, TOPIC, 300..303, 9).await;
    let keys = site.shadow.contradictory(&declared).await.unwrap();
    assert_eq!((keys.before, keys.after, keys.examples.len()), (1, 3, 3));
}

/// GIVEN a worker that keeps changing what is final / THEN the exchange gives up and says what to end; and a table that was
/// altered since, or whose engine has no partitions to exchange, is refused.
#[tokio::test]
async fn what_cannot_be_exchanged_is_refused_with_a_way_on() {
    let server = Server::start().await;
    let site = Site::new(&server).await;
    let done = AtomicBool::new(false);
    let refused = async {
        let heal = Frontier::default();
        let refused = exchange_all(&site.shadow, &columns(), &site, &heal, &mut |_| Ok(())).await;
        done.store(true, Ordering::SeqCst);
        refused
    };
    // Of another topic, below its frontier: what no worker does.
    let meddle = async {
        while !done.load(Ordering::SeqCst) {
            write(&site.client, TABLE, "cdc.comments", 1..2, 1).await;
        }
    };
    let (refused, ()) = tokio::join!(refused, meddle);
    let error = refused.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fenced);
    assert!(error.message.contains("202601") && error.message.contains("nova repair apply"), "{error}");

    let alter = format!("ALTER TABLE {TABLE} ADD COLUMN weight UInt8 DEFAULT 1 AFTER dwell_time_ms");
    site.client.execute(&alter).await.unwrap();
    let error = site.shadow.create().await.unwrap_err().to_string();
    assert!(error.contains("altered since") && error.contains("DROP TABLE"), "{error}");

    site.client.execute("CREATE TABLE log (a UInt8) ENGINE = Log").await.unwrap();
    for (table, word) in [("log", "engine Log"), ("nowhere", "is not there")] {
        let error = Shadow::new(site.client.clone(), table, JOB, scope()).await.unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("--into"), "{error}");
    }
}

/// Views are found by the name of the table, as a word, and made anew.
#[tokio::test]
async fn refreshable_views_are_made_anew_and_others_are_named() {
    let server = Server::start().await;
    let client = migrated(&server).await;
    for sql in [
        "CREATE MATERIALIZED VIEW refreshed REFRESH EVERY 1 HOUR ENGINE = Memory AS SELECT count() AS n FROM nova.post_engagement_events",
        "CREATE MATERIALIZED VIEW inserted ENGINE = Memory AS SELECT post_id FROM nova.post_engagement_events",
        "CREATE TABLE post_engagement_events_2 AS nova.post_engagement_events",
        "CREATE MATERIALIZED VIEW other ENGINE = Memory AS SELECT post_id FROM nova.post_engagement_events_2",
    ] {
        client.execute(sql).await.unwrap();
    }
    let found = views_over(&client, TABLE).await.unwrap();
    let named: Vec<(&str, bool)> = found.iter().map(|view| (view.name.as_str(), view.refreshable)).collect();
    let shipped = [("feed_candidates_mv", true), ("top_posts_1h", true), ("trending_24h", true)];
    let own = [("inserted", false), ("refreshed", true)];
    assert_eq!(named, [shipped[0], own[0], own[1], shipped[1], shipped[2]]);
    write(&client, TABLE, TOPIC, 0..10, 0).await;
    let refreshed = found.iter().find(|view| view.name == "refreshed").unwrap();
    refreshed.refresh(&client).await.unwrap();
    assert_eq!(number(&client, "SELECT n FROM refreshed").await, 10);
}
