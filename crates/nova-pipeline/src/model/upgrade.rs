//! Workers of two releases in one group: one writes the old form of the ledger's metadata, the other the next one, and each
//! start of a process is of the other release. That is a rolling upgrade and a rolling downgrade at any point of either.

use proptest::strategy::Strategy as _;

use super::exhaustive::{faults, pair};
use super::random::{cases, retold_cases, search, setting};
use super::{At, Case};
use crate::ledger::form::{READS_NEXT, Release, SHIPPED, WRITES_NEXT};

const NEIGHBOURS: &[Release] = &[READS_NEXT, WRITES_NEXT];
const ONE_SKIPPED: &[Release] = &[SHIPPED, WRITES_NEXT];

#[test]
fn neighbouring_releases_survive_every_fault_at_every_effect() {
    let world = Case { releases: NEIGHBOURS, ..pair() };
    let mut histories = 0;
    for at in 0..world.must_hold().effects {
        for fault in faults() {
            world.with(&[(At::Effect(at), fault)]).must_hold();
            histories += 1;
        }
    }
    println!("{histories} histories");
}

#[test]
fn no_schedule_of_faults_loses_or_doubles_a_row_between_neighbouring_releases() {
    let number = setting("NOVA_MODEL_CASES", 200);
    let cases = (cases(true), retold_cases(true), proptest::bool::ANY);
    let cases = cases.prop_map(|(case, retold, again)| if again { retold } else { case });
    let cases = cases.prop_map(|case| Case { releases: NEIGHBOURS, ..case });
    if let Some(case) = search(number, &cases, |case| !case.run().violations.is_empty()) {
        case.must_hold();
    }
}

/// GIVEN workers of two releases with one in between / THEN the older one halts as soon as it meets the new form; until then,
/// and that is when a row would be lost or doubled, nothing is wrong.
#[test]
fn a_release_that_was_skipped_makes_workers_halt_and_nothing_worse() {
    let (mut halted, mut tried) = (0, 0);
    let cases = cases(true).prop_map(|case| Case { releases: ONE_SKIPPED, ..case });
    let wrong = search(200, &cases, |case| {
        let violations = case.run().violations;
        let halts = |violation: &String| violation.contains(" halts: ") && violation.contains("`n3 ");
        tried += 1;
        halted += u32::from(violations.iter().any(halts));
        !violations.iter().all(halts)
    });
    println!("{halted} of {tried} histories halt");
    if let Some(case) = wrong {
        case.must_hold();
    }
    assert!(halted > 100, "{halted} of {tried}");
}
