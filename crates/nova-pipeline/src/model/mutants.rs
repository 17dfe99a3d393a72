//! The model sees every wrong design, within as many random cases as the ordinary run tries.

use std::cell::Cell;

use super::random::{cases, search};
use crate::mutants::Mutant;

fn caught(mutant: Mutant, sessions: bool) {
    Mutant::choose(Some(mutant));
    let (tried, found) = (Cell::new(0), Cell::new(None));
    let case = search(400, &cases(sessions), |case| {
        tried.set(tried.get() + 1);
        let wrong = !case.run().violations.is_empty();
        if wrong && found.get().is_none() {
            found.set(Some(tried.get()));
        }
        wrong
    });
    let case = case.unwrap_or_else(|| panic!("{mutant:?} survives {} cases", tried.get()));
    let outcome = case.run();
    Mutant::choose(None);
    println!("{mutant:?} is caught by case {:?}:\n{}", found.get(), case.tell(&outcome));
    case.must_hold();
}

#[test]
fn commit_before_insert_is_caught() {
    caught(Mutant::CommitBeforeInsert, true);
}

#[test]
fn a_random_token_is_caught() {
    caught(Mutant::RandomToken, true);
}

#[test]
fn boundaries_not_kept_are_caught() {
    caught(Mutant::BoundariesNotKept, true);
}

#[test]
fn a_revoke_without_drain_is_caught() {
    caught(Mutant::RevokeWithoutDrain, true);
}

#[test]
fn messages_kept_after_a_loss_are_caught() {
    caught(Mutant::KeptAfterLoss, true);
}

#[test]
fn a_dead_letter_only_enqueued_is_caught() {
    caught(Mutant::LetterOnlyEnqueued, true);
}

#[test]
fn lineage_not_asked_is_caught() {
    // With sessions the table would refuse whoever does not ask.
    caught(Mutant::LineageNotAsked, false);
}
