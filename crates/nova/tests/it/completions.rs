//! The completions, asked for by a real bash.

use std::process::Command;

use crate::program::{nova, stderr, stdout};

/// What bash offers behind these words, the last of which is not finished.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let at = words.len() - 1;
    // As bash calls a function that `complete -F` names: command, word, word before.
    let ask = format!(
        "{script}\ncomplete -p nova | grep -q -- '-F _nova' || exit 9\n\
         COMP_WORDS=({}); COMP_CWORD={at}\n_nova nova {} {}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        quoted[at],
        quoted[at - 1]
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    assert!(output.status.success(), "{:?} {}", output.status, stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let output = nova(&["completions", "bash"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let script = stdout(&output);
    assert_eq!(offered(&script, &["nova", "sta"]), ["status"]);
    assert_eq!(offered(&script, &["nova", "offsets", "sh"]), ["show"]);
    assert_eq!(offered(&script, &["nova", "lag", "--part"]), ["--partitions"]);
    assert_eq!(offered(&script, &["nova", "lag", "-o", ""]), ["table", "json"]);
    assert!(offered(&script, &["nova", "dlq", "retry", "--"]).contains(&"--execute".to_owned()));
}

#[test]
fn every_shell_has_a_script_and_another_is_refused() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = nova(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && stdout(&output).contains("reconcile"), "{shell}");
    }
    let refused = nova(&["completions", "csh"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("possible values"), "{}", stderr(&refused));
}
