//! Poison is put aside, and nothing else: each piece that is in a topic has a dead letter that says where it lay, why
//! it is no row and what it was; every dead letter is one of these.
//!
//! Letters are at least once, so one piece may have several.

use std::collections::BTreeMap;

use super::Check;
use crate::chaos::evidence::Evidence;
use crate::chaos::messages::{Found, Letter};
use crate::chaos::poison::{HEADER, Poison};

pub(in crate::chaos) fn check(evidence: &Evidence) -> Check {
    let written: BTreeMap<usize, &Poison> =
        evidence.poison.iter().map(|poison| (poison.number, poison)).collect();
    let mut found: BTreeMap<usize, &Found> = BTreeMap::new();
    let mut findings = Vec::new();
    for piece in &evidence.messages.poison {
        if found.insert(piece.number, piece).is_some() {
            findings.push(format!("poison {} is in the topics twice", piece.number));
        }
    }
    for poison in &evidence.poison {
        let place = poison.offset.map(|offset| (poison.table, poison.partition, offset));
        let at = found.get(&poison.number).map(|found| found.place);
        if place.is_some() && at != place {
            findings
                .push(format!("poison {} was acknowledged at {place:?} and lies at {at:?}", poison.number));
        }
    }
    let mut letters: BTreeMap<usize, u64> = BTreeMap::new();
    for letter in &evidence.messages.letters {
        let of = number(letter).and_then(|number| Some((*written.get(&number)?, *found.get(&number)?)));
        match of {
            Some((poison, found)) => {
                *letters.entry(poison.number).or_default() += 1;
                findings.extend(wrong(letter, poison, found));
            }
            None => findings.push(format!("a dead letter of no poison: {:?}", letter.headers)),
        }
    }
    let without = found.iter().filter(|(number, _)| !letters.contains_key(number));
    findings.extend(
        without.map(|(number, found)| format!("poison {number} at {:?} has no dead letter", found.place)),
    );
    let (pieces, total): (_, u64) = (found.len(), letters.values().sum());
    let figures = format!("{pieces} pieces, {total} dead letters");
    Check::new("poison is put aside", figures, &findings)
}

fn number(letter: &Letter) -> Option<usize> {
    letter.headers.get(HEADER)?.split_once('/')?.1.parse().ok()
}

/// What a letter says that is not so.
fn wrong(letter: &Letter, poison: &Poison, found: &Found) -> Vec<String> {
    let (table, partition, offset) = found.place;
    let mut expected = vec![
        ("nova.stream", table.stream().to_owned()),
        ("nova.topic", table.topic().to_owned()),
        ("nova.partition", partition.to_string()),
        ("nova.offset", offset.to_string()),
        ("nova.error.kind", poison.kind.to_owned()),
    ];
    expected.extend(poison.key.clone().map(|key| ("nova.original.key", key)));
    let differing = expected.into_iter().filter(|(name, value)| letter.headers.get(*name) != Some(value));
    let mut wrong: Vec<String> = differing
        .map(|(name, value)| {
            format!("poison {}: {name} is {:?} instead of {value}", poison.number, letter.headers.get(name))
        })
        .collect();
    if letter.headers.get("nova.reason").is_none_or(String::is_empty) {
        wrong.push(format!("poison {}: no reason is given", poison.number));
    }
    if letter.value != poison.value {
        wrong.push(format!(
            "poison {}: the letter holds {} instead of {}",
            poison.number, letter.value, poison.value
        ));
    }
    wrong
}
