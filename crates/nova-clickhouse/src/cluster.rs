//! The DDL of a cluster, made from the files of `clickhouse/`, which are written for one server.
//!
//! | in the file | on a cluster |
//! | --- | --- |
//! | a table of events, which has a de-duplication window | `<name>_local`, replicated within its shard; `<name>`, Distributed over all shards |
//! | another table | replicated to every server |
//! | a refreshable view | the same on every server, over the Distributed tables |
//! | a dictionary | the same on every server |
//!
//! Statements are rewritten as templates, before a value is put in. See `docs/cluster.md` for the reasons.
//!
//! Invariant: a statement has a form for a cluster, or is refused with its first line; none is passed on as it is.

use std::collections::BTreeSet;

use crate::template::{TemplateError, statements};

/// What makes a table one of events.
const WINDOW: &str = "non_replicated_deduplication_window";
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS ";
const CREATE_VIEW: &str = "CREATE MATERIALIZED VIEW IF NOT EXISTS ";
const CREATE_DICTIONARY: &str = "CREATE OR REPLACE DICTIONARY ";
const ALTER_TABLE: &str = "ALTER TABLE ";

/// Keeper's path of a table, and the replica's name in it. `{shard}` and `{replica}` are macros that each server defines.
/// Source: <https://clickhouse.com/docs/engines/table-engines/mergetree-family/replication#creating-replicated-tables>.
const OF_THE_SHARD: (&str, &str) = ("/clickhouse/tables/{shard}/{database}/{table}", "{replica}");
const OF_ALL: (&str, &str) = ("/clickhouse/tables/all/{database}/{table}", "{shard}-{replica}");

/// The table that holds a shard's part of `table`: the one that streams write, and ask, on a cluster.
#[must_use]
pub fn local_table(table: &str) -> String {
    format!("{table}_local")
}

/// The tables of events among those that these files create.
pub(crate) fn tables_of_events<'f>(
    files: impl Iterator<Item = &'f str>,
) -> Result<BTreeSet<String>, TemplateError> {
    let mut names = BTreeSet::new();
    for file in files {
        for statement in statements(file)? {
            if let Some((name, rest)) = object(&statement, CREATE_TABLE)
                && rest.contains(WINDOW)
            {
                names.insert(name.to_owned());
            }
        }
    }
    Ok(names)
}

/// A statement of one server as those of a cluster, in order.
pub(crate) fn on_cluster(statement: &str, events: &BTreeSet<String>) -> Result<Vec<String>, TemplateError> {
    let rewritten = if let Some((name, rest)) = object(statement, CREATE_TABLE) {
        if events.contains(name) { table_of_events(name, rest) } else { table_of_all(name, rest) }
    } else if let Some((name, rest)) = object(statement, ALTER_TABLE) {
        let adds = |what: &str| rest.starts_with(&format!(" ADD {what} IF NOT EXISTS "));
        if events.contains(name) {
            // The Distributed table has no indices of its own.
            adds("INDEX").then(|| vec![head(ALTER_TABLE, &local_table(name)) + rest])
        } else {
            adds("COLUMN").then(|| vec![head(ALTER_TABLE, name) + rest])
        }
    } else if let Some((name, rest)) = object(statement, CREATE_VIEW) {
        rest.trim_start()
            .starts_with("REFRESH ")
            .then(|| vec![head(CREATE_VIEW, name) + &with_global_in(rest)])
    } else {
        object(statement, CREATE_DICTIONARY).map(|(name, rest)| vec![head(CREATE_DICTIONARY, name) + rest])
    };
    rewritten.ok_or_else(|| {
        TemplateError::NoClusterForm(statement.lines().next().unwrap_or_default().chars().take(120).collect())
    })
}

/// The name behind `<verb>${database}.`, and what follows it.
fn object<'s>(statement: &'s str, verb: &str) -> Option<(&'s str, &'s str)> {
    let rest = statement.strip_prefix(verb)?.strip_prefix("${database}.")?;
    Some(rest.split_at(rest.find(|character: char| !is_of_a_name(character))?))
}

fn is_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn head(verb: &str, name: &str) -> String {
    format!("{verb}${{database}}.{name} ON CLUSTER ${{cluster}}")
}

fn table_of_events(name: &str, rest: &str) -> Option<Vec<String>> {
    let local = local_table(name);
    // Tokens are forgotten by number and by age, whichever comes first.
    let rest = rest.replace(WINDOW, "replicated_deduplication_window")
        + ", replicated_deduplication_window_seconds = 604800";
    let create = head(CREATE_TABLE, &local) + &replicated(&rest, OF_THE_SHARD)?;
    // Without a sharding key: nobody can write through it while there are two shards.
    let distributed = format!(
        "{} AS ${{database}}.{local}\nENGINE = Distributed('${{cluster_name}}', '${{database_name}}', '{local}')",
        head(CREATE_TABLE, name)
    );
    Some(vec![create, distributed])
}

fn table_of_all(name: &str, rest: &str) -> Option<Vec<String>> {
    Some(vec![head(CREATE_TABLE, name) + &replicated(rest, OF_ALL)?])
}

