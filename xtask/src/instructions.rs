//! `cargo xtask instructions`: the instructions that the hot path takes for one message, counted by callgrind.
//!
//! Times vary on shared machines; counts vary with the code, the compiler and the C library only, so they can be held
//! to a baseline. Beside Nova's own steps stands `serde_json` reading the same fields of the same messages.
//!
//! Invariant: a count further than `TOLERANCE` from its baseline fails, also below it: an improvement that is not
//! recorded would hide the next decline.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{command, say, workspace};

/// How far a count may be from its baseline.
const TOLERANCE: f64 = 0.05;
/// What the change most often seen may cost in decoding and mapping, against serde alone.
const LIMIT: f64 = 0.7;
const BASELINE: &str = "crates/nova-streams/examples/hot_path/baseline.tsv";
/// The contestant that all others are measured against; it runs first in each case.
const YARDSTICK: &str = "serde_json";
/// The function that callgrind counts in; it writes a dump whenever that ends.
const COUNTED: &str = "hot_path::measured_messages";

/// One line of the result: instructions per message.
#[derive(Debug, Clone, PartialEq)]
struct Count {
    case: String,
    contestant: String,
    /// Mean size of a message.
    bytes: u64,
    instructions: f64,
}

/// Counts, prints the table, and compares with the baseline or, if `record`, writes a new one. Without valgrind the
/// reason is printed and nothing is counted.
///
/// # Errors
/// The program does not build or run, or a count differs; all that differ are named.
pub async fn run(record: bool) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().await.is_err() {
        say("instructions: skipped, since there is no valgrind on PATH (apt-get install valgrind)");
        return Ok(());
    }
    let program = workspace::build_release("nova-streams", "--example", "hot_path", "").await?;
    let counts = count(&program).await?;
    say(&format!("instructions per message\n{}", table(&counts)));
    let baseline = workspace::root().join(BASELINE);
    if record {
        return std::fs::write(&baseline, written(&counts))
            .with_context(|| format!("{} could not be written", baseline.display()));
    }
    let text = std::fs::read_to_string(&baseline).with_context(|| {
        format!("{}: record one with `cargo xtask instructions --record`", baseline.display())
    })?;
    let findings = findings(&counts, &parse_baseline(&text));
    if findings.is_empty() {
        return Ok(());
    }
    bail!(
        "the hot path's instructions are not those of {BASELINE}:\n{}\nIf that is meant (or {YARDSTICK} moved too, so \
         the compiler did), record them: cargo xtask instructions --record",
        findings.join("\n")
    )
}

async fn count(program: &Path) -> Result<Vec<Count>> {
    let dir = tempfile::tempdir().context("no temporary folder for callgrind's dumps")?;
    let dumps = dir.path().join("dump");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--callgrind-out-file={}", dumps.display()))
        .args([format!("--toggle-collect={COUNTED}"), format!("--dump-after={COUNTED}")])
        .arg(program);
    let output = command::run("counting instructions", &mut valgrind).await?;
    let lines = String::from_utf8(output.stdout).context("the program's lines are no UTF-8")?;
    let read = |(index, line): (usize, &str)| {
        let dump = PathBuf::from(format!("{}.{}", dumps.display(), index + 1));
        let text = std::fs::read_to_string(&dump)
            .with_context(|| format!("callgrind wrote no dump {} for `{line}`", dump.display()))?;
        one(line, &text).with_context(|| format!("line `{line}` and {} do not fit", dump.display()))
    };
    lines.lines().enumerate().map(read).collect()
}

/// A count from the program's line (case, contestant, messages, bytes) and callgrind's dump.
fn one(line: &str, dump: &str) -> Option<Count> {
    let [case, contestant, messages, bytes] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let total = |line: &str| {
        let total = line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: "))?;
        total.trim().parse::<f64>().ok()
    };
    let instructions = dump.lines().find_map(total)? / messages.parse::<f64>().ok()?;
    Some(Count { case: case.into(), contestant: contestant.into(), bytes: bytes.parse().ok()?, instructions })
}

