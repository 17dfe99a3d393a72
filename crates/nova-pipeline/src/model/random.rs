//! Random worlds and schedules of faults, shrunk by proptest to the smallest history that is wrong.
//!
//! The same cases every time; `NOVA_MODEL_SEED` and `NOVA_MODEL_CASES` choose others and more. A case that is wrong
//! prints itself with its history, and `Case::must_hold` runs it again.

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::{At, Break, Case, Fault, Order, Twist, When};

fn when() -> impl Strategy<Value = When> {
    prop_oneof![Just(When::Before), Just(When::After)]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Neither), Just(Order::TokenOnly), Just(Order::PartOnly)]
}

fn fault() -> impl Strategy<Value = Fault> {
    // A living server may keep a token whose part failed, but not a part whose token failed: see `limits`.
    let server = (0u8..3, order(), any::<bool>()).prop_map(|(months, order, kill)| {
        Fault::Server(Break { months, order, kill: kill || order == Order::PartOnly })
    });
    prop_oneof![
        4 => server,
        2 => when().prop_map(Fault::Crash),
        3 => (when(), 1u8..60).prop_map(|(when, seconds)| Fault::Freeze(when, seconds)),
        1 => Just(Fault::Refuse),
        1 => Just(Fault::LoseReply),
        2 => (1u8..8).prop_map(Fault::Slow),
        1 => Just(Fault::Fence),
        1 => (1u8..40).prop_map(Fault::Outage),
        2 => (0u16..3_000).prop_map(Fault::Evict),
        2 => Just(Fault::Shift),
        1 => Just(Fault::Join),
        1 => Just(Fault::Leave),
        1 => Just(Fault::Forget),
    ]
}

fn at() -> impl Strategy<Value = At> {
    prop_oneof![(0u32..120).prop_map(At::Effect), (0u32..12).prop_map(At::Insert)]
}

/// More than three halves of one insert and the pipeline rightly asks for a person; a case has fewer.
fn survivable(faults: &[&Fault]) -> bool {
    let halves = |fault: &&&Fault| matches!(fault, Fault::Server(Break { order: Order::TokenOnly, .. }));
    faults.iter().filter(halves).count() <= 3
}

pub(super) fn cases(sessions: bool) -> impl Strategy<Value = Case> {
    let world = (1usize..=3, 1i32..=4, 1u8..=6, prop_oneof![Just(0u64), Just(40), Just(400)], 1usize..=5);
    let faults = btree_map(at(), fault(), 0..14)
        .prop_filter("survivable", |faults| survivable(&faults.values().collect::<Vec<_>>()));
    (world, faults).prop_map(move |((processes, partitions, messages, interval_ms, batch_rows), faults)| {
        let world =
            Case { processes, partitions, messages, interval_ms, batch_rows, sessions, ..Case::default() };
        Case { faults, ..world }
    })
}

/// The same, where the connector tells changes again and reads the table, offsets are set by hand, or the topic is
/// deleted and made again.
pub(super) fn retold_cases(sessions: bool) -> impl Strategy<Value = Case> {
    let twist = prop_oneof![
        2 => (0u8..12, 0u8..6).prop_map(|(after, back)| Twist::Restart { after, back }),
        1 => (0u8..12, 0u8..3).prop_map(|(after, lost)| Twist::Snapshot { after, lost }),
    ];
    let set_back = btree_map(at(), any::<u8>().prop_map(Fault::SetBack), 0..3);
    let interval_ms = prop_oneof![Just(0u64), Just(40), Just(400), Just(3_000)];
    let story = (proptest::collection::vec(twist, 0..4), set_back, any::<bool>(), 1u8..=14, interval_ms);
    (cases(sessions), story).prop_map(|(mut case, (twists, mut set_back, remade, messages, interval_ms))| {
        // Of rows that two topics of the same name have left, a third reading could not tell which are whose.
        if remade {
            set_back.clear();
        }
        case.faults.append(&mut set_back);
        Case { twists, remade, messages, interval_ms, ..case }
    })
}

/// What an environment variable says, or the default.
pub(super) fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Looks for a case that is wrong, and shrinks it.
pub(super) fn search(
    number: u32,
    cases: &impl Strategy<Value = Case>,
    mut wrong: impl FnMut(&Case) -> bool,
) -> Option<Case> {
    let seed = setting("NOVA_MODEL_SEED", 0);
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, max_shrink_iters: 2_000, ..Config::with_cases(number) };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let wrong = std::cell::RefCell::new(&mut wrong);
    let result =
        runner.run(
            cases,
            |case| {
                if wrong.borrow_mut()(&case) { Err(TestCaseError::fail("wrong")) } else { Ok(()) }
            },
        );
    match result {
        Ok(()) => None,
        Err(TestError::Fail(_, case)) => Some(case),
        Err(TestError::Abort(why)) => panic!("seed {seed}: {why}"),
    }
}

