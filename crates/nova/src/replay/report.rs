//! What a replay says: its plan before, its result after; for people or as one JSON document.

use nova_clickhouse::{JobRow, JobState};
use serde::Serialize;

use super::plan::{Estimate, Plan};
use super::work::Reached;
use crate::cli::Output;
use crate::exit::{Exit, Failure, Outcome};
use crate::table::table;

/// Everything that is said.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The stream.
    pub stream: String,
    /// What is to be done, or was.
    pub plan: Plan,
    /// What can be said beforehand; not of a job that goes on.
    pub estimate: Option<Estimate>,
    /// The unfinished job that the command goes on with.
    pub goes_on: Option<GoesOn>,
    /// What was done; nothing without --execute.
    pub result: Option<Done>,
}

/// An unfinished job of the same command.
#[derive(Debug, Clone, Serialize)]
pub struct GoesOn {
    /// The job.
    pub job_id: String,
    /// When it began (UTC).
    pub began_at: String,
    /// How it stood.
    pub state: JobState,
    /// Messages done.
    pub done: u64,
    /// Messages to be done.
    pub total: u64,
}

/// What was done, by all processes that worked on the job.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The job.
    pub job_id: String,
    /// How it stands.
    pub state: JobState,
    /// Rows that the table lacked.
    pub rows_written: u64,
    /// Everything else.
    #[serde(flatten)]
    pub reached: Reached,
}

impl GoesOn {
    /// Of a job as it stood.
    pub fn of(row: &JobRow) -> Self {
        let (job_id, began_at) = (row.job_id.to_string(), row.began_at.clone());
        Self { job_id, began_at, state: row.state, done: row.done, total: row.total }
    }
}

impl Report {
    /// Says the plan, for people; as JSON nothing is said until the end.
    pub fn print_plan(&self, form: Output) {
        if form == Output::Table {
            print!("{}", self.plan_text());
        }
    }

    /// Says that nothing was done, or what was.
    pub fn print_end(&self, form: Output) -> Outcome {
        match (form, &self.result) {
            (Output::Json, _) => {
                let text = serde_json::to_string_pretty(self);
                println!("{}", text.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?);
            }
            (Output::Table, Some(done)) => print!("{}", done.text()),
            (Output::Table, None) if self.plan.parts.is_empty() => {
                println!("nothing lies there: there is nothing to do")
            }
            (Output::Table, None) => println!("nothing was done; the same command with --execute does it"),
        }
        Ok(())
    }

    fn plan_text(&self) -> String {
        let Plan { topic, table: target, parts, notes, .. } = &self.plan;
        let mut text = format!("replay of stream {}: what `{target}` lacks of {topic}\n", self.stream);
        let there = |partition| {
            self.estimate.as_ref().map(|estimate| estimate.rows_there.get(&partition).copied().unwrap_or(0))
        };
        let rows: Vec<Vec<String>> = parts
            .iter()
            .map(|part| {
                let there = there(part.partition).map_or_else(|| "-".to_owned(), |rows| rows.to_string());
                vec![
                    part.partition.to_string(),
                    part.from.to_string(),
                    part.to.to_string(),
                    part.offsets().to_string(),
                    there,
                ]
            })
            .collect();
        if !rows.is_empty() {
            text += &table(&["partition", "from", "to", "messages", "rows there"], &rows);
        }
        if let Some(estimate) = &self.estimate {
            text += &estimate_text(self.plan.offsets(), estimate);
        }
        for note in notes {
            text += &format!("note: {note}\n");
        }
        if let Some(GoesOn { job_id, began_at, done, total, .. }) = &self.goes_on {
            text += &format!(
                "goes on with {job_id}, begun at {began_at} (UTC), with its plan: {done} of {total} messages are done; --anew makes \
                 a new one\n"
            );
        }
        text
    }
}

fn estimate_text(messages: u64, estimate: &Estimate) -> String {
    let rows: u64 = estimate.rows_there.values().sum();
    let Estimate { bytes, seconds, judged_by, .. } = estimate;
    let mut text =
        format!("at most {messages} messages (markers of transactions count), {rows} rows of them are there");
    if let Some(bytes) = bytes {
        text += &format!(", about {}", indicatif::HumanBytes(*bytes));
    }
    if let Some(seconds) = seconds {
        text += &format!(", about {}", humantime::format_duration(std::time::Duration::from_secs(*seconds)));
    }
    format!("{text}\n  estimated by {judged_by}\n")
}

impl Done {
    /// Of a job that has ended, and where.
    pub fn of(row: &JobRow, reached: Reached) -> Self {
        Self { job_id: row.job_id.to_string(), state: row.state, rows_written: reached.sums.written, reached }
    }

