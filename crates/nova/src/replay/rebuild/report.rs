//! What a rebuild says: what lies around before, what was done after; for people or as one JSON document.

use nova_clickhouse::JobRow;
use nova_clickhouse::rebuild::{Exchanged, Month, View, views_over};
use nova_pipeline::PipelineError;
use serde::Serialize;
use uuid::Uuid;

use super::check::Check;
use super::live::{Seen, look};
use super::work::Found;
use super::{GoesOn, Plan, Reached, Site};
use crate::cli::Output;
use crate::exit::{Exit, Failure, Outcome};
use crate::table::table;

/// What a rebuild meets.
#[derive(Debug, Serialize)]
pub struct Surroundings {
    /// Partitions of the table that have rows of the range.
    pub months: Vec<Month>,
    /// Streams that write into the table.
    pub writers: Vec<String>,
    /// By which mapping the live worker writes.
    pub live: Seen,
    /// Materialized views over the table.
    pub views: Vec<View>,
    /// What other rebuilds of the table have left behind.
    pub left_behind: Vec<String>,
}

/// Everything that is said.
#[derive(Debug, Serialize)]
pub struct Report {
    stream: String,
    mode: &'static str,
    /// The range.
    pub plan: Plan,
    /// What the rebuild meets.
    pub surroundings: Surroundings,
    goes_on: Option<GoesOn>,
    job_id: Option<String>,
    filled_rows: u64,
    refused_messages: u64,
    check: Option<Check>,
    exchanged: Vec<Exchanged>,
    refreshed: Vec<String>,
    stale: Vec<String>,
}

impl Surroundings {
    /// Asks both servers; nothing is changed.
    pub async fn look(site: &Site<'_>, plan: &Plan, earlier: Option<&JobRow>) -> Result<Self, Failure> {
        let shadow = site.shadow(plan, earlier.map_or(Uuid::nil(), |row| row.job_id)).await?;
        let mapping = site.mapping()?;
        Ok(Self {
            months: shadow.months().await.map_err(PipelineError::from)?,
            writers: site.writers.names().into_iter().map(str::to_owned).collect(),
            live: look(&site.writers, site.stream, mapping.fingerprint()).await?,
            views: views_over(&site.client, &site.stream.table).await.map_err(PipelineError::from)?,
            left_behind: shadow.left_behind().await.map_err(PipelineError::from)?,
        })
    }