#[test]
fn no_schedule_of_faults_loses_doubles_or_invents_a_row() {
    let number = setting("NOVA_MODEL_CASES", 400);
    if let Some(case) = search(number, &cases(true), |case| !case.run().violations.is_empty()) {
        case.must_hold();
    }
}

#[test]
fn whatever_is_told_again_counts_once() {
    let number = setting("NOVA_MODEL_CASES", 300);
    if let Some(case) = search(number, &retold_cases(true), |case| !case.run().violations.is_empty()) {
        case.must_hold();
    }
}

#[test]
fn the_retold_cases_reach_what_they_are_for() {
    let marks = [
        ("a change that the table has", "repeated, "),
        ("a state that the table has", "already there"),
        ("a snapshot that corrects", "-1×"),
        ("offsets set by hand", "SetBack"),
        ("a topic made again", "Remake is done"),
        ("a past that is compared", "learns [Seen"),
        ("a batch settled by others", "others have settled"),
    ];
    let mut reached = [0; 7];
    let wrong = search(200, &retold_cases(true), |case| {
        let history = case.run().history;
        for (count, (_, mark)) in reached.iter_mut().zip(marks) {
            let none = |line: &&String| line.ends_with(": 0 repeated, 0 already there");
            *count += u32::from(history.iter().filter(|line| !none(line)).any(|line| line.contains(mark)));
        }
        false
    });
    println!("{:?} of 200 histories", marks.iter().map(|(what, _)| *what).zip(reached).collect::<Vec<_>>());
    assert!(wrong.is_none() && reached.iter().all(|count| *count > 0), "{reached:?}");
}

/// The same schedule at a table that keeps every token whose part it has.
fn never_forgets(case: Case) -> Case {
    let keep = |fault| match fault {
        Fault::Forget => Fault::Shift,
        Fault::Server(broken) if broken.order == Order::PartOnly => {
            Fault::Server(Break { order: Order::Neither, ..broken })
        }
        other => other,
    };
    let faults = case.faults.into_iter().map(|(at, fault)| (at, keep(fault))).collect();
    Case { sessions: false, faults, ..case }
}

#[test]
fn a_table_that_forgets_no_token_needs_no_sessions() {
    let number = setting("NOVA_MODEL_CASES", 200);
    let cases = cases(false).prop_map(never_forgets);
    if let Some(case) = search(number, &cases, |case| !case.run().violations.is_empty()) {
        case.must_hold();
    }
}

/// Whether two processes form batches again at the same time somewhere in the history.
fn two_recover_at_once(history: &[String]) -> bool {
    let mut recovering = std::collections::BTreeSet::new();
    history.iter().any(|line| {
        let process = line.split("process ").nth(1).and_then(|rest| rest.split(' ').next());
        if let Some(process) = process {
            if line.ends_with("reads again") {
                recovering.insert(process.to_owned());
            } else if ["starts", "reads", "ends"].iter().any(|what| line.contains(&format!(" {what}"))) {
                recovering.remove(process);
            }
        }
        recovering.len() > 1
    })
}

#[test]
fn the_schedules_reach_what_they_are_for() {
    let marks = [
        ("a token that was known", "Ok(false)"),
        ("a derived token", "-1: Ok(true)"),
        ("a server killed in between", "the server was killed"),
        ("a session that is gone", "the session is unknown"),
        ("a fenced commit", "an old generation"),
        ("a loss", "hears Lost"),
        ("a revocation", "hears Revoked"),
        ("a batch formed again", "reads again"),
        ("a late insert", "no answer in time"),
        ("a drain that was not", "not durable in time"),
        ("a drain in time", "ends: Ok(())"),
    ];
    let mut reached = [0; 12];
    let wrong = search(200, &cases(true), |case| {
        let history = case.run().history;
        for (count, (_, mark)) in reached.iter_mut().zip(marks) {
            *count += u32::from(history.iter().any(|line| line.contains(mark)));
        }
        reached[11] += u32::from(two_recover_at_once(&history));
        false
    });
    println!("{:?} of 200 histories", marks.iter().map(|(what, _)| *what).zip(reached).collect::<Vec<_>>());
    assert!(wrong.is_none() && reached.iter().all(|count| *count > 0), "{reached:?}");
}
