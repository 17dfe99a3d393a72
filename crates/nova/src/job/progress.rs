//! How far a job is, on stderr: a bar on a terminal, elsewhere a line every ten seconds.

use std::time::Duration;

use indicatif::HumanDuration;
use nova_clickhouse::JobRow;
use tokio::time::Instant;

use crate::bar::Bar;

/// How often a bar moves.
const BAR: Duration = Duration::from_millis(200);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// What there is to tell.
#[derive(Debug, Clone)]
pub struct View {
    /// The job as it stands.
    pub row: JobRow,
    /// Units done when this process began.
    pub before: u64,
    /// How long this process has been at it.
    pub elapsed: Duration,
    /// The live stream's lag, in messages.
    pub lag: Option<i64>,
    /// Rows a second at most.
    pub limit: Option<f64>,
    /// Whether that is for the live stream's sake.
    pub held_back: bool,
    /// What it waits for.
    pub waiting: Option<String>,
}

impl View {
    /// Units a second.
    fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let done = self.row.done.saturating_sub(self.before) as f64;
        done / self.elapsed.as_secs_f64().max(0.001)
    }

    /// The time that is left at this rate; none while nothing has been done.
    fn left(&self) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let left = self.row.total.saturating_sub(self.row.done) as f64;
        Some(self.rate())
            .filter(|rate| *rate > 0.0)
            .and_then(|rate| Duration::try_from_secs_f64(left / rate).ok())
    }

    /// Everything behind the bar.
    fn words(&self) -> String {
        let JobRow { done, total, unit, written, already_there, .. } = &self.row;
        let mut words = format!("{done}/{total} {unit}, {:.0}/s", self.rate());
        if let Some(left) = self.left().filter(|left| !left.is_zero()) {
            words += &format!(", {} left", HumanDuration(Duration::from_secs(left.as_secs())));
        }
        words += &format!("; {written} rows written, {already_there} there");
        if let Some(lag) = self.lag {
            words += &format!("; live lag {lag}");
        }
        if let Some(limit) = self.limit {
            let why = if self.held_back { ": stepping back for the live stream" } else { "" };
            words += &format!("; at most {limit:.0} rows/s{why}");
        }
        if let Some(waiting) = &self.waiting {
            words += &format!("; WAITING: {waiting}");
        }
        words
    }
}

/// Shown until dropped.
pub struct Shown {
    bar: Bar,
    name: String,
    last: Instant,
}

impl Shown {
    /// For the job of this name, `replay likes`.
    pub fn start(name: String) -> Self {
        let bar = Bar::counting(0, "{prefix} {bar:20} {percent}% {wide_msg}");
        bar.set_prefix(name.clone());
        Self { bar, name, last: Instant::now() }
    }

    /// How long to wait until the next look.
    pub fn every(&self) -> Duration {
        if self.bar.is_hidden() { LINE } else { BAR }
    }

    /// Shows how it is.
    pub fn show(&mut self, view: &View) {
        if !self.bar.is_hidden() {
            self.bar.set_length(view.row.total);
            self.bar.set_position(view.row.done);
            self.bar.set_message(view.words());
        } else if self.last.elapsed() >= LINE {
            eprintln!("{}: {}", self.name, view.words());
            self.last = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::row;

    #[test]
    fn rate_rest_and_what_holds_it_up_are_told() {
        let mut view = View {
            row: JobRow { done: 3_000, total: 10_000, written: 20, already_there: 30, ..row() },
            before: 1_000,
            elapsed: Duration::from_secs(2),
            lag: None,
            limit: None,
            held_back: false,
            waiting: None,
        };
        let text = view.words();
        assert_eq!(text, "3000/10000 messages, 1000/s, 7 seconds left; 20 rows written, 30 there");
        view.lag = Some(17);
        view.limit = Some(499.6);
        view.held_back = true;
        view.waiting = Some("ClickHouse is away".to_owned());
        let text = view.words();
        let end = "; live lag 17; at most 500 rows/s: stepping back for the live stream; WAITING: ClickHouse is away";
        assert!(text.ends_with(end), "{text}");
        view.row.done = 1_000;
        assert!(!view.words().contains("left"), "nothing is known yet");
    }
}
