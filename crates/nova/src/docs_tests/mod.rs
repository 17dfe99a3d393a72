//! What the documents, the alerts and nova's own messages tell people to type, held against the real command line; and where
//! they send people, against the files that are there.
//!
//! Invariant: a command in a block of `sh` can be given as it stands; one that is quoted in a sentence names a command, options
//! and values that exist, and may leave out what the sentence says; a page that is named exists.

mod lines;
mod runbooks;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use lines::{alternatives, commands, quoted, sh_blocks};

/// Folders in which people read; in those of `crates` only nova's messages and comments.
const READ: [&str; 6] = ["docs", "deploy", "clickhouse", "config", "schemas", "crates"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files of these kinds: path below the root, text.
fn files(kinds: &[&str]) -> Vec<(String, String)> {
    let mut found: Vec<PathBuf> = ["README.md", "CHANGELOG.md"].map(|name| root().join(name)).into();
    READ.iter().for_each(|folder| walk(&root().join(folder), &mut found));
    let is_read =
        |path: &PathBuf| path.extension().is_some_and(|kind| kinds.iter().any(|wanted| kind == *wanted));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    };
    found.into_iter().filter(is_read).map(read).collect()
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => walk(&entry.path(), into),
            false => into.push(entry.path()),
        }
    }
}

/// Why clap refuses the words; `whole`: nothing may be left out.
fn refused(words: &[String], whole: bool) -> Option<String> {
    let error = Cli::try_parse_from(words).err()?;
    let right = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !whole,
        // `--from …`
        ErrorKind::InvalidValue => !whole && error.get(ContextKind::InvalidValue).is_some_and(is_empty),
        _ => false,
    };
    (!right).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}

fn is_empty(value: &ContextValue) -> bool {
    matches!(value, ContextValue::String(text) if text.is_empty())
}

/// Holds the commands in these lines of files against the command line; there are more than `least` of them.
fn hold(
    files: impl IntoIterator<Item = (String, String)>,
    lines: impl Fn(&str) -> Vec<String>,
    whole: bool,
    least: usize,
) {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (name, text) in files {
        for line in lines(&text) {
            for words in commands(&line) {
                tried += 1;
                let why = refused(&words, whole);
                wrong.extend(why.map(|why| format!("{name}: `{line}`: {}: {why}", words.join(" "))));
            }
        }
    }
    assert!(tried > least, "the search itself works: {tried}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_in_a_block_can_be_given_as_it_stands() {
    hold(files(&["md"]), sh_blocks, true, 60);
}

#[test]
fn every_quoted_command_names_what_exists() {
    // Not those of migrations: an applied file is never edited.
    let files = files(&["md", "yaml", "toml", "rs"]).into_iter();
    let files = files.filter(|(name, _)| !name.contains("docs_tests"));
    hold(files, |text| quoted(text).iter().flat_map(|line| alternatives(line)).collect(), false, 300);
}

#[test]
fn every_page_that_is_named_exists() {
    let (mut wrong, mut tried) = (BTreeSet::new(), 0);
    for (name, text) in files(&["md", "yaml", "toml", "rs"]) {
        let folder = root().join(&name);
        let folder = folder.parent().unwrap();
        if name.ends_with(".md") {
            for link in links(&text) {
                tried += 1;
                if !folder.join(&link).exists() {
                    wrong.insert(format!("{name}: {link}"));
                }
            }
        }
        let from = |text: &str| -> String {
            text.chars()
                .take_while(|character| character.is_ascii_alphanumeric() || "/-_.".contains(*character))
                .collect()
        };
        for (at, _) in text.match_indices("docs/runbooks/").filter(|_| !name.contains("docs_tests")) {
            let page = from(&text[at..]);
            tried += 1;
            // The end of a sentence.
            if !root().join(page.trim_end_matches('.')).exists() {
                wrong.insert(format!("{name}: {page}"));
            }
        }
    }
    assert!(tried > 200, "the search itself works: {tried}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The relative addresses of a page's links, without what follows `#`.
fn links(text: &str) -> Vec<String> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let addresses = ends.map(|(address, _)| address.split('#').next().unwrap_or_default());
    let relative = addresses.filter(|address| {
        !address.is_empty() && !address.contains("://") && !address.contains(char::is_whitespace)
    });
    relative.map(str::to_owned).collect()
}
