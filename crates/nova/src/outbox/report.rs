//! What `nova outbox maintain` found and did, for people and for programs.

use serde::Serialize;

use super::Days;
use crate::slot::Slot;
use crate::table::table;

/// What is, or became, of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It stays.
    Kept,
    /// It would be dropped.
    Old,
    /// It takes no more rows, and would be dropped.
    Closed,
    /// It is gone.
    Dropped,
    /// It would be made.
    Missing,
    /// It is new.
    Made,
}

#[derive(Debug, Serialize)]
struct Line {
    partition: String,
    bytes: i64,
    state: State,
}

#[derive(Debug, Serialize)]
struct SlotLine {
    name: String,
    active: bool,
    unconfirmed_bytes: Option<i64>,
}

/// The report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    table: String,
    executed: bool,
    slot: Option<SlotLine>,
    partitions: Vec<Line>,
}

impl Report {
    pub(super) fn new(table: &str, missing: Vec<String>, days: &Days, slot: Option<&Slot>) -> Self {
        let line = |day: &super::Day| {
            let state = match (day.is_old, day.is_closed) {
                (false, _) => State::Kept,
                (true, false) => State::Old,
                (true, true) => State::Closed,
            };
            Line { partition: day.name.clone(), bytes: day.bytes, state }
        };
        let missing = missing.into_iter().map(|day| Line {
            partition: format!("{table}_{}", day.replace('-', "_")),
            bytes: 0,
            state: State::Missing,
        });
        let slot = slot.map(|slot| SlotLine {
            name: slot.name.clone(),
            active: slot.active,
            unconfirmed_bytes: slot.unconfirmed_bytes,
        });
        let partitions = days.days.iter().map(line).chain(missing).collect();
        Self { table: table.to_owned(), executed: false, slot, partitions }
    }

    /// The missing days were made.
    pub(super) fn made(&mut self) {
        self.executed = true;
        let missing = self.partitions.iter_mut().filter(|line| line.state == State::Missing);
        missing.for_each(|line| line.state = State::Made);
    }

    /// A day takes no more rows.
    pub(super) fn closed(&mut self, name: &str) {
        self.mark(name, State::Closed);
    }

    /// A day is gone.
    pub(super) fn dropped(&mut self, name: &str) {
        self.mark(name, State::Dropped);
    }

    fn mark(&mut self, name: &str, state: State) {
        self.partitions.iter_mut().filter(|line| line.partition == name).for_each(|line| line.state = state);
    }

    pub(super) fn table(&self) -> String {
        let kept = self.partitions.iter().filter(|line| line.state == State::Kept).count();
        let rows: Vec<Vec<String>> = self
            .partitions
            .iter()
            .filter(|line| line.state != State::Kept)
            .map(|Line { partition, bytes, state }| {
                vec![partition.clone(), bytes.to_string(), self.word(*state).to_owned()]
            })
            .collect();
        let mut text = format!("{}: {kept} days stay\n", self.table);
        if !rows.is_empty() {
            text.push_str(&table(&["day", "bytes", "what becomes of it"], &rows));
        }
        match &self.slot {
            Some(SlotLine { name, active, unconfirmed_bytes }) => text.push_str(&format!(
                "slot {name}: {}, {} bytes of WAL not confirmed\n",
                if *active { "read" } else { "read by nobody" },
                unconfirmed_bytes.unwrap_or_default()
            )),
            None => text.push_str("slot: missing\n"),
        }
        if !self.executed {
            text.push_str("Nothing was done; add --execute to do it.\n");
        }
        text
    }

    fn word(&self, state: State) -> &'static str {
        match state {
            State::Kept => "stays",
            State::Old => "is dropped when the slot has passed it",
            State::Closed => "is closed, and dropped when the slot has passed it",
            State::Dropped => "dropped",
            State::Missing => "is made",
            State::Made => "made",
        }
    }

    pub(super) fn json(&self) -> String {
        // Strings, numbers and booleans: nothing that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::days::{Day, Place};
    use super::*;

    #[test]
    fn people_see_what_changes_and_programs_all() {
        let day = |name: &str, is_old, is_closed| Day {
            name: name.to_owned(),
            place: Place::Attached,
            is_old,
            is_closed,
            bytes: 8192,
        };
        let days = Days {
            table: "public.o".to_owned(),
            days: vec![day("o_1", true, true), day("o_2", true, false), day("o_3", false, false)],
        };
        let slot = Slot { name: "s".to_owned(), unconfirmed_bytes: Some(7), ..Slot::default() };
        let mut report = Report::new("public.o", vec!["2031-01-02".to_owned()], &days, Some(&slot));
        assert_eq!(
            report.table(),
            [
                "public.o: 1 days stay",
                "                  day  bytes  what becomes of it",
                "                  o_1   8192  is closed, and dropped when the slot has passed it",
                "                  o_2   8192  is dropped when the slot has passed it",
                "  public.o_2031_01_02      0  is made",
                "slot s: read by nobody, 7 bytes of WAL not confirmed",
                "Nothing was done; add --execute to do it.\n",
            ]
            .join("\n")
        );
        report.made();
        report.dropped("o_1");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["executed"], true);
        assert_eq!(json["partitions"][0]["state"], "dropped");
        assert_eq!(json["partitions"][2]["state"], "kept");
        assert_eq!(json["partitions"][3]["state"], "made");
    }
}
