//! The program under test, and the commands it has.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program.
pub(crate) const NOVA: &str = env!("CARGO_BIN_EXE_nova");
/// The character that begins every control sequence of a terminal (ECMA-48).
pub(crate) const ESCAPE: char = '\u{1b}';

/// The repository's folder.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A configuration whose servers are away: nobody listens on port 1.
pub(crate) fn configuration(folder: &Path) -> PathBuf {
    let file = folder.join("nova.toml");
    let streams = repository().join("config/streams.toml");
    let text = format!(
        "streams = {:?}\n[postgres]\nhost = \"127.0.0.1\"\nport = 1\npassword = \"x\"\n[kafka]\nbrokers = \"127.0.0.1:1\"\n\
         [connect]\nurl = \"http://127.0.0.1:1\"\n[clickhouse]\nurl = \"http://127.0.0.1:1\"\n",
        streams.display().to_string()
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// `nova`, without what the environment of this test says about terminals and configuration.
pub(crate) fn nova(args: &[&str]) -> Command {
    plain(NOVA, args)
}

/// Any program, the same way.
pub(crate) fn plain(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "NOVA_CONFIG"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    command
}

/// What went to standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What went to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The words of every command, `nova` itself being the empty list, as `--help` lists them.
pub(crate) fn commands() -> Vec<Vec<String>> {
    let (mut found, mut next) = (Vec::new(), vec![Vec::<String>::new()]);
    while let Some(words) = next.pop() {
        let help = help(&words);
        let listed = help.split_once("Commands:\n").map_or("", |(_, listed)| listed);
        let names = listed.lines().take_while(|line| !line.is_empty());
        // A description that is wrapped stands further to the right.
        let names = names.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        let names = names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help");
        next.extend(names.map(|name| [words.clone(), vec![name.to_owned()]].concat()));
        found.push(words);
    }
    found
}

fn help(words: &[String]) -> String {
    let output = nova(&[]).args(words).arg("-h").output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    stdout(&output)
}
