//! What of the facts is not as it should be, and what to do about it.
//!
//! Invariant: a finding is a function of the facts alone, so that everybody who shows them finds the same; and each says
//! what to do.

use nova_reconcile::Verdict;
use serde::Serialize;

use super::standing::OPEN_SECONDS;
use super::{
    Asked, Comparison, Facts, JobFacts, JobStanding, Server, Standing, StreamFacts, Trouble, Unanswered,
};
use crate::doctor::{Check, Group, Level, slot_checks};
use crate::exit::{Exit, Failure};
use crate::words::{count, span};

const POSTGRES: Group = Group("PostgreSQL");
const CONNECT: Group = Group("Kafka Connect");
const KAFKA: Group = Group("Kafka");
const CLICKHOUSE: Group = Group("ClickHouse");
const STREAM: Group = Group("stream");
const LETTERS: Group = Group("dead letters");
const JOB: Group = Group("job");
const RECONCILE: Group = Group("reconcile");

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Where, what, and what to do.
    #[serde(flatten)]
    pub check: Check,
    /// What it means for the exit code, if it is a failure.
    #[serde(skip)]
    pub exit: Exit,
}

/// What the findings come to: the gravest decides, and the first of these is named.
///
/// # Errors
/// When one of them is a failure.
pub fn conclude(findings: &[Finding]) -> Result<(), Failure> {
    let failures: Vec<&Finding> = findings.iter().filter(|found| found.check.level == Level::Fail).collect();
    let gravest = [Exit::Unavailable, Exit::Failure, Exit::Differences, Exit::Partial];
    let first = gravest.iter().find_map(|exit| failures.iter().find(|found| found.exit == *exit));
    let Some(Finding { check, exit }) = first else { return Ok(()) };
    let others = match failures.len() {
        1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    let message = format!("{} {}: {}{others}", check.group, check.name, check.finding);
    Err(Failure::new(*exit, message).with_cure(check.cure.clone()))
}

pub(super) fn of(facts: &Facts) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    found.server(POSTGRES, facts.postgres.as_ref(), "Start PostgreSQL, or correct [postgres].");
    found.server(CONNECT, facts.connect.as_ref(), "Start Kafka Connect, or correct connect.url.");
    if let Some(connector) = facts.connect.as_ref().and_then(|server| server.answer.known())
        && let Some(Trouble { what, cure, pending }) = &connector.trouble
    {
        let exit = if *pending { Exit::Unavailable } else { Exit::Failure };
        found.add(exit, CONNECT.fail(&connector.connector, what, cure));
    }
    found.server(KAFKA, Some(&facts.kafka), "Start Kafka, or correct [kafka] (brokers, TLS, SASL).");
    found.server(CLICKHOUSE, Some(&facts.clickhouse), "Start ClickHouse, or correct [clickhouse].");
    // Behind the servers: nobody reads the slot while one of them is away, and that comes first.
    let slot = facts.postgres.as_ref().and_then(|server| server.answer.known()).map(|postgres| {
        let checks = slot_checks(&postgres.slot_name, postgres.slot.as_ref());
        checks.into_iter().filter(|check| check.level != Level::Ok)
    });
    found.0.extend(slot.into_iter().flatten().map(|check| Finding { check, exit: Exit::Failure }));
    for stream in &facts.streams {
        found.stream(stream);
    }
    found.letters(facts);
    found.jobs(&facts.jobs);
    found.comparisons(facts);
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, exit: Exit, check: Check) {
        self.0.push(Finding { check, exit });
    }

    fn server<T>(&mut self, group: Group, server: Option<&Server<T>>, cure: &str) {
        match server.and_then(|server| server.answer.error()) {
            None => {}
            Some(Unanswered { error, away: true }) => {
                self.add(Exit::Unavailable, group.unreachable("is away", error, cure));
            }
            Some(Unanswered { error, .. }) => {
                let cure = "`nova doctor` looks closer.";
                self.add(Exit::Failure, group.fail("refuses", error, cure));
            }
        }
    }

    /// What could not be asked although its server is there.
    fn unknown<T>(&mut self, group: Group, name: &str, asked: &Asked<T>) {
        if let Asked::Unknown(Unanswered { error, away: false }) = asked {
            let cure = "`nova doctor` looks closer.";
            self.add(Exit::Partial, group.fail(name, format!("not known: {error}"), cure));
        }
    }

    fn stream(&mut self, facts: &StreamFacts) {
        let name = facts.lag.named.stream.as_str();
        self.unknown(STREAM, name, &facts.lag.standing);
        let Asked::Known(standing) = &facts.lag.standing else { return };
        let worst = standing.worst();
        if let Some(worst) = worst.filter(|at| at.state.needs_decision()) {
            let halted = standing.partitions.iter().filter(|at| at.state.needs_decision()).count();
            let finding = format!(
                "halts at partition {}: {} ({halted} of {} partitions)",
                worst.partition,
                worst.state.words(),
                standing.partitions.len()
            );
            self.add(
                Exit::Differences,
                STREAM.fail(name, finding, worst.state.way_on(name, worst.partition)),
            );
            return;
        }
        self.readers(name, &facts.lag.named.worker, standing);
        if let Some(open) = worst.and_then(|at| at.open_seconds).filter(|open| *open > OPEN_SECONDS) {
            let finding = format!("a batch was announced {} ago and is not committed", span(open));
            let cure = "The log of its `nova run`, and /health/ready there, say what it waits for.";
            self.add(Exit::Failure, STREAM.warn(name, finding, cure));
        }
        if standing.retention_used() > 0.8 {
            let left = standing.hours_left().map_or("unknown".to_owned(), |hours| span(hours * 3600.0));
            let finding =
                format!("reads the oldest fifth of its topic, and retention deletes it; time left: {left}");
            let cure = "Speed the stream up, or raise the topic's retention.ms.";
            self.add(Exit::Failure, STREAM.warn(name, finding, cure));
        }
    }

    fn readers(&mut self, name: &str, worker: &str, standing: &Standing) {
        if standing.members.as_ref().is_none_or(|members| !members.is_empty()) {
            return;
        }
        let Some(behind) = standing.lag_seconds() else {
            let cure = format!("Start `nova run {worker}`.");
            self.add(Exit::Failure, STREAM.warn(name, "nobody reads it; all is read", cure));
            return;
        };
        let finding =
            format!("nobody reads it: {} unread, the oldest for {}", count(standing.unread()), span(behind));
        let cure = format!(
            "Start `nova run {worker}`; if it runs, the stream has halted, and its log and /health/ready say why."
        );
        self.add(Exit::Failure, STREAM.fail(name, finding, cure));
    }

    fn letters(&mut self, facts: &Facts) {
        self.unknown(LETTERS, "of the last 24 h", &facts.letters);
        if let Asked::Known(Some(letters)) = &facts.letters
            && letters.open > 0
        {
            let finding = format!("{} of {} open", letters.open, letters.letters);
            let cure = "`nova dlq list --open` shows the causes, `nova dlq retry` takes them up again.";
            self.add(Exit::Failure, LETTERS.warn("of the last 24 h", finding, cure));
        }
    }

    /// A job that somebody stopped is meant to stand.
    fn jobs(&mut self, jobs: &Asked<Vec<JobFacts>>) {
        self.unknown(JOB, "history", jobs);
        for job in jobs.known().into_iter().flatten() {
            let JobFacts { kind, stream, done, total, unit, reason, .. } = job;
            let finding = match job.standing {
                JobStanding::Interrupted => {
                    format!("was cut off after {done} of {total} {unit}, {} ago", span(job.heard_seconds))
                }
                JobStanding::Failed => format!("failed after {done} of {total} {unit}: {reason}"),
                JobStanding::Running | JobStanding::Stopped | JobStanding::Done => continue,
            };
            let cure = job.way_on.clone().unwrap_or_default();
            self.add(Exit::Partial, JOB.warn(format!("{kind} of {stream}"), finding, cure));
        }
    }

    fn comparisons(&mut self, facts: &Facts) {
        self.unknown(RECONCILE, "history", &facts.comparisons);
        for stream in &facts.streams {
            let name = &stream.lag.named.stream;
            if let Some(last) = facts.last_comparison(name) {
                self.comparison(name, last, facts.taken_ms);
            }
        }
    }

    fn comparison(&mut self, name: &str, last: &Comparison, now_ms: i64) {
        let ago = span(last.seconds_ago(now_ms));
        let again = format!("`nova reconcile --stream {name}` compares again and lists the keys.");
        match last.verdict {
            Verdict::Equal => {}
            Verdict::Different => {
                let finding = format!("{} keys differed {ago} ago", last.differences);
                self.add(Exit::Differences, RECONCILE.fail(name, finding, again));
            }
            Verdict::Explained => {
                let finding = format!("{} keys lacked dead letters {ago} ago", last.explained);
                self.add(Exit::Differences, RECONCILE.warn(name, finding, "`nova dlq list --open`."));
            }
            Verdict::Incomplete => {
                let finding = format!("not compared {ago} ago: {}", last.reason);
                self.add(Exit::Partial, RECONCILE.warn(name, finding, again));
            }
        }
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
