//! SQL is text that we wrote: values from outside are parameters, or go through the functions that quote.
//!
//! The sources are read. A text with an SQL keyword into which something is formatted, also a sentence to a person, must be in a
//! file of [`BUILT`], which says what goes into it; something formatted between quotes must be one of [`QUOTED`]; and PostgreSQL's texts that are not constant,
//! which sqlx lets through `AssertSqlSafe` alone, may be in files of [`POSTGRES`].
//!
//! Invariant: a new place is seen by whoever adds it, since this test fails until the place is listed with its reason.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where statements are put together, and of what.
const BUILT: &[(&str, &str)] = &[
    ("nova-clickhouse/src/ddl.rs", "names by `identifier`"),
    (
        "nova-clickhouse/src/history.rs",
        "names by `identifier`, numbers, UUIDs by `uuids`; the topic is a parameter",
    ),
    (
        "nova-clickhouse/src/jobs.rs",
        "names by `identifier`, constants and numbers; requests and targets are parameters",
    ),
    ("nova-clickhouse/src/letter_actions.rs", "names by `identifier`; marks are data of the INSERT"),
    ("nova-clickhouse/src/lineage.rs", "names by `identifier`, numbers; the topic is a parameter"),
    ("nova-clickhouse/src/migrate.rs", "names by `identifier`; constants of this binary"),
    ("nova-clickhouse/src/newest.rs", "names by `identifier`, numbers; the topic is a parameter"),
    (
        "nova-clickhouse/src/rebuild/carry.rs",
        "names by `identifier`; partitions' ids and topics by `literal_content`, numbers",
    ),
    (
        "nova-clickhouse/src/rebuild/compare.rs",
        "the same, and constants; the topic is a parameter where it stands alone",
    ),
    (
        "nova-clickhouse/src/rebuild/exchange.rs",
        "names by `identifier`, a partition's id by `literal_content`",
    ),
    ("nova-clickhouse/src/rebuild/shadow.rs", "names by `identifier`; topics by `literal_content`, numbers"),
    ("nova-clickhouse/src/replay.rs", "names by `identifier`, UUIDs by `uuids`; the topic is a parameter"),
    ("nova-clickhouse/src/resolve.rs", "a sentence"),
    ("nova-clickhouse/src/schema.rs", "names by `identifier`, a constant privilege"),
    ("nova-clickhouse/src/sink.rs", "names by `identifier`"),
    ("nova-clickhouse/src/sql.rs", "UUIDs"),
    ("nova-clickhouse/src/stored.rs", "names by `identifier`, numbers; row images in hexadecimal"),
    ("nova-clickhouse/src/taken_back.rs", "names by `identifier`, numbers; the topic is a parameter"),
    ("nova-clickhouse/src/window.rs", "names by `identifier`, a number; shown, not run"),
    ("nova-reconcile/src/backfill/check.rs", "expressions of our own"),
    ("nova-reconcile/src/backfill/run.rs", "expressions of our own"),
    (
        "nova-reconcile/src/backfill/source.rs",
        "names by `pg_name`; the condition is the operator's SQL, one statement by protocol",
    ),
    ("nova-reconcile/src/clickhouse_side.rs", "names by `ch_name`, texts by `ch_literal`, numbers, UUIDs"),
    ("nova-reconcile/src/grid.rs", "expressions of our own, numbers"),
    ("nova-reconcile/src/hash/array.rs", "names by `pg_name`"),
    ("nova-reconcile/src/hash/ladder.rs", "expressions made by the modules beside it"),
    ("nova-reconcile/src/hash/mod.rs", "expressions made by the modules beside it"),
    ("nova-reconcile/src/history.rs", "a number; rows are data of the INSERT, streams are parameters"),
    (
        "nova-reconcile/src/outbox/retained.rs",
        "names by `pg_name` and `ch_name`, topic by `ch_literal`, numbers, UUIDs",
    ),
    ("nova-reconcile/src/outbox/table.rs", "names by `pg_name`"),
    ("nova-reconcile/src/postgres_side.rs", "names by `pg_name`, expressions of our own, numbers"),
    ("nova-reconcile/src/render/queries.rs", "shown, not run; names and texts quoted"),
    ("nova-reconcile/src/repair/ledger.rs", "numbers and a phase of our own; all else are parameters"),
    ("nova-reconcile/src/snapshot.rs", "a column of our own, a snapshot's name by `pg_literal`"),
    ("nova-reconcile/src/source_table.rs", "a number"),
    ("nova-reconcile/src/span.rs", "names by `pg_name`"),
    ("nova-streams/src/map.rs", "a sentence"),
    ("nova/src/backfill/debezium.rs", "a sentence"),
    (
        "nova/src/backfill/signal.rs",
        "quoted names; the condition is the operator's SQL, one statement by protocol",
    ),
    ("nova/src/connector/apply.rs", "a sentence"),
    ("nova/src/connector/resnapshot.rs", "a sentence"),
    ("nova/src/doctor/clickhouse.rs", "a sentence"),
    ("nova/src/doctor/postgres/publication.rs", "a sentence"),
    ("nova/src/doctor/postgres/roles.rs", "sentences"),
    ("nova/src/doctor/postgres/tables.rs", "sentences"),
    ("nova/src/outbox/days.rs", "names as `regclass` writes them; the comment's quotes are doubled"),
];