    fn text(&self) -> String {
        let Reached { sums, skipped, refused, named, left_out, pass, .. } = &self.reached;
        let mut text = format!(
            "{} rows written, {} were there; {} messages done",
            sums.written, sums.already_there, sums.done
        );
        if *pass > 0 {
            text += &format!(", those that waited for others in {pass} more passes");
        }
        text.push('\n');
        for (reason, messages) in skipped {
            text += &format!("  {messages} messages make no rows: {reason}\n");
        }
        let known = sums.letters.saturating_sub(*refused);
        if known > 0 {
            text +=
                &format!("  {known} messages are dead letters, open or discarded, and left to `nova dlq`\n");
        }
        if *refused > 0 {
            text += &format!("  {refused} messages cannot become rows today:\n");
            for named in named {
                text += &format!("    {}: {}\n", named.message, named.reason);
            }
        }
        if *left_out > 0 {
            text += &format!("  {left_out} messages were left out: their keys would be there twice\n");
        }
        text
    }

    /// The end of the command: not all of it may be in the table.
    pub fn verdict(&self, elsewhere: bool) -> Outcome {
        let Reached { refused, left_out, .. } = self.reached;
        let (mut what, mut cure) = (Vec::new(), Vec::new());
        if refused > 0 {
            what.push(format!("{refused} messages cannot become rows"));
            cure.push(if elsewhere {
                "Correct the table, or the stream."
            } else {
                "`nova dlq list` shows those that were put aside, and `nova dlq retry` takes them up again."
            });
        }
        if left_out > 0 {
            what.push(format!("{left_out} messages were left out, since their keys would be there twice"));
            cure.push(
                "A snapshot or a repair has made them good, or messages of the same keys lie outside of the range: \
                 `nova reconcile` tells whether the states are right.",
            );
        }
        if what.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Exit::Partial, format!("all is written but: {}", what.join("; ")))
            .with_cure(cure.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::bounds::Part;
    use super::super::work::Named;
    use super::*;
    use crate::job::{Sums, tests::row};

    fn report() -> Report {
        let plan = Plan {
            topic: "cdc.likes".to_owned(),
            group: "nova-likes".to_owned(),
            table: "events".to_owned(),
            elsewhere: false,
            parts: vec![Part { partition: 3, from: 10, to: 30 }],
            chunk_rows: 100,
            notes: vec!["it ends where".to_owned()],
        };
        let estimate = Estimate {
            rows_there: BTreeMap::from([(3, 7)]),
            bytes: Some(4_096),
            seconds: Some(65),
            judged_by: "a sample".to_owned(),
        };
        Report { stream: "likes".to_owned(), plan, estimate: Some(estimate), goes_on: None, result: None }
    }

    #[test]
    fn a_plan_says_range_size_time_and_what_is_there() {
        let mut report = report();
        assert_eq!(
            report.plan_text(),
            "replay of stream likes: what `events` lacks of cdc.likes\n  \
             partition  from  to  messages  rows there\n          3    10  30        20  7\n\
             at most 20 messages (markers of transactions count), 7 rows of them are there, about 4.00 KiB, about 1m 5s\n  \
             estimated by a sample\nnote: it ends where\n"
        );
        report.goes_on = Some(GoesOn::of(&JobRow { done: 12, total: 20, ..row() }));
        report.estimate = None;
        let text = report.plan_text();
        assert!(text.contains("12 of 20 messages are done; --anew") && text.contains("20  -\n"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["plan"]["parts"][0]["to"], &json["goes_on"]["done"]), (&30.into(), &12.into()));
    }

    #[test]
    fn a_result_names_what_is_not_in_the_table() {
        let sums = Sums { done: 20, written: 5, already_there: 7, skipped: 1, letters: 3 };
        let reached = Reached {
            sums,
            skipped: BTreeMap::from([("tombstone".to_owned(), 1)]),
            refused: 1,
            named: vec![Named { message: "cdc.likes/3/12".to_owned(), reason: "no JSON".to_owned() }],
            ..Reached::default()
        };
        let mut done = Done::of(&row(), reached);
        let text = done.text();
        for word in ["5 rows written, 7 were there; 20 messages", "1 messages make no rows: tombstone"] {
            assert!(text.contains(word), "{text}");
        }
        assert!(
            text.contains("2 messages are dead letters") && text.contains("cdc.likes/3/12: no JSON"),
            "{text}"
        );
        let failure = done.verdict(false).unwrap_err();
        assert_eq!(failure.exit, Exit::Partial);
        assert!(
            failure.cure.contains("nova dlq retry") && !failure.message.contains("left out"),
            "{failure}"
        );
        (done.reached.refused, done.reached.left_out) = (0, 2);
        let failure = done.verdict(false).unwrap_err();
        assert!(failure.cure.contains("`nova reconcile`"), "{}", failure.cure);
        done.reached.left_out = 0;
        assert!(done.verdict(false).is_ok());
    }
}
