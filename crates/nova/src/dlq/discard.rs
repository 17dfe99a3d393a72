//! `nova dlq discard`: marks, and nothing else. The letters stay in their topic.

use std::collections::BTreeSet;

use nova_clickhouse::{LetterAction, LetterMark, mark_letters};

use super::args::DiscardArgs;
use super::fate::{Fate, Told};
use super::filter::Filter;
use super::place::Place;
use super::report::Report;
use super::scan::{Site, Status};
use crate::actor;
use crate::config::Config;
use crate::exit::Outcome;

/// Marks of one insert.
const MARKS: usize = 10_000;

/// Marks the open letters that match.
pub async fn run(args: &DiscardArgs, config: &Config) -> Outcome {
    let DiscardArgs { selection, matching, reason, actor, execute, output } = args;
    let site = Site::of(config)?;
    let filter = Filter::new(selection, matching.as_ref(), vec![Status::Open]);
    let actor = actor.clone().unwrap_or_else(actor::of_process);
    let mut report = Report::new(*execute);
    let (mut marks, mut places): (Vec<LetterMark>, BTreeSet<Place>) = (Vec::new(), BTreeSet::new());
    let named = !selection.places.is_empty();
    let held = site
        .scan(|entry| {
            let fate = if filter.matches(&entry) {
                marks.push(entry.marked(LetterAction::Discarded, 0, reason, &actor));
                Fate::Discarded(reason.clone())
            } else if named && filter.is_named(&entry) {
                Fate::Settled(entry.status())
            } else {
                return;
            };
            report.add(Told::of(&entry, &fate));
            if named {
                places.insert(entry.place());
            }
        })
        .await?;
    filter.all_found(&places, &site.topic)?;
    if *execute {
        for marks in marks.chunks(MARKS) {
            mark_letters(&site.client, marks).await?;
        }
    }
    report.print(*output, &held)
}