/// What is formatted between quotes: file, text before the quote, reason.
const QUOTED: &[(&str, &str, &str)] = &[
    ("nova-clickhouse/src/migrate.rs", "SELECT {version}, ", "a name of MIGRATIONS"),
    ("nova-clickhouse/src/migrate.rs", "'{}', ", "a checksum"),
    ("nova-clickhouse/src/migrate.rs", "'{checksum}', ", "the binary's version"),
    ("nova-clickhouse/src/rebuild/carry.rs", "ATTACH PARTITION ID ", "by `literal_content`"),
    ("nova-clickhouse/src/rebuild/exchange.rs", "MOVE PARTITION ID ", "by `literal_content`"),
    ("nova-clickhouse/src/rebuild/exchange.rs", "REPLACE PARTITION ID ", "by `literal_content`"),
    ("nova-clickhouse/src/resolve.rs", "source_key = ", "shown, not run; a UUID"),
    ("nova-clickhouse/src/sql.rs", "splitByChar(',', ", "UUIDs"),
    ("nova-clickhouse/src/stored.rs", "format('RowBinary', ", "by `literal_content`"),
    ("nova-clickhouse/src/stored.rs", "'{}', ", "hexadecimal digits"),
    ("nova-reconcile/src/clickhouse_side.rs", "splitByChar(',', ", "UUIDs"),
    ("nova-reconcile/src/outbox/retained.rs", "splitByChar(',', ", "UUIDs"),
    ("nova-reconcile/src/render/queries.rs", "source_key = ", "shown, not run; a UUID"),
    ("nova-reconcile/src/repair/ledger.rs", "{{stream:String}}, ", "`begun` or `done`"),
    ("nova/src/connector/apply.rs", "pg_drop_replication_slot(", "shown, not run"),
    ("nova/src/connector/resnapshot.rs", "pg_drop_replication_slot(", "shown, not run"),
    ("nova/src/outbox/days.rs", "COMMENT ON TABLE {name} IS ", "quotes doubled"),
];

/// Where PostgreSQL's statements are put together.
const POSTGRES: &[&str] = &[
    "nova-reconcile/src/backfill/source.rs",
    "nova-reconcile/src/outbox/retained.rs",
    "nova-reconcile/src/postgres_side.rs",
    "nova-reconcile/src/snapshot.rs",
    "nova-reconcile/src/source_table.rs",
    "nova-reconcile/src/span.rs",
    "nova/src/backfill/signal.rs",
    "nova/src/outbox/days.rs",
];

/// Words that make a text a statement, or a piece of one.
const KEYWORDS: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "ALTER TABLE ",
    "ALTER ROLE ",
    "ALTER USER ",
    "CREATE TABLE ",
    "CREATE DATABASE ",
    "CREATE OR REPLACE ",
    "CREATE USER ",
    "DROP TABLE ",
    "DROP DATABASE ",
    "DELETE FROM ",
    "CHECK GRANT ",
    " WHERE ",
    " FROM ",
    "LOCK TABLE ",
    "SET TRANSACTION ",
    "SETTINGS ",
    "GRANT ",
];

/// A text into which something is formatted.
struct Text {
    file: String,
    line: usize,
    text: String,
}

