//! Running a short-lived tool to its end.
//!
//! Invariant: a tool that fails is reported with its full command line and the last lines it wrote.

use std::process::{Output, Stdio};

use anyhow::{Result, anyhow};
use tokio::process::Command;

use crate::stack::readiness::last_lines;

/// Runs `command`, which ends with us, and answers what it wrote.
///
/// # Errors
/// When it cannot be started or exits with another status than 0; `what` says what it was for.
pub(crate) async fn run(what: &str, command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let line = line_of(command);
    let output =
        command.output().await.map_err(|error| anyhow!("{what}: `{line}` could not be run: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(anyhow!("{what}: `{line}` failed ({}); its last lines:\n{}", output.status, last_lines(&text, 20)))
}

/// The command line as a person would type it.
fn line_of(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_shows_the_command_and_its_last_lines() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 7"]);
        let error = run("trying", &mut command).await.unwrap_err().to_string();
        assert!(
            error.starts_with("trying: `sh -c echo one; echo two >&2; exit 7` failed (exit status: 7)"),
            "{error}"
        );
        assert!(error.ends_with("  one\n  two"), "{error}");
    }
}
