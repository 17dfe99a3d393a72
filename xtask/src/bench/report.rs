//! What a measurement found: figures, ratios and whether these are what they must be; as Markdown and as JSON.

use std::fmt::{self, Write as _};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use super::spread::Spread;
use crate::workspace;

/// The result of one measurement.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Its name in the JSON and in the marks of the document.
    pub(super) name: String,
    /// What was measured, in a sentence.
    pub(super) conditions: String,
    /// The head of the table of figures, without the first column.
    pub(super) columns: Vec<&'static str>,
    /// Its lines: who, and a cell for each column.
    pub(super) lines: Vec<(String, Vec<String>)>,
    /// What is required.
    pub(super) requirements: Vec<Requirement>,
    /// Every figure of every round.
    pub(super) rounds: Value,
}

/// A figure that must keep to a bound.
#[derive(Debug)]
pub(super) struct Requirement {
    pub(super) what: String,
    pub(super) found: Spread,
    pub(super) bound: Bound,
}

/// What a median must keep to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// A ratio this far from 1 at most.
    Within(f64),
    /// Nothing is required; the figure is worth knowing.
    None,
}

impl Bound {
    fn holds(self, found: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(found >= least),
            Self::AtMost(most) => Some(found <= most),
            Self::Within(far) => Some((found - 1.0).abs() <= far),
            Self::None => None,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::Within(far) => write!(f, "{}–{}", 1.0 - far, 1.0 + far),
            Self::None => f.write_str("–"),
        }
    }
}

impl Requirement {
    /// `None` if there are no figures.
    pub(super) fn new(what: impl Into<String>, found: Vec<f64>, bound: Bound) -> Option<Self> {
        Spread::of(found).map(|found| Self { what: what.into(), found, bound })
    }
}

impl Outcome {
    pub(super) fn json(&self) -> Value {
        let requirements = self.requirements.iter().map(|Requirement { what, found, bound }| {
            let holds = bound.holds(found.median);
            json!({ "what": what, "found": found, "required": bound.to_string(), "holds": holds })
        });
        let requirements = requirements.collect::<Vec<_>>();
        json!({ "conditions": self.conditions, "requirements": requirements, "rounds": self.rounds })
    }

    /// The tables, and above them when, where and of what they are.
    pub(super) fn markdown(&self, place: &Place) -> String {
        let mut text = format!("{}; {place}.\n\n", self.conditions);
        let _written = writeln!(text, "| | {} |", self.columns.join(" | "));
        let _written = writeln!(text, "| --- |{}", " ---: |".repeat(self.columns.len()));
        for (who, cells) in &self.lines {
            let _written = writeln!(text, "| {who} | {} |", cells.join(" | "));
        }
        if !self.requirements.is_empty() {
            text.push_str("\n| | found | aim | |\n| --- | ---: | ---: | --- |\n");
        }
        for Requirement { what, found, bound } in &self.requirements {
            let word = match bound.holds(found.median) {
                Some(true) => "reached",
                Some(false) => "**not reached**",
                None => "",
            };
            let _written = writeln!(text, "| {what} | {found} | {bound} | {word} |");
        }
        text
    }
}

/// Where and of what the figures are.
#[derive(Debug)]
pub(super) struct Place {
    commit: String,
    machine: String,
}

impl Place {
    /// This machine, and the workspace's commit; `-dirty` when what is measured differs from it.
    pub(super) async fn find() -> Result<Self> {
        let commit = git(&["rev-parse", "--short=7", "HEAD"]).await?;
        // The documents are written by the measuring itself.
        let changed =
            git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs"]).await?;
        let processors = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let memory = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        let dirty = if changed.is_empty() { "" } else { "-dirty" };
        Ok(Self { commit: format!("{commit}{dirty}"), machine: machine(&processors, &memory) })
    }

    pub(super) fn json(&self) -> Value {
        json!({ "commit": self.commit, "machine": self.machine })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commit {}, {}", self.commit, self.machine)
    }
}

async fn git(args: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    let output =
        crate::command::run("the commit that is measured", git.args(args).current_dir(workspace::root()));
    Ok(String::from_utf8_lossy(&output.await?.stdout).trim().to_owned())
}

fn machine(processors: &str, memory: &str) -> String {
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    let gib = kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or_default() >> 20;
    format!("{cores} cores ({model}), {gib} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_beyond_its_bound_is_told() {
        let requirements = vec![
            Requirement::new("nova / engine", vec![5.0, 7.0, 6.5], Bound::AtLeast(6.0)).unwrap(),
            Requirement::new("per change", vec![1.2], Bound::Within(0.15)).unwrap(),
            Requirement::new("size", vec![1.0], Bound::None).unwrap(),
        ];
        let outcome = Outcome {
            name: "drain".into(),
            conditions: "10 changes".into(),
            columns: vec!["seconds", "CPU s"],
            lines: vec![("nova".into(), vec!["1.0".into(), "2.0".into()])],
            requirements,
            rounds: json!({}),
        };
        let place = Place { commit: "abc".into(), machine: "2 cores (X), 3 GiB".into() };
        let text = outcome.markdown(&place);
        for line in [
            "10 changes; commit abc, 2 cores (X), 3 GiB.",
            "| --- | ---: | ---: |",
            "| nova | 1.0 | 2.0 |",
            "| nova / engine | 6.50 (5.00–7.00) | ≥ 6 | reached |",
            "| per change | 1.20 (1.20–1.20) | 0.85–1.15 | **not reached** |",
            "| size | 1.00 (1.00–1.00) | – |  |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert_eq!(outcome.json()["requirements"][1]["holds"], false);
    }

    #[test]
    fn the_machine_is_what_the_kernel_says() {
        let processors = "processor\t: 0\nmodel name\t: Fast X\nprocessor\t: 1\nmodel name\t: Fast X\n";
        assert_eq!(machine(processors, "MemTotal:       25165824 kB\n"), "2 cores (Fast X), 24 GiB");
    }
}
