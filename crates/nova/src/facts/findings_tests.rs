//! What is found, and what it comes to.

use nova_clickhouse::JobState;

use super::super::ConnectorFacts;
use super::super::example::{NOW_MS, away, comparison, found, healthy, job_row, standing};
use super::*;
use crate::slot::Slot;

/// Levels and names of what is found, and the exit code.
fn findings(change: impl FnOnce(&mut Facts)) -> (Vec<String>, Option<Exit>) {
    let mut facts = healthy();
    change(&mut facts);
    let facts = found(facts);
    let line = |found: &Finding| {
        let Check { group, name, level, finding, .. } = &found.check;
        assert!(!found.check.cure.is_empty(), "{found:?} does not say what to do");
        format!("{level:?} {group} {name}: {finding}")
    };
    (facts.findings.iter().map(line).collect(), conclude(&facts.findings).err().map(|failure| failure.exit))
}

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(findings(|_| ()), (vec![], None));
}

#[test]
fn nobody_is_missed_who_is_not_meant_to_be_asked() {
    let change = |facts: &mut Facts| (facts.postgres, facts.connect) = (None, None);
    assert_eq!(findings(change), (vec![], None));
}

#[test]
fn a_server_that_is_away_is_one_finding_and_hides_no_other() {
    let (lines, exit) = findings(|facts| {
        facts.clickhouse.answer = away();
        facts.comparisons = away();
        facts.streams[0].newest_row_seconds = away();
        facts.streams[1].lag.standing = Asked::Known(standing(20, ""));
        if let Asked::Known(standing) = &mut facts.streams[1].lag.standing {
            standing.members = Some(Vec::new());
        }
    });
    assert_eq!(
        lines,
        [
            "Fail ClickHouse is away: connection refused",
            "Fail stream posts: nobody reads it: 30 unread, the oldest for 2h"
        ]
    );
    assert_eq!(exit, Some(Exit::Unavailable));
}

#[test]
fn a_server_that_is_away_comes_before_what_follows_from_it() {
    let (lines, exit) = findings(|facts| {
        facts.kafka.answer = away();
        if let Some(Server { answer: Asked::Known(postgres), .. }) = &mut facts.postgres {
            let slot = postgres.slot.take();
            postgres.slot = slot.map(|slot| Slot { active: false, ..slot });
        }
    });
    assert!(lines[0].starts_with("Fail Kafka is away"), "{lines:?}");
    assert!(lines[1].contains("slot nova_cdc: nobody reads it"), "{lines:?}");
    assert_eq!(exit, Some(Exit::Unavailable));
}

#[test]
fn what_halts_a_stream_is_named_with_the_command_that_goes_on() {
    let mut facts = healthy();
    facts.streams[0].lag.standing = Asked::Known(standing(3, ""));
    let facts = found(facts);
    let [Finding { check, exit: Exit::Differences }] = &facts.findings[..] else {
        panic!("{:?}", facts.findings)
    };
    assert_eq!(check.finding, "halts at partition 3: expired (1 of 1 partitions)");
    assert_eq!(check.cure, "nova offsets set --stream likes --partition 3 --to earliest --execute");
    let failure = conclude(&facts.findings).unwrap_err();
    assert_eq!(failure.message, "stream likes: halts at partition 3: expired (1 of 1 partitions)");
}

#[test]
fn warnings_change_no_exit_code() {
    let (lines, exit) = findings(|facts| {
        let minutes = NOW_MS - 300_000;
        let open = standing(18, &format!("n2 0.0.0.0.0 {minutes} 9 3:18+5"));
        facts.streams[0].lag.standing = Asked::Known(open);
        if let Asked::Known(standing) = &mut facts.streams[1].lag.standing {
            standing.members = Some(Vec::new());
        }
        let job = |state| JobFacts::from(job_row("nova replay kafka", state, 600_000));
        facts.jobs = Asked::Known([JobState::Running, JobState::Stopped, JobState::Done].map(job).to_vec());
        facts.comparisons = Asked::Known(vec![
            comparison("posts", Verdict::Explained),
            comparison("posts", Verdict::Different),
            comparison("likes", Verdict::Incomplete),
        ]);
    });
    assert_eq!(
        lines,
        [
            "Warn stream likes: a batch was announced 5m ago and is not committed",
            "Warn stream posts: nobody reads it; all is read",
            "Warn job replay of likes: was cut off after 45000 of 100000 messages, 10m ago",
            "Warn reconcile likes: not compared 3h ago: ",
            "Warn reconcile posts: 2 keys lacked dead letters 3h ago"
        ]
    );
    assert_eq!(exit, None);
}

#[test]
fn the_gravest_decides() {
    let differ = |facts: &mut Facts| {
        facts.comparisons = Asked::Known(vec![comparison("likes", Verdict::Different)]);
    };
    let (lines, exit) = findings(differ);
    assert_eq!(
        (lines, exit),
        (vec!["Fail reconcile likes: 7 keys differed 3h ago".to_owned()], Some(Exit::Differences))
    );
    let (_, exit) = findings(|facts| {
        differ(facts);
        if let Some(Server { answer: Asked::Known(postgres), .. }) = &mut facts.postgres {
            let slot = postgres.slot.take();
            postgres.slot = slot.map(|slot| Slot { active: false, ..slot });
        }
    });
    assert_eq!(exit, Some(Exit::Failure));
    let unregistered = |pending| {
        move |facts: &mut Facts| {
            let trouble = Some(Trouble { what: "w".to_owned(), cure: "c".to_owned(), pending });
            let connector = "nova-cdc".to_owned();
            let connector = ConnectorFacts { connector, state: None, tasks: Vec::new(), trouble };
            facts.connect.as_mut().unwrap().answer = Asked::Known(connector);
        }
    };
    assert_eq!(findings(unregistered(true)).1, Some(Exit::Unavailable));
    assert_eq!(findings(unregistered(false)).1, Some(Exit::Failure));
    let refused = |facts: &mut Facts| {
        facts.letters = Asked::Unknown(Unanswered { error: "denied".to_owned(), away: false });
    };
    let (lines, exit) = findings(refused);
    assert_eq!(lines, ["Fail dead letters of the last 24 h: not known: denied"]);
    assert_eq!(exit, Some(Exit::Partial));
}
