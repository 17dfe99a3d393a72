//! Both ways in which a killed server leaves its de-duplication log and its parts apart, made by hand, and what the
//! pipeline makes of them.
//!
//! The log is `deduplication_logs/deduplication_log_N.txt` in the table's folder, a line for each part of an insert:
//! operation, part and block id, which for an insert with a token is made of partition and token.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nova_clickhouse::Client;
use nova_pipeline::{Block as _, Sink as _};
use nova_streams::Cell;

use crate::recovery::{TABLE, TOPIC, Topic, assert_exactly_once, migrated, work_off};
use crate::server::{Server, message, number, sink};

const MONTHS: u16 = 6;

/// A table with one batch of several months in it, which its owner has not committed; the server is down.
struct Scene {
    server: Server,
    client: Client,
    topic: Arc<Topic>,
    table: PathBuf,
    token: String,
}

impl Scene {
    async fn set() -> Self {
        let mut server = Server::start().await;
        let client = migrated(&server).await;
        client.execute(&format!("SYSTEM STOP MERGES {TABLE}")).await.unwrap();
        let topic = Arc::new(Topic::default());
        topic.append(120, MONTHS.into());
        work_off(&topic, &client).await;
        assert_exactly_once(&topic, &client).await;
        let token = topic.reopen().ranges.token(TOPIC, TABLE);
        let paths =
            format!("SELECT data_paths[1] FROM system.tables WHERE database = 'nova' AND name = '{TABLE}'");
        let table = PathBuf::from(client.query_text(&paths, &[]).await.unwrap().trim());
        server.kill();
        Self { server, client, topic, table, token }
    }

    fn log(&self) -> PathBuf {
        let mut logs: Vec<PathBuf> = fs::read_dir(self.table.join("deduplication_logs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        logs.sort();
        logs.into_iter().rfind(|log| fs::metadata(log).unwrap().len() > 0).unwrap()
    }

    /// The folders of the batch's parts, by name; names begin with the month.
    fn parts(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(&self.table).unwrap().map(|entry| entry.unwrap().path());
        let mut parts: Vec<PathBuf> = folders.filter(|folder| name(folder).starts_with("2015")).collect();
        parts.sort();
        assert_eq!(parts.len(), usize::from(MONTHS), "{parts:?}");
        parts
    }

    /// Keeps the lines of the log that are wanted.
    fn cut(&self, wanted: impl Fn(&str) -> bool) {
        let log = self.log();
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.lines().all(|line| line.starts_with("1\t")), "only additions: {text}");
        let kept: String = text.lines().filter(|line| wanted(line)).map(|line| format!("{line}\n")).collect();
        assert_ne!(kept, text, "the cut cuts something");
        fs::write(log, kept).unwrap();
    }

    async fn start(&mut self) {
        self.server.start_again().await;
    }

    async fn count(&self) -> i64 {
        number(&self.client, &format!("SELECT count() FROM {TABLE}")).await
    }

    /// Whether the server takes a row of the month under the batch's token: then it does not remember it.
    async fn takes(&self, month: i64) -> bool {
        let sink = sink(&self.client, TABLE, &["event_time"]).await;
        let mut block = sink.block();
        let new_year_2015_ms = 1_420_070_400_000;
        block.push(&message(0, &[vec![Cell::Ticks(new_year_2015_ms + month * 31 * 86_400_000)]])).unwrap();
        let before = self.count().await;
        sink.insert(&block, &self.token).await.unwrap();
        self.count().await > before
    }

    /// What the new owner does, twice: the second owner finds nothing to do.
    async fn recover(&self) {
        for _ in 0..2 {
            work_off(&self.topic, &self.client).await;
            assert_exactly_once(&self.topic, &self.client).await;
            self.topic.reopen();
        }
        self.client.execute(&format!("OPTIMIZE TABLE {TABLE} FINAL")).await.unwrap();
        assert_exactly_once(&self.topic, &self.client).await;
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[tokio::test]
async fn a_token_without_its_part_loses_nothing() {
    let mut scene = Scene::set().await;
    let parts = scene.parts();
    for part in [&parts[1], &parts[4]] {
        fs::remove_dir_all(part).unwrap();
    }
    scene.start().await;
    let left = scene.count().await;
    assert!(left < scene.topic.rows(), "two months are gone");
    assert!(!scene.takes(1).await && !scene.takes(4).await, "a repeat alone would be dropped");
    scene.recover().await;
}

#[tokio::test]
async fn tokens_without_any_part_lose_nothing() {
    let mut scene = Scene::set().await;
    for part in scene.parts() {
        fs::remove_dir_all(part).unwrap();
    }
    scene.start().await;
    assert_eq!(scene.count().await, 0);
    scene.recover().await;
}

#[tokio::test]
async fn a_part_without_its_token_doubles_nothing() {
    let mut scene = Scene::set().await;
    let forgotten = [scene.parts()[0].clone(), scene.parts()[3].clone()];
    scene.cut(|line| !forgotten.iter().any(|part| line.contains(name(part))));
    scene.start().await;
    assert_eq!(scene.count().await, scene.topic.rows());
    scene.recover().await;
}

#[tokio::test]
async fn the_token_is_remembered_by_part_and_what_is_cut_off_is_forgotten() {
    let mut scene = Scene::set().await;
    let forgotten = scene.parts()[3].clone();
    scene.cut(|line| !line.contains(name(&forgotten)));
    scene.start().await;
    // Why lineage comes first: a repeat alone would double this month, and only this one.
    assert!(scene.takes(3).await);
    assert!(!scene.takes(2).await);
    assert!(scene.takes(i64::from(MONTHS) + 1).await, "a month that the batch did not have");
}

#[tokio::test]
async fn parts_without_any_token_double_nothing() {
    let mut scene = Scene::set().await;
    scene.cut(|_| false);
    scene.start().await;
    scene.recover().await;
}

#[tokio::test]
async fn one_month_without_part_and_another_without_token_at_once() {
    let mut scene = Scene::set().await;
    let parts = scene.parts();
    fs::remove_dir_all(&parts[2]).unwrap();
    scene.cut(|line| !line.contains(name(&parts[5])));
    scene.start().await;
    assert!(scene.count().await < scene.topic.rows());
    scene.recover().await;
}
