//! Which letters a command is about.

use std::collections::BTreeSet;

use super::args::{Selection, Standing};
use super::place::Place;
use super::scan::{Entry, Status};
use crate::exit::{Exit, Failure};

/// All conditions together.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    selection: Selection,
    reason: Option<String>,
    /// None: whatever it is.
    statuses: Vec<Status>,
}

impl Filter {
    /// What the command line says.
    pub fn new(selection: &Selection, reason: Option<&String>, statuses: Vec<Status>) -> Self {
        Self { selection: selection.clone(), reason: reason.cloned(), statuses }
    }

    /// Whether the letter is meant.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.is_named(entry) && (self.statuses.is_empty() || self.statuses.contains(&entry.status()))
    }

    /// The same, however it is with the letter.
    pub fn is_named(&self, entry: &Entry) -> bool {
        let Selection { places, stream, kind, since, until } = &self.selection;
        let letter = &entry.stored.letter;
        let time = |time: &chrono::DateTime<_>| time.timestamp_millis();
        let written = entry.stored.time_ms.unwrap_or_default();
        (places.is_empty() || places.contains(&entry.place()))
            && (stream.is_empty() || stream.contains(&letter.stream))
            && (kind.is_empty() || kind.contains(&letter.kind))
            && since.as_ref().is_none_or(|since| written >= time(since))
            && until.as_ref().is_none_or(|until| written < time(until))
            && self
                .reason
                .as_ref()
                .is_none_or(|text| letter.reason.contains(text) || letter.path.contains(text))
    }

    /// Refuses places that were named and are not among `found`.
    pub fn all_found(&self, found: &BTreeSet<Place>, topic: &str) -> Result<(), Failure> {
        match self.selection.places.iter().find(|place| !found.contains(place)) {
            None => Ok(()),
            Some(place) => {
                let message = format!("no dead letter {place} that matches is in the topic {topic}");
                Err(Failure::new(Exit::Failure, message).with_cure(
                    "`nova dlq list -o jsonl` lists all, with their coordinates and what was done.",
                ))
            }
        }
    }
}

impl Standing {
    /// The statuses that are asked for.
    pub fn statuses(self) -> Vec<Status> {
        let each =
            [(self.open, Status::Open), (self.retried, Status::Retried), (self.discarded, Status::Discarded)];
        each.into_iter().filter_map(|(asked, status)| asked.then_some(status)).collect()
    }
}

#[cfg(test)]
mod tests {
    use nova_clickhouse::LetterAction;
    use nova_pipeline::ErrorKind;

    use super::super::scan::entry;
    use super::*;

    #[test]
    fn each_condition_counts() {
        let entry = entry(5, Some(LetterAction::Discarded));
        let time = |ms: i64| chrono::DateTime::from_timestamp_millis(1_769_839_200_000 + ms).map(Into::into);
        let place: Place = "cdc.likes/3/5".parse().unwrap();
        let other: Place = "cdc.likes/3/6".parse().unwrap();
        let matches = |selection: Selection, reason: Option<&str>, statuses: &[Status]| {
            let reason = reason.map(str::to_owned);
            Filter::new(&selection, reason.as_ref(), statuses.to_vec()).matches(&entry)
        };
        let all = Selection::default;
        for selection in [
            all(),
            Selection { places: vec![other.clone(), place], ..all() },
            Selection { stream: vec!["likes".to_owned()], ..all() },
            Selection { kind: vec![ErrorKind::Unmappable], ..all() },
            Selection { since: time(5), until: time(6), ..all() },
        ] {
            assert!(matches(selection, Some("does not fit"), &[Status::Open, Status::Discarded]));
        }
        for selection in [
            Selection { places: vec![other], ..all() },
            Selection { stream: vec!["like".to_owned()], ..all() },
            Selection { kind: vec![ErrorKind::Malformed], ..all() },
            Selection { since: time(6), ..all() },
            Selection { until: time(5), ..all() },
        ] {
            assert!(!matches(selection.clone(), None, &[]), "{selection:?}");
        }
        assert!(matches(all(), Some("dwell_time"), &[]) && !matches(all(), Some("else"), &[]));
        assert!(!matches(all(), None, &[Status::Open, Status::Retried]));
    }
}
