//! The record of long commands, on the real engine.

use nova_clickhouse::{JobKind, JobRow, JobState, Jobs};
use nova_pipeline::ErrorKind;
use uuid::Uuid;

use crate::recovery::migrated;
use crate::server::{Server, number};

fn row(job: u128, seq: u32, state: JobState, process: &str) -> JobRow {
    JobRow {
        job_id: Uuid::from_u128(job),
        seq,
        kind: JobKind::Replay,
        stream: "likes".to_owned(),
        target: "events".to_owned(),
        state,
        began_at: format!("2026-01-31 06:00:0{job}.000"),
        process: process.to_owned(),
        actor: "me@here".to_owned(),
        request: "nova replay kafka --stream 'likes'\n".to_owned(),
        plan: r#"{"ranges":[[0,1,2]]}"#.to_owned(),
        checkpoint: String::new(),
        done: u64::from(seq),
        total: u64::MAX,
        unit: "messages".to_owned(),
        written: 1,
        already_there: 2,
        skipped: 3,
        letters: 4,
        reason: String::new(),
        nova_version: "0.1.0".to_owned(),
        at: String::new(),
        age_ms: 0,
    }
}

#[tokio::test]
async fn a_job_stands_as_its_last_row_says_and_the_newest_of_a_request_counts() {
    use JobState::{Done, Running, Stopped};
    let server = Server::start().await;
    let error = Jobs::new(server.client()).recent(9).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaMismatch);
    assert!(error.message.contains("run `nova migrate`"), "{error}");

    let client = migrated(&server).await;
    let jobs = Jobs::new(client.clone());
    let request = row(1, 1, Running, "").request;
    assert_eq!(jobs.newest(JobKind::Replay, &request).await.unwrap(), None);
    for row in
        [row(1, 2, Stopped, "a"), row(1, 1, Running, "a"), row(2, 1, Running, "b"), row(2, 2, Running, "b")]
    {
        jobs.record(&row).await.unwrap();
    }
    let newest = jobs.newest(JobKind::Replay, &request).await.unwrap().unwrap();
    assert!(newest.at.len() == "2026-01-31 06:00:00.000".len() && newest.age_ms >= 0, "{newest:?}");
    assert_eq!(JobRow { at: String::new(), age_ms: 0, ..newest }, row(2, 2, Running, "b"));
    assert_eq!(jobs.newest(JobKind::Rebuild, &request).await.unwrap(), None);
    let recent = async || {
        let recent = jobs.recent(9).await.unwrap();
        recent.into_iter().map(|row| (row.job_id.as_u128(), row.seq, row.state)).collect::<Vec<_>>()
    };
    assert_eq!(recent().await, [(2, 2, Running), (1, 2, Stopped)]);
    jobs.record(&row(2, 3, Done, "b")).await.unwrap();
    assert_eq!(recent().await, [(2, 3, Done), (1, 2, Stopped)]);
    let began = JobRow { began_at: String::new(), ..row(3, 1, Running, "c") };
    jobs.record(&began).await.unwrap();
    assert_eq!(
        number(&client, "SELECT count() FROM jobs WHERE began_at > now() - INTERVAL 1 MINUTE").await,
        1
    );
}

#[tokio::test]
async fn each_process_that_was_heard_of_lately_is_at_work_until_it_says_otherwise() {
    use JobState::{Done, Failed, Running};
    let server = Server::start().await;
    let client = migrated(&server).await;
    let jobs = Jobs::new(client.clone());
    let at_work = async |target: &str| {
        let rows = jobs.at_work(target).await.unwrap();
        rows.into_iter().map(|row| (row.job_id.as_u128(), row.process)).collect::<Vec<_>>()
    };
    let one = |job: u128, process: &str| (job, process.to_owned());
    // Job 1 went on in another process after the first had been killed.
    for row in
        [row(1, 1, Running, "a"), row(1, 2, Running, "b"), row(2, 1, Running, "c"), row(3, 1, Running, "d")]
    {
        jobs.record(&row).await.unwrap();
    }
    assert_eq!(at_work("events").await, [one(1, "a"), one(1, "b"), one(2, "c"), one(3, "d")]);
    assert_eq!(at_work("others").await, []);
    jobs.record(&row(2, 2, Done, "c")).await.unwrap();
    jobs.record(&row(3, 2, Failed, "d")).await.unwrap();
    assert_eq!(at_work("events").await, [one(1, "a"), one(1, "b")]);
    let long_ago = "INSERT INTO jobs (job_id, seq, kind, target, state, at) \
                    SELECT generateUUIDv4(), 1, 'replay', 'events', 'running', now64(3) - INTERVAL 31 SECOND";
    client.execute(long_ago).await.unwrap();
    assert_eq!(at_work("events").await, [one(1, "a"), one(1, "b")]);
}
