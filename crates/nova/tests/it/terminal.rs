//! Manners on a terminal and off it: no escape codes where nobody can read them or wants them, data and messages apart, and
//! no panic when a reader goes away.

use std::io::pipe;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::program::{ESCAPE, NOVA, commands, configuration, nova, plain, stderr, stdout};

/// Runs `nova` on a pseudo-terminal of its own; what the terminal got, messages included.
fn on_terminal(args: &[&str], variables: &[(&str, &str)]) -> String {
    let words: Vec<String> = std::iter::once(&NOVA).chain(args).map(|word| format!("'{word}'")).collect();
    let mut script = plain("script", &["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
    let output = script.env("SHELL", "/bin/sh").envs(variables.iter().copied()).output().unwrap();
    stdout(&output)
}

fn is_plain(what: &str, text: &str) {
    assert!(!text.contains(ESCAPE), "{what}: an escape code in {text:?}");
}

#[test]
fn the_help_of_every_command_is_plain_off_a_terminal_and_ends_with_an_example() {
    let commands = commands();
    assert!(commands.len() > 30, "{commands:?}");
    for words in &commands {
        let output = nova(&[]).args(words).arg("--help").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {}", stderr(&output));
        let help = stdout(&output);
        is_plain(&format!("{words:?}"), &help);
        let groups = commands.iter().any(|other| other.len() > words.len() && other.starts_with(words));
        let examples = help.split_once("\nExample").map_or("", |(_, examples)| examples);
        let command = format!("nova {}", words.join(" "));
        assert!(groups || examples.contains(command.trim_end()), "{words:?} has no example:\n{help}");
    }
}

#[test]
fn no_color_is_obeyed_on_a_terminal() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        is_plain(&format!("{words:?}"), &on_terminal(&words, &[("NO_COLOR", "1")]));
    }
    for args in [&["lag", "--watch", "0"][..], &["nonsense"]] {
        is_plain(&format!("{args:?}"), &on_terminal(args, &[("NO_COLOR", "1")]));
    }
    // So it was a terminal, and would have been coloured.
    assert!(on_terminal(&["--help"], &[]).contains(ESCAPE));
}

#[test]
fn commands_write_data_to_stdout_and_are_plain_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path());
    let config = config.to_str().unwrap();
    for args in [&["config", "check"][..], &["config", "show"], &["connector", "render"], &["man"]] {
        let args = [&["--config", config], args].concat();
        let output = nova(&args).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {}", stderr(&output));
        assert!(!output.stdout.is_empty(), "{args:?}");
        is_plain(&format!("{args:?}"), &stdout(&output));
        is_plain(&format!("{args:?}"), &on_terminal(&args, &[("NO_COLOR", "1")]));
    }
    let refused = nova(&["--config", "/nowhere/nova.toml", "status"]).output().unwrap();
    assert!(refused.stdout.is_empty() && stderr(&refused).starts_with("nova: "), "{}", stderr(&refused));
    assert_eq!(refused.status.code(), Some(2));
}

/// A page for the night: every server is away, and it comes in time all the same.
#[test]
fn status_comes_in_time_when_every_server_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path());
    let config = config.to_str().unwrap();
    let begun = Instant::now();
    let output = nova(&["--config", config, "status"]).output().unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    let (page, said) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(5), "{page}{said}");
    is_plain("status", &page);
    is_plain("status", &said);
    for server in ["PostgreSQL   ", "Kafka Connect", "Kafka        ", "ClickHouse   "] {
        assert!(page.contains(&format!("  {server}  AWAY  ")), "{server}: {page}");
    }
    assert!(page.contains("   likes        ?"), "{page}");
    assert!(said.contains("nova: "), "{said}");
    let json = nova(&["--config", config, "status", "-o", "json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(document["clickhouse"]["away"], true, "{document}");
    assert_eq!(json.status.code(), Some(5));
    let on_terminal = on_terminal(&["--config", config, "status"], &[("NO_COLOR", "1")]);
    is_plain("status on a terminal", &on_terminal);
    assert!(on_terminal.contains("AWAY"), "{on_terminal}");
}

/// Runs with a standard output that nobody reads any more; and standard error, too, if that is wanted.
fn unread(args: &[&str], both: bool) -> Output {
    let (reader, writer) = pipe().unwrap();
    let mut command = nova(args);
    if both {
        command.stderr(writer.try_clone().unwrap());
    } else {
        command.stderr(Stdio::piped());
    }
    command.stdout(writer);
    drop(reader);
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_reader_that_goes_away_ends_the_program_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path());
    let config = config.to_str().unwrap();
    for args in [&["config", "show"][..], &["connector", "render"], &["completions", "bash"], &["man"]] {
        let args = [&["--config", config], args].concat();
        let output = unread(&args, false);
        assert_eq!((output.status.code(), stderr(&output)), (Some(141), String::new()), "{args:?}");
    }
    // Messages that nobody reads are no failure of their own: the exit code is that of the command.
    let failed = unread(&["--config", "/nowhere/nova.toml", "config", "check"], true);
    assert_eq!(failed.status.code(), Some(2));
    let helped = unread(&["--help"], false);
    assert!(!stderr(&helped).contains("panicked"), "{}", stderr(&helped));
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(folder.path());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut shown = nova(&["--config", config.to_str().unwrap(), "config", "show"]);
    let output = shown.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("standard output cannot be written"), "{}", stderr(&output));
}
