//! The Dockerfile: read by dockerfile-utils (<https://github.com/rcjsuen/dockerfile-utils>), which knows every instruction and
//! its arguments, and held to what the image promises.
//!
//! Invariant: the image runs as an ordinary user, and `nova` is all that it starts.

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::process::Command;

use super::rules::is_pinned;
use crate::artifacts::Cache;
use crate::workspace;

const FILE: &str = "deploy/docker/Dockerfile";

/// What `lint --json` writes for each mistake; lines count from 0.
#[derive(Debug, Deserialize)]
struct Mistake {
    message: String,
    range: Range,
}

#[derive(Debug, Deserialize)]
struct Range {
    start: Position,
}

#[derive(Debug, Deserialize)]
struct Position {
    line: u32,
}

/// What is wrong with the Dockerfile.
pub(super) async fn findings(cache: &Cache) -> Result<Vec<String>> {
    let file = workspace::root().join(FILE);
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut command = Command::new("node");
    command.arg(cache.dockerfile_utils().await?).args(["lint", "--json"]).arg(&file).kill_on_drop(true);
    // It exits with 1 when it finds something.
    let output = command.output().await.context("node could not be run")?;
    let mistakes: Vec<Mistake> = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("dockerfile-utils writes no report: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    let mistakes = mistakes.iter().map(|one| format!("line {}: {}", one.range.start.line + 1, one.message));
    let findings = mistakes.chain(of_image(&text));
    Ok(findings.map(|finding| format!("{FILE}: {finding}")).collect())
}

/// What the image lacks.
fn of_image(text: &str) -> Vec<String> {
    let stages: Vec<&str> = values(text, "FROM").collect();
    let mut findings: Vec<String> = stages
        .iter()
        .filter(|stage| !is_pinned(stage.split_whitespace().next().unwrap_or_default()))
        .map(|stage| format!("FROM {stage}: no tag, or `latest`"))
        .collect();
    if stages.len() < 2 {
        findings.push("one stage: the image would hold the compiler".to_owned());
    }
    let user = values(text, "USER").last().unwrap_or_default();
    if ["", "0", "root"].contains(&user.split(':').next().unwrap_or_default()) {
        findings.push("it runs as root; end with USER 65532:65532".to_owned());
    }
    if values(text, "ENTRYPOINT").last() != Some(r#"["/usr/local/bin/nova"]"#) {
        findings.push("its entry point is not nova".to_owned());
    }
    findings
}

/// The arguments of each line with the instruction.
fn values<'t>(text: &'t str, instruction: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| Some(line.strip_prefix(instruction)?.strip_prefix(' ')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_promise_is_missed_by_name() {
        let text = std::fs::read_to_string(workspace::root().join(FILE)).unwrap();
        assert_eq!(of_image(&text), Vec::<String>::new());
        for (from, to, finding) in [
            ("USER 65532:65532", "USER root", "runs as root"),
            ("FROM debian:trixie-slim", "FROM debian", "no tag"),
            ("ENTRYPOINT [\"/usr/local/bin/nova\"]", "CMD nova", "entry point"),
        ] {
            let found = of_image(&text.replace(from, to));
            assert!(found.len() == 1 && found[0].contains(finding), "{found:?}");
        }
    }
}