#[test]
fn statements_are_put_together_where_it_is_known() {
    let mut unlisted = Vec::new();
    let mut seen = BTreeSet::new();
    let texts = texts();
    for Text { file, line, text } in texts.iter().filter(|found| is_sql(&found.text)) {
        seen.insert(file.as_str());
        if !BUILT.iter().any(|(listed, _)| listed == file) {
            unlisted.push(format!("{file}:{line}: {text}"));
        }
    }
    assert!(
        unlisted.is_empty(),
        "SQL that something is formatted into; pass values as parameters, names by `identifier` or `pg_name`, then list the \
         file in tests/sql.rs with what goes in:\n{}",
        unlisted.join("\n")
    );
    let stale: Vec<&str> = BUILT.iter().map(|(file, _)| *file).filter(|file| !seen.contains(file)).collect();
    assert!(stale.is_empty(), "listed, and no SQL is put together there any more: {stale:?}");
}

#[test]
fn nothing_is_formatted_between_quotes_but_what_cannot_leave_them() {
    let mut unlisted = Vec::new();
    for Text { file, line, text } in texts().iter().filter(|found| is_sql(&found.text)) {
        for (at, _) in text.match_indices("'{").filter(|(at, _)| !text[at + 2..].starts_with('{')) {
            let before = &text[..at];
            if !QUOTED.iter().any(|(listed, end, _)| listed == file && before.ends_with(end)) {
                unlisted.push(format!("{file}:{line}: {before}'{{"));
            }
        }
    }
    assert!(
        unlisted.is_empty(),
        "pass it as a parameter, or quote it by `literal_content` or `pg_literal`, and list it in tests/sql.rs:\n{}",
        unlisted.join("\n")
    );
}

#[test]
fn postgresqls_statements_are_constant_elsewhere() {
    for (path, text) in sources() {
        let uses =
            text.lines().any(|line| line.contains("AssertSqlSafe(") && !line.trim_start().starts_with("//"));
        assert!(!uses || POSTGRES.contains(&path.as_str()), "{path} is not in the list of tests/sql.rs");
    }
}

#[test]
fn the_search_finds_what_it_should() {
    let source = "fn f() { x(&format!(\"SELECT a FROM {t} WHERE b = '{v}'\")); g(format!(\"{{}} {}\", 1)); \
                  let s = \"SELECT '{v}'\"; write!(out, \"DROP TABLE {}\", name); format!(\"no {sql}\"); }";
    let found: Vec<String> = formatted("f.rs", source)
        .into_iter()
        .filter(|found| is_sql(&found.text))
        .map(|found| found.text)
        .collect();
    assert_eq!(found, ["SELECT a FROM {t} WHERE b = '{v}'", "DROP TABLE {}"]);
}

fn is_sql(text: &str) -> bool {
    KEYWORDS.iter().any(|keyword| text.contains(keyword))
}

fn texts() -> Vec<Text> {
    let found: Vec<Text> = sources().into_iter().flat_map(|(path, text)| formatted(&path, &text)).collect();
    assert!(found.len() > 500, "the search itself works: {}", found.len());
    found
}

/// The sources of the libraries and of `nova`, without their tests.
fn sources() -> Vec<(String, String)> {
    let crates = Path::new(ROOT).join("crates");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&crates).unwrap().map(Result::unwrap) {
        // Development only: it *is* the server.
        if entry.file_name() != "embedded-clickhouse" {
            rust_files(&entry.path().join("src"), &mut files);
        }
    }
    let source = |path: PathBuf| {
        let name = path.strip_prefix(&crates).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
        (!name.contains("tests")).then_some((name, code))
    };
    files.into_iter().filter_map(source).collect()
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The texts of `format!`, `write!` and `writeln!` that have a place for something.
fn formatted(file: &str, source: &str) -> Vec<Text> {
    let mut found = Vec::new();
    for name in ["format!(", "write!(", "writeln!("] {
        for (at, _) in source.match_indices(name) {
            // `write!` is the end of `writeln!`'s beginning only with its own exclamation mark: nothing is found twice.
            let Some(text) = first_text(&source[at + name.len()..]) else { continue };
            let places = text.replace("{{", "").replace("}}", "");
            if places.contains('{') {
                let line = source[..at].matches('\n').count() + 1;
                found.push(Text { file: file.to_owned(), line, text });
            }
        }
    }
    found
}

/// The first string literal before the closing parenthesis, lines that were broken by `\` joined.
fn first_text(source: &str) -> Option<String> {
    let start = source.find('"')?;
    if source[..start].contains(')')
        && source[..start].matches(')').count() > source[..start].matches('(').count()
    {
        return None;
    }
    let mut text = String::new();
    let mut characters = source[start + 1..].chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some(text),
            '\\' => match characters.next()? {
                '\n' => {
                    let rest = characters.as_str().trim_start();
                    characters = rest.chars();
                }
                'n' => text.push('\n'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    None
}