/// The text behind a table's name with its engine replicated; none for an engine that has no such form.
fn replicated(rest: &str, (path, replica): (&str, &str)) -> Option<String> {
    const ENGINE: &str = "\nENGINE = ";
    let (columns, engine) = rest.split_once(ENGINE)?;
    let end = engine.find(|character: char| !is_of_a_name(character)).unwrap_or(engine.len());
    let (engine, rest) = engine.split_at(end);
    let (arguments, rest) = match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(')')?,
        None => ("", rest),
    };
    let separator = if arguments.is_empty() { "" } else { ", " };
    (engine.ends_with("MergeTree") && !engine.starts_with("Replicated")).then(|| {
        format!("{columns}{ENGINE}Replicated{engine}('{path}', '{replica}'{separator}{arguments}){rest}")
    })
}

/// `IN (SELECT …)` over Distributed tables must say whose rows are meant: those of all shards.
/// Source: <https://clickhouse.com/docs/sql-reference/operators/in#distributed-subqueries>.
fn with_global_in(query: &str) -> String {
    let mut parts = query.split(" IN");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let inside = part.trim_start().strip_prefix('(');
        let is_query = inside.is_some_and(|inside| inside.trim_start().starts_with("SELECT"));
        text.push_str(if is_query { " GLOBAL IN" } else { " IN" });
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MIGRATIONS;

    fn events() -> BTreeSet<String> {
        BTreeSet::from(["likes".to_owned()])
    }

    fn one(statement: &str) -> String {
        let found = on_cluster(statement, &events()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.concat()
    }

    #[test]
    fn every_statement_of_the_folder_has_a_form_for_a_cluster() {
        let events = tables_of_events(MIGRATIONS.iter().map(|migration| migration.sql)).unwrap();
        let expected = ["post_engagement_events", "post_events", "user_follow_events"];
        assert_eq!(events.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        for migration in MIGRATIONS {
            for statement in statements(migration.sql).unwrap() {
                for statement in on_cluster(&statement, &events).unwrap() {
                    assert!(statement.contains(" ON CLUSTER ${cluster}"), "{}: {statement}", migration.name);
                    assert!(!statement.contains(WINDOW), "{}: {statement}", migration.name);
                }
            }
        }
    }

    #[test]
    fn events_are_split_over_shards_and_read_as_one() {
        let sql = "CREATE TABLE IF NOT EXISTS ${database}.likes\n(\n    n UInt8\n)\nENGINE = MergeTree\nORDER BY n\n\
                   SETTINGS non_replicated_deduplication_window = 7";
        let found = on_cluster(sql, &events()).unwrap();
        assert_eq!(
            found[0],
            "CREATE TABLE IF NOT EXISTS ${database}.likes_local ON CLUSTER ${cluster}\n(\n    n UInt8\n)\n\
             ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')\nORDER BY n\n\
             SETTINGS replicated_deduplication_window = 7, replicated_deduplication_window_seconds = 604800"
        );
        assert_eq!(
            found[1],
            "CREATE TABLE IF NOT EXISTS ${database}.likes ON CLUSTER ${cluster} AS ${database}.likes_local\n\
             ENGINE = Distributed('${cluster_name}', '${database_name}', 'likes_local')"
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn records_are_the_same_on_every_server() {
        let sql = "CREATE TABLE IF NOT EXISTS ${database}.runs (n UInt8)\nENGINE = ReplacingMergeTree(n)\nORDER BY n";
        let found = one(sql);
        let engine = "ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}', n)\n";
        assert!(found.starts_with("CREATE TABLE IF NOT EXISTS ${database}.runs ON CLUSTER ${cluster} (n"));
        assert!(found.contains(engine), "{found}");
    }

    #[test]
    fn an_index_belongs_to_the_local_table() {
        let found = one("ALTER TABLE ${database}.likes ADD INDEX IF NOT EXISTS i n TYPE minmax");
        assert!(
            found.starts_with("ALTER TABLE ${database}.likes_local ON CLUSTER ${cluster} ADD"),
            "{found}"
        );
    }

    #[test]
    fn a_column_is_added_to_records_alone() {
        let found = one("ALTER TABLE ${database}.runs ADD COLUMN IF NOT EXISTS n UInt8");
        assert_eq!(
            found,
            "ALTER TABLE ${database}.runs ON CLUSTER ${cluster} ADD COLUMN IF NOT EXISTS n UInt8"
        );
    }

    #[test]
    fn only_subqueries_become_global() {
        let query =
            "x IN (1, 2) AND y IN\n  (\n  SELECT 1) INNER JOIN t WHERE z IN (SELECT 2) AND INTERVAL 1 DAY";
        let expected = "x IN (1, 2) AND y GLOBAL IN\n  (\n  SELECT 1) INNER JOIN t WHERE z GLOBAL IN (SELECT 2) AND INTERVAL 1 DAY";
        assert_eq!(with_global_in(query), expected);
    }

    #[test]
    fn what_has_no_form_is_refused_by_its_first_line() {
        for sql in [
            "DROP TABLE ${database}.likes",
            "ALTER TABLE ${database}.likes DROP COLUMN n",
            "ALTER TABLE ${database}.likes ADD COLUMN IF NOT EXISTS n UInt8",
            "CREATE TABLE IF NOT EXISTS ${database}.runs (n UInt8)\nENGINE = Memory",
            "CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.v TO ${database}.w AS SELECT 1",
            "CREATE TABLE IF NOT EXISTS other.likes (n UInt8)\nENGINE = MergeTree\nORDER BY n",
        ] {
            let first = sql.lines().next().unwrap().to_owned();
            assert_eq!(on_cluster(sql, &events()), Err(TemplateError::NoClusterForm(first)));
        }
    }
}
