//! The model sees every wrong design, within as many random cases as the ordinary run tries.

use std::cell::Cell;

use proptest::strategy::Strategy;

use super::Case;
use super::random::{cases, retold_cases, search};
use crate::mutants::Mutant;

fn caught(mutant: Mutant, cases: impl Strategy<Value = Case>) {
    Mutant::choose(Some(mutant));
    let (tried, found) = (Cell::new(0), Cell::new(None));
    let case = search(400, &cases, |case| {
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
    caught(Mutant::CommitBeforeInsert, cases(true));
}

#[test]
fn a_random_token_is_caught() {
    caught(Mutant::RandomToken, cases(true));
}

#[test]
fn boundaries_not_kept_are_caught() {
    caught(Mutant::BoundariesNotKept, cases(true));
}

#[test]
fn a_revoke_without_drain_is_caught() {
    caught(Mutant::RevokeWithoutDrain, cases(true));
}

#[test]
fn messages_kept_after_a_loss_are_caught() {
    caught(Mutant::KeptAfterLoss, cases(true));
}

#[test]
fn a_dead_letter_only_enqueued_is_caught() {
    caught(Mutant::LetterOnlyEnqueued, cases(true));
}

#[test]
fn lineage_not_asked_is_caught() {
    // With sessions the table would refuse whoever does not ask.
    caught(Mutant::LineageNotAsked, cases(false));
}

#[test]
fn repeats_not_doubted_are_caught() {
    caught(Mutant::RepeatsNotDoubted, retold_cases(true));
}
