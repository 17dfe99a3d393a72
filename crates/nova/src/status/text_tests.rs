//! The page, as it is printed.

use crate::dlq::{Groups, example_letter};
use crate::facts::example::{away, found, healthy, job_row};
use crate::facts::{Asked, Facts, JobFacts, LetterFacts};

use super::*;

fn with_letters(facts: &mut Facts) {
    let mut groups = Groups::default();
    groups.add(&example_letter(5));
    groups.add(&example_letter(6));
    facts.letters = Asked::Known(Some(LetterFacts {
        since_ms: 0,
        letters: 2,
        open: 2,
        actions_known: true,
        more: true,
        groups: groups.sorted(),
    }));
}

#[test]
fn all_well_fits_on_a_small_page() {
    let expected = "\
nova 0.1.0 at 2026-01-31 06:00:00 UTC

  PostgreSQL     ok    db:5432/app  slot nova_cdc read, 4.00 KiB behind, 5.00 MiB of WAL kept (reserved)
  Kafka Connect  ok    http://connect:8083  connector nova-cdc RUNNING, task RUNNING
  Kafka          ok    kafka:9092
  ClickHouse     ok    http://ch:8123  version 26.5.1

  stream  members  lag  behind  newest row  letters, 24 h      compared  state
   likes        1    0       -      2s ago              0  equal 3h ago  ok
   posts        1    0       -      2s ago              0         never  ok

all well
";
    assert_eq!(text(&found(healthy())), expected);
}

#[test]
fn what_is_away_is_a_line_and_what_is_to_be_seen_to_is_below() {
    let mut facts = healthy();
    facts.clickhouse.answer = away();
    facts.comparisons = away();
    facts.streams[1].newest_row_seconds = away();
    with_letters(&mut facts);
    let page = text(&found(facts));
    for line in [
        "  ClickHouse     AWAY  http://ch:8123\n",
        "   likes        1    0       -      2s ago         2 open         ?  ok\n",
        "   posts        1    0       -           ?              0         ?  ok\n",
        "\ndead letters of the last 24 h: at least 2, 2 open\n  letters  open  stream        kind",
        "after.dwell_time_ms: `…` does not fit UInt8\n",
        "\ncomparisons: not known: a server is away\n",
        "  FAIL  ClickHouse is away: connection refused  -> Start ClickHouse, or correct [clickhouse].\n",
        "  warn  dead letters of the last 24 h: 2 of 2 open  -> `nova dlq list --open`",
    ] {
        assert!(page.contains(line), "{line}\nis not in\n{page}");
    }
}

#[test]
fn who_is_not_asked_is_told_with_the_setting() {
    let mut facts = healthy();
    (facts.postgres, facts.connect) = (None, None);
    let page = text(&found(facts));
    let lines = "  PostgreSQL     -     not asked: no password (postgres.password_file)\n  \
                 Kafka Connect  -     not asked: connect.url is empty\n";
    assert!(page.contains(lines) && page.ends_with("all well\n"), "{page}");
}

#[test]
fn jobs_are_told_with_what_is_left_or_how_to_go_on() {
    use nova_clickhouse::JobState::{Done, Running, Stopped};
    let mut facts = healthy();
    let job = |state| JobFacts::from(job_row("nova replay kafka --stream likes", state, 2_000));
    facts.jobs = Asked::Known([Running, Stopped, Done].map(job).to_vec());
    let page = text(&found(facts));
    let head =
        "     job  stream          into    done                of  per second  left  heard of  state\n";
    let line =
        "  replay   likes  likes_events  45,000  100,000 messages         500    2m    2s ago  at work\n";
    assert!(page.contains(&format!("{head}{line}")), "{page}");
    assert!(page.contains("stopped; to go on: nova replay kafka --stream likes --execute\n"), "{page}");
    assert!(
        page.contains("done; 10 rows written, 44990 were there\n") && page.contains("all well"),
        "{page}"
    );
}

#[test]
fn programs_read_the_same_facts() {
    let mut facts = healthy();
    facts.kafka.answer = away();
    facts.streams[1].lag.standing = away();
    let json = serde_json::to_value(found(facts)).unwrap();
    assert_eq!(json["kafka"]["away"], true);
    assert_eq!(json["postgres"]["slot"]["active"], true);
    assert_eq!(json["streams"][0]["stream"], "likes");
    assert_eq!(json["streams"][0]["standing"]["partitions"][0]["lag"], 0);
    assert_eq!(json["streams"][0]["newest_row_seconds"], 2.4);
    assert_eq!(json["streams"][1]["standing"]["error"], "connection refused");
    assert_eq!(json["comparisons"][0]["verdict"], "equal");
    assert_eq!(json["findings"][0]["level"], "fail");
}
