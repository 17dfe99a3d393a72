//! The history of runs in a real ClickHouse.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nova_clickhouse::{Client, MIGRATIONS, Migration, Migrator, TemplateValues};
use nova_reconcile::history::{heat_maps, last_good, last_good_of_all, latest, record, runs};
use nova_reconcile::{Report, Verdict, render};

use crate::samples::{self, DAY, HOUR};
use crate::server::{Server, number};

async fn migrate(client: &Client) {
    let nothing = || "none".to_owned();
    let values = TemplateValues {
        postgres_host: nothing(),
        postgres_port: 1,
        postgres_database: nothing(),
        postgres_user: nothing(),
        postgres_password: "none".into(),
    };
    let own = MIGRATIONS.iter().filter(|migration| migration.name.contains("_reconcile_"));
    let own: Vec<Migration> =
        own.zip(1..).map(|(migration, version)| Migration { version, ..*migration }).collect();
    Migrator::new(client, &values, &own).apply().await.unwrap();
}

/// Another run, `hours` later.
fn later(mut report: Report, hours: i64) -> Report {
    report.run_id = samples::id(u128::try_from(hours).unwrap());
    report.started_ms += hours * HOUR;
    report.finished_ms += hours * HOUR;
    for snapshot in report.streams.iter_mut().flat_map(|stream| &mut stream.snapshots) {
        snapshot.taken_ms += hours * HOUR;
    }
    report
}

#[tokio::test]
async fn runs_are_kept_once_and_the_last_good_one_is_found() {
    let server = Server::start().await;
    let client = server.client();
    let error = record(&client, &samples::well()).await.unwrap_err().to_string();
    assert!(error.contains("reconcile_runs") && error.contains("nova migrate"), "{error}");
    migrate(&client).await;
    assert_eq!(last_good(&client, "likes").await.unwrap(), None);

    let (well, trouble) = (later(samples::well(), 1), later(samples::trouble(), 2));
    let mut part = later(samples::well(), 3);
    part.scope.since_ms = Some(DAY);
    let mut touched = later(samples::well(), 4);
    touched.scope.incremental = true;
    touched.streams.retain(|stream| stream.stream == "posts");
    let mut odd = later(samples::well(), 5);
    odd.streams.truncate(1);
    odd.streams[0].stream = "o'd\\d\n\n\t{x}".to_owned();
    odd.streams[0].verdict = Verdict::Incomplete;
    odd.streams[0].reason = Some(samples::HOSTILE.to_owned());
    for report in [&well, &trouble, &well, &part, &touched, &touched, &odd] {
        record(&client, report).await.unwrap();
    }
    assert_eq!(number(&client, "SELECT count() FROM reconcile_runs FINAL").await, 4 + 4 + 4 + 1 + 1);

    let likes = last_good(&client, "likes").await.unwrap().unwrap();
    assert_eq!((likes.run_id, likes.verdict, likes.windows), (well.run_id, Verdict::Equal, 48));
    assert_eq!((likes.started_ms, likes.finished_ms), (well.started_ms, well.finished_ms));
    let snapshot = &well.streams[2].snapshots[0];
    assert_eq!(
        (likes.snapshot.taken_ms, likes.snapshot.lsn, likes.snapshot.xmin, likes.snapshot.xmax),
        (snapshot.taken_ms, snapshot.lsn, snapshot.xmin, snapshot.xmax)
    );
    assert_eq!((likes.postgres_rows, likes.clickhouse_rows), (5_901, 5_901));
    let posts = last_good(&client, "posts").await.unwrap().unwrap();
    assert_eq!((posts.run_id, posts.scope.incremental), (touched.run_id, true));

    let all = runs(&client, None, 100).await.unwrap();
    assert_eq!(all.len(), 14);
    assert_eq!((all[0].stream.as_str(), all[0].reason.as_str()), ("o'd\\d\n\n\t{x}", samples::HOSTILE));
    let newest = latest(&client, 1).await.unwrap();
    assert_eq!(newest.len(), 5, "one of each stream, the odd one among them");
    assert_eq!(newest.iter().find(|run| run.stream == "posts").unwrap().run_id, touched.run_id);
    assert_eq!(latest(&client, 100).await.unwrap(), all);
    let found = runs(&client, Some("likes"), 2).await.unwrap();
    assert_eq!((found.len(), found[0].scope.since_ms, found[1].verdict), (2, Some(DAY), Verdict::Different));
    assert_eq!((found[1].tally.missing, found[1].tally.doubled), (30, 1));
    assert_eq!(last_good(&client, "comments").await.unwrap().unwrap().run_id, well.run_id);

    let good = last_good_of_all(&client).await.unwrap();
    assert_eq!(good.len(), 4, "the odd one was never equal");
    assert_eq!(good.iter().find(|run| run.stream == "likes"), Some(&likes));
    let maps = heat_maps(&client).await.unwrap();
    assert_eq!(maps.len(), 5);
    let of = |stream: &str| maps.iter().find(|map| map.stream == stream).unwrap();
    assert_eq!((of("posts").run_id, of("likes").run_id), (touched.run_id, part.run_id));
    let cells = &of("likes").cells;
    assert_eq!(cells.iter().map(|cell| cell.rows).sum::<i64>(), 5_901);
    assert!(cells.iter().all(|cell| (cell.level, cell.differences) == (0, 0)), "{cells:?}");
    assert!(
        cells
            .windows(2)
            .all(|two| two[0].end_column <= two[1].first_column && two[0].to_ms <= two[1].from_ms)
    );

    let text = render::history_text(&all);
    assert!(text.is_ascii() && text.lines().count() == 15, "{text}");
    assert!(text.contains("different: 30 missing, 2 extra, 1 doubled, 1 different"), "{text}");
    assert!(text.contains("equal (part of the time)") && text.contains("equal (incremental)"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&render::history_json(&all)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 14);
    assert!(render::history_text(&[]).contains("nova reconcile"));
}
