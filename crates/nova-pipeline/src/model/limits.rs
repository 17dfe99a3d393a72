//! What the promise rests on: take one support away, and the model finds the history that breaks it.
//!
//! These are no defects of the ledger; `docs/exactly-once.md` names them as assumptions. A test that fails here says
//! that an assumption is no longer needed, or that the model no longer sees what depends on it.

use super::exhaustive::{alone, ends_and_breaks, pair};
use super::{At, Break, Case, Fault, Order, When};

/// What is wrong with the first of the cases that is, and its faults.
fn broken(cases: impl IntoIterator<Item = Case>) -> Option<String> {
    let told = cases.into_iter().find_map(|case| {
        let outcome = case.run();
        Some(format!("{}: {:?}", outcome.violations.first()?, case.faults))
    });
    println!("{told:?}");
    told
}

fn is_broken(cases: impl IntoIterator<Item = Case>, how: &str) -> bool {
    broken(cases).is_some_and(|told| told.contains(how))
}

fn with_part_only(world: &Case, kill: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    ends_and_breaks(world, kill, |case| {
        let part_only = |fault: &Fault| matches!(fault, Fault::Server(Break { order: Order::PartOnly, .. }));
        if case.faults.values().any(part_only) {
            cases.push(case.clone());
        }
    });
    cases
}

/// A worker stands still between its intent and its insert; its heir's insert is cut off by a kill that leaves the part
/// and forgets the token; then the worker wakes up. A server that knows the worker's session no more refuses it.
#[test]
fn without_sessions_a_zombie_doubles_what_a_killed_server_has_forgotten() {
    let world = Case { sessions: false, ..pair() };
    assert!(is_broken(with_part_only(&world, true), "twice"));
}

/// The same with a window that has overflowed while the worker stood still.
#[test]
fn without_sessions_a_zombie_doubles_what_the_window_has_forgotten() {
    let cases = |sessions| {
        (0..60).map(move |at| {
            let world = Case { sessions, messages: 4, interval_ms: 20_000, ..pair() };
            world.with(&[(At::Insert(0), Fault::Freeze(When::Before, 58)), (At::Effect(at), Fault::Forget)])
        })
    };
    assert!(is_broken(cases(false), "twice"));
    assert_eq!(broken(cases(true)), None);
}

/// A server that goes on, with a part whose token it failed to write, is not told apart from one that knows the token.
#[test]
fn a_living_server_must_not_keep_a_part_without_its_token() {
    assert!(is_broken(with_part_only(&pair(), false), "twice"));
}

/// A commit that overtakes a later one of the same generation would take the group back.
#[test]
fn commits_of_one_client_must_arrive_in_order() {
    let cases = |ordered| {
        let world = Case { ordered, interval_ms: 3_000, ..alone() };
        (0..60).map(move |at| world.with(&[(At::Effect(at), Fault::Slow(12))]))
    };
    assert!(is_broken(cases(false), "goes back"));
    assert_eq!(broken(cases(true)), None);
}
