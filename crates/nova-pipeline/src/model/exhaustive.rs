//! Small worlds: every fault at every effect, and what breaks a ledger if anything does: a process that dies or stands
//! still anywhere, and a server that is killed at any insert after it, in both orders of part and token.

use super::{At, Break, Case, Fault, Order, When};

/// One process, whose batches span both partitions.
pub(super) fn alone() -> Case {
    Case { processes: 1, ..Case::default() }
}

/// Two processes, two partitions each.
fn shared() -> Case {
    Case { partitions: 4, messages: 3, ..Case::default() }
}

/// The server's failures during an insert: at each month, in each order.
fn breaks(kill: bool) -> impl Iterator<Item = Fault> {
    let orders = [Order::Neither, Order::TokenOnly, Order::PartOnly];
    (0..3).flat_map(move |months| orders.map(|order| Fault::Server(Break { months, order, kill })))
}

/// Ends of a process, for good or for the group.
const ENDS: [Fault; 6] = [
    Fault::Crash(When::Before),
    Fault::Crash(When::After),
    Fault::Freeze(When::Before, 15),
    Fault::Freeze(When::After, 15),
    Fault::Freeze(When::Before, 40),
    Fault::Freeze(When::After, 40),
];

pub(super) fn faults() -> Vec<Fault> {
    let mut faults: Vec<Fault> = breaks(true).chain(breaks(false)).chain(ENDS).collect();
    faults.extend([When::Before, When::After].map(|when| Fault::Freeze(when, 5)));
    faults.extend([
        Fault::Refuse,
        Fault::LoseReply,
        Fault::Slow(3),
        Fault::Slow(8),
        Fault::Fence,
        Fault::Outage(40),
    ]);
    faults.extend([
        Fault::Evict(0),
        Fault::Evict(700),
        Fault::Shift,
        Fault::Join,
        Fault::Leave,
        Fault::Forget,
    ]);
    faults
}

#[test]
fn every_fault_at_every_effect() {
    let mut histories = 0;
    for world in [alone(), shared()] {
        for at in 0..world.must_hold().effects {
            for fault in faults() {
                world.with(&[(At::Effect(at), fault)]).must_hold();
                histories += 1;
            }
        }
    }
    println!("{histories} histories");
}

/// Ends a process at every effect and breaks every insert after it; the histories tried.
pub(super) fn ends_and_breaks(world: &Case, kill: bool, mut check: impl FnMut(&Case)) -> u32 {
    let mut histories = 0;
    for at in 0..world.run().effects {
        for end in ENDS {
            let ended = world.with(&[(At::Effect(at), end)]);
            for insert in 0..ended.run().inserts {
                for fault in breaks(kill) {
                    check(&world.with(&[(At::Effect(at), end), (At::Insert(insert), fault)]));
                    histories += 1;
                }
            }
        }
    }
    histories
}

/// One takes over what the other leaves.
pub(super) fn pair() -> Case {
    Case { messages: 2, ..Case::default() }
}

/// Two processes after all, when the first one dies: each recovers the batch for its own partition, at the same time.
fn siblings() -> Case {
    Case { processes: 1, messages: 2, ..Case::default() }
}

#[test]
fn every_end_of_a_process_with_every_kill_of_the_server() {
    let mut histories = 0;
    for world in [siblings(), pair()] {
        histories += ends_and_breaks(&world, true, |case| {
            case.must_hold();
        });
    }
    println!("{histories} histories");
}

#[test]
fn every_end_of_a_process_that_two_others_recover() {
    let histories = ends_with_two_heirs(|case, _| {
        case.must_hold();
        1
    });
    println!("{histories} histories");
}

#[test]
#[ignore = "minutes"]
fn every_end_of_a_process_that_two_others_recover_with_every_kill_of_the_server() {
    let histories = ends_with_two_heirs(|case, faults| {
        let mut histories = 0;
        for insert in 0..case.must_hold().inserts {
            for kill in breaks(true) {
                let faults: Vec<(At, Fault)> =
                    faults.iter().copied().chain([(At::Insert(insert), kill)]).collect();
                case.with(&faults).must_hold();
                histories += 1;
            }
        }
        histories
    });
    println!("{histories} histories");
}

/// Lets another process join at every effect and ends the first one at every effect after that.
fn ends_with_two_heirs(mut check: impl FnMut(&Case, &[(At, Fault)]) -> u32) -> u32 {
    let mut histories = 0;
    let world = siblings();
    for join in 0..world.must_hold().effects {
        let joined = (At::Effect(join), Fault::Join);
        for at in join + 1..world.with(&[joined]).must_hold().effects {
            for end in ENDS {
                let faults = [joined, (At::Effect(at), end)];
                histories += check(&world.with(&faults), &faults);
            }
        }
    }
    histories
}