fn yardstick(counts: &[Count], case: &str) -> f64 {
    let found = counts.iter().find(|count| count.case == case && count.contestant == YARDSTICK);
    found.map_or(f64::NAN, |count| count.instructions)
}

fn table(counts: &[Count]) -> String {
    let mut text =
        format!("{:<24}{:<20}{:>6}{:>14}{:>8}\n", "message", "work", "bytes", "instructions", "ratio");
    for count in counts {
        let Count { case, contestant, bytes, instructions } = count;
        let ratio = instructions / yardstick(counts, case);
        let _written = writeln!(text, "{case:<24}{contestant:<20}{bytes:>6}{instructions:>14.0}{ratio:>8.2}");
    }
    text
}

fn written(counts: &[Count]) -> String {
    let line = |count: &Count| format!("{}\t{}\t{:.0}\n", count.case, count.contestant, count.instructions);
    counts.iter().map(line).collect()
}

fn parse_baseline(text: &str) -> BTreeMap<(&str, &str), f64> {
    text.lines()
        .filter_map(|line| {
            let (case, rest) = line.split_once('\t')?;
            let (contestant, instructions) = rest.split_once('\t')?;
            Some(((case, contestant), instructions.parse().ok()?))
        })
        .collect()
}

/// Every count that is missing on one side or too far from its baseline, and a ratio above the limit.
fn findings(counts: &[Count], baseline: &BTreeMap<(&str, &str), f64>) -> Vec<String> {
    let mut findings = Vec::new();
    for Count { case, contestant, instructions, .. } in counts {
        match baseline.get(&(case.as_str(), contestant.as_str())) {
            None => findings.push(format!("{case}, {contestant}: {instructions:.0}, and no baseline")),
            Some(expected) if (instructions / expected - 1.0).abs() > TOLERANCE => {
                let change = (instructions / expected - 1.0) * 100.0;
                findings.push(format!(
                    "{case}, {contestant}: {instructions:.0} instead of {expected:.0} ({change:+.1} %)"
                ));
            }
            Some(_) => {}
        }
        let ratio = instructions / yardstick(counts, case);
        if case == "mixed" && contestant == "decode+map" && ratio > LIMIT {
            findings.push(format!("{case}, {contestant}: {ratio:.2} of {YARDSTICK}, more than {LIMIT}"));
        }
    }
    if counts.len() != baseline.len() {
        findings.push(format!("{} counts, and {} in the baseline", counts.len(), baseline.len()));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(nova: f64) -> Vec<Count> {
        let dump = |instructions: f64| format!("part: 1\nevents: Ir\nsummary: {instructions}\n\nfn=(1)\n");
        vec![
            one("mixed\tserde_json\t10\t757", &dump(10_000.0)).unwrap(),
            one("mixed\tdecode+map\t10\t757", &dump(nova * 10.0)).unwrap(),
        ]
    }

    #[test]
    fn what_was_recorded_is_found_again() {
        let recorded = written(&counts(600.0));
        assert_eq!(recorded, "mixed\tserde_json\t1000\nmixed\tdecode+map\t600\n");
        let baseline = parse_baseline(&recorded);
        assert!(findings(&counts(625.0), &baseline).is_empty());
        for (nova, finding) in [(640.0, "640 instead of 600 (+6.7 %)"), (560.0, "(-6.7 %)")] {
            let found = findings(&counts(nova), &baseline);
            assert!(found.len() == 1 && found[0].contains(finding), "{found:?}");
        }
        assert!(findings(&counts(710.0), &baseline)[1].contains("0.71 of serde_json, more than 0.7"));
        assert_eq!(findings(&counts(600.0)[..1], &baseline), ["1 counts, and 2 in the baseline"]);
        assert!(table(&counts(600.0)).ends_with("600    0.60\n"));
    }
}
