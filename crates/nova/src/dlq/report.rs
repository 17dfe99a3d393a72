//! What `retry` and `discard` have done, or would do: counted by outcome and reason, or letter by letter.

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::Form;
use super::fate::Told;
use super::reason::normalised;
use super::scan::Held;
use crate::exit::{Exit, Failure, Outcome};
use crate::table::table;

const HEADER: [&str; 6] = ["letters", "rows", "stream", "outcome", "example", "reason"];

/// All fates.
#[derive(Debug)]
pub struct Report {
    executed: bool,
    told: Vec<Told>,
    /// Letters that match and were left for another time.
    more: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Cause {
    stream: String,
    outcome: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Group {
    #[serde(flatten)]
    cause: Cause,
    letters: usize,
    rows: usize,
    example: String,
}

#[derive(Debug, Serialize)]
struct Document<'r> {
    executed: bool,
    letters: usize,
    rows: usize,
    open: usize,
    more: u64,
    outcomes: Vec<Group>,
    topic: &'r Held,
}

impl Report {
    /// Nothing yet.
    pub fn new(executed: bool) -> Self {
        Self { executed, told: Vec::new(), more: 0 }
    }

    /// Tells one fate.
    pub fn add(&mut self, told: Told) {
        self.told.push(told);
    }

    /// Tells how many letters match and were left.
    pub fn leave(&mut self, more: u64) {
        self.more = more;
    }

    /// Prints it all. A letter that stays open although it should not is a part that was not done.
    pub fn print(&self, form: Form, held: &Held) -> Outcome {
        match form {
            Form::Table => print!("{}", self.text()),
            Form::Json => println!("{}", self.json(held).map_err(written)?),
            Form::Jsonl => {
                for told in &self.told {
                    println!("{}", serde_json::to_string(told).map_err(written)?);
                }
            }
        }
        eprint!("{}", held.remarks());
        let open = self.open();
        if !self.executed || open == 0 {
            return Ok(());
        }
        let message = format!("{open} of {} letters stay open, for the reasons above", self.told.len());
        Err(Failure::new(Exit::Partial, message).with_cure(
            "Correct the stream or the table and retry them, or `nova dlq discard` them with a reason.",
        ))
    }

    fn open(&self) -> usize {
        self.told.iter().filter(|told| told.outcome == "open").count()
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<Cause, Group> = BTreeMap::new();
        for Told { message, stream, outcome, rows, reason, path } in &self.told {
            // The operator's own words stay as they are.
            let reason = if *outcome == "discarded" { reason.clone() } else { normalised(reason) };
            let reason = if path.is_empty() || reason.starts_with(path) {
                reason
            } else {
                format!("{path}: {reason}")
            };
            let cause = Cause { stream: stream.clone(), outcome, reason };
            let group = groups.entry(cause.clone()).or_insert_with(|| Group {
                cause,
                letters: 0,
                rows: 0,
                example: message.clone(),
            });
            group.letters += 1;
            group.rows += rows;
        }
        groups.into_values().collect()
    }

    fn json(&self, held: &Held) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&Document {
            executed: self.executed,
            letters: self.told.len(),
            rows: self.told.iter().map(|told| told.rows).sum(),
            open: self.open(),
            more: self.more,
            outcomes: self.groups(),
            topic: held,
        })
    }

    fn text(&self) -> String {
        if self.told.is_empty() {
            return "no open dead letters match\n".to_owned();
        }
        let cells = |group: Group| {
            let Group { cause: Cause { stream, outcome, reason }, letters, rows, example } = group;
            vec![letters.to_string(), rows.to_string(), stream, outcome.to_owned(), example, reason]
        };
        let mut text = table(&HEADER, &self.groups().into_iter().map(cells).collect::<Vec<_>>());
        if !self.executed {
            text.push_str("nothing was changed; the same command with --execute does it\n");
        }
        if self.more > 0 {
            text.push_str(&format!("{} more letters match; --limit takes more at once\n", self.more));
        }
        text
    }
}

/// What serde_json could not write; none of our own types can cause it.
pub fn written(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Failure, format!("cannot write JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::fate::Fate;
    use super::super::scan::{Status, entry};
    use super::*;

    fn report(executed: bool) -> Report {
        let mut report = Report::new(executed);
        let refused = |value: &str| Fate::Open {
            reason: format!("`{value}` does not fit UInt8"),
            path: "after.n".into(),
        };
        for (offset, fate) in [
            (5, refused("300")),
            (6, refused("400")),
            (7, Fate::There(2)),
            (8, Fate::Skipped("tombstone")),
            (9, Fate::Discarded("because of 9".to_owned())),
            (10, Fate::Settled(Status::Retried)),
        ] {
            report.add(Told::of(&entry(offset, None), &fate));
        }
        report.leave(3);
        report
    }

    #[test]
    fn letters_are_counted_by_outcome_and_reason() {
        let expected = "  letters  rows  stream    outcome         example  reason
        1     0   likes  discarded   cdc.likes/3/9  because of 9
        2     0   likes       open   cdc.likes/3/5  after.n: `…` does not fit UInt8
        1     0   likes    settled  cdc.likes/3/10  retried before
        1     0   likes    skipped   cdc.likes/3/8  tombstone
        1     2   likes      there   cdc.likes/3/7  the table has its rows
nothing was changed; the same command with --execute does it
3 more letters match; --limit takes more at once
";
        assert_eq!(report(false).text(), expected);
        assert!(!report(true).text().contains("--execute"));
        assert_eq!(Report::new(false).text(), "no open dead letters match\n");
    }

    #[test]
    fn json_counts_the_same_and_open_letters_are_a_part_that_was_not_done() {
        let held = Held { letters: 9, ..Held::default() };
        let json: serde_json::Value = serde_json::from_str(&report(true).json(&held).unwrap()).unwrap();
        let head = ["executed", "letters", "rows", "open", "more"].map(|key| json[key].clone());
        assert_eq!(serde_json::json!(head), serde_json::json!([true, 6, 2, 2, 3]));
        let open = serde_json::json!({"stream": "likes", "outcome": "open", "reason": "after.n: `…` does not fit UInt8",
            "letters": 2, "rows": 0, "example": "cdc.likes/3/5"});
        assert_eq!(json["outcomes"][1], open);
        let failure = report(true).print(Form::Table, &held).unwrap_err();
        assert_eq!(failure.exit, Exit::Partial);
        assert!(report(false).print(Form::Table, &held).is_ok());
    }
}