    fn text(&self) -> String {
        let row =
            |month: &Month| vec![month.partition.clone(), month.rows.to_string(), month.others.to_string()];
        let rows: Vec<Vec<String>> = self.months.iter().map(row).collect();
        let mut text = if rows.is_empty() {
            "the table has no row of the range\n".to_owned()
        } else {
            table(&["partition", "rows of the range", "others, carried over"], &rows)
        };
        text += &format!("streams that write into the table: {}\n", self.writers.join(", "));
        let named = |refreshable| {
            let views = self.views.iter().filter(|view| view.refreshable == refreshable);
            views.map(|view| view.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        if !named(true).is_empty() {
            text += &format!("views that are made anew at the end: {}\n", named(true));
        }
        if !named(false).is_empty() {
            text += &format!(
                "note: {} take rows as they are inserted: an exchange does not reach them\n",
                named(false)
            );
        }
        match self.live {
            Seen::Same => {}
            Seen::Another => text += "note: a worker of the stream writes by another mapping: deploy first\n",
            Seen::Nothing => {
                text += "note: no batch of the stream was open, so it is not known by which mapping its workers write; \
                         be sure that they were restarted with this one\n";
            }
        }
        for name in &self.left_behind {
            text += &format!(
                "note: `{name}` is left of another rebuild; drop it when nobody goes on with that one\n"
            );
        }
        text
    }
}

impl Report {
    /// Before anything is done.
    pub fn new(stream: &str, plan: Plan, surroundings: Surroundings, goes_on: Option<GoesOn>) -> Self {
        Self {
            stream: stream.to_owned(),
            mode: "rebuild",
            plan,
            surroundings,
            goes_on,
            job_id: None,
            filled_rows: 0,
            refused_messages: 0,
            check: None,
            exchanged: Vec::new(),
            refreshed: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// Takes in what was done.
    pub fn done(&mut self, row: &JobRow, found: Found, filled: &Reached) {
        let Found { check, exchanged, refreshed, stale } = found;
        self.job_id = Some(row.job_id.to_string());
        self.filled_rows = filled.sums.written;
        self.refused_messages = filled.refused;
        (self.check, self.exchanged, self.refreshed, self.stale) = (check, exchanged, refreshed, stale);
    }

    /// Says the plan, for people; as JSON nothing is said until the end.
    pub fn print_plan(&self, form: Output) {
        if form == Output::Table {
            print!("{}", self.plan_text());
        }
    }

    fn plan_text(&self) -> String {
        let Plan { topic, table: target, parts, notes, .. } = &self.plan;
        let mut text = format!("rebuild of stream {}: rows of {topic} in `{target}`\n", self.stream);
        let row = |part: &super::Part| {
            [i64::from(part.partition), part.from, part.to, part.to - part.from]
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
        if !rows.is_empty() {
            text += &table(&["partition", "from", "to", "messages"], &rows);
        }
        text += &self.surroundings.text();
        for note in notes {
            text += &format!("note: {note}\n");
        }
        if let Some(GoesOn { job_id, began_at, done, total, .. }) = &self.goes_on {
            text += &format!(
                "goes on with {job_id}, begun at {began_at} (UTC), with its plan: {done} of {total} messages are filled in\n"
            );
        }
        text
    }

    /// Says that nothing was done, or what was.
    pub fn print_end(&self, form: Output) -> Outcome {
        match (form, &self.job_id) {
            (Output::Json, _) => {
                let text = serde_json::to_string_pretty(self);
                println!("{}", text.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?);
            }
            (Output::Table, Some(_)) => print!("{}", self.end_text()),
            (Output::Table, None) if self.plan.parts.is_empty() => {
                println!("nothing lies there: there is nothing to do")
            }
            (Output::Table, None) => println!("nothing was done; the same command with --execute does it"),
        }
        Ok(())
    }

    fn end_text(&self) -> String {
        let mut text = format!("{} rows made anew\n", self.filled_rows);
        text += &self.check.as_ref().map(Check::text).unwrap_or_default();
        if !self.exchanged.is_empty() {
            let months: Vec<&str> = self.exchanged.iter().map(|month| month.partition.as_str()).collect();
            text += &format!("exchanged: {}\n", months.join(", "));
        }
        if !self.refreshed.is_empty() {
            text += &format!("views made anew: {}\n", self.refreshed.join(", "));
        }
        text
    }

    /// The end of the command, where nothing failed.
    pub fn verdict(&self) -> Outcome {
        let (mut what, mut cure) = (Vec::new(), Vec::new());
        if self.refused_messages > 0 {
            what.push(format!("{} messages cannot become rows today", self.refused_messages));
            cure.push("`nova audit` names them.");
        }
        if !self.stale.is_empty() {
            what.push(format!("views could not be made anew: {}", self.stale.join("; ")));
            cure.push("They try again by themselves; `SYSTEM REFRESH VIEW` does it now.");
        }
        if what.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Exit::Partial, format!("all is exchanged, but {}", what.join(", and ")))
            .with_cure(cure.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;

    fn report() -> Report {
        let plan = Plan {
            topic: "cdc.likes".to_owned(),
            group: "nova-likes".to_owned(),
            table: "events".to_owned(),
            elsewhere: false,
            parts: vec![Part { partition: 3, from: 10, to: 30 }],
            chunk_rows: 100,
            notes: Vec::new(),
        };
        let view = |name: &str, refreshable| View { name: name.to_owned(), refreshable };
        let surroundings = Surroundings {
            months: vec![Month { partition: "202601".to_owned(), rows: 7, others: 9 }],
            writers: vec!["comments".to_owned(), "likes".to_owned()],
            live: Seen::Nothing,
            views: vec![view("top", true), view("sums", false)],
            left_behind: vec!["events__rebuild_0".to_owned()],
        };
        Report::new("likes", plan, surroundings, None)
    }

    #[test]
    fn a_plan_names_what_lies_around_and_what_is_not_reached() {
        let text = report().plan_text();
        for words in [
            "202601                  7",
            "comments, likes",
            "anew at the end: top",
            "sums take rows",
            "restarted",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.contains("3    10  30  20") && text.contains("`events__rebuild_0` is left"), "{text}");
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!((&json["mode"], &json["surroundings"]["live"]), (&"rebuild".into(), &"nothing".into()));
    }

    #[test]
    fn what_is_left_to_do_has_an_exit_code() {
        let mut report = report();
        assert!(report.verdict().is_ok());
        report.stale.push("top: no dictionary".to_owned());
        let failure = report.verdict().unwrap_err();
        assert!(failure.exit == Exit::Partial && failure.message.contains("no dictionary"), "{failure:?}");
        report.exchanged.push(Exchanged { partition: "202601".to_owned(), before: 7, after: 6 });
        assert!(report.end_text().contains("exchanged: 202601"));
    }
}
