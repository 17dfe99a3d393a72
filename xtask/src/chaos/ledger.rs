//! The writers' own book: a table that is not captured, in which each transaction writes what it changes.
//!
//! Invariant: a row of the book is committed if and only if its change is, since triggers write it in the same
//! transaction. For one key the book's sequence is commit order: a second writer of a row waits for the first.

use anyhow::{Context, Result, bail};
use sqlx::PgPool;

use crate::compare::query;
use crate::traffic::Table;

/// A committed change: the mapped columns before and after, as text; equal ones make no row in ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) table: Table,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Change {
    /// Whether the change touched no mapped column, so that Nova skips it.
    pub(super) fn is_skip(&self) -> bool {
        self.before == self.after
    }

    /// The rows that it must leave in ClickHouse, in order: sign and mapped columns.
    pub(super) fn rows(&self) -> impl Iterator<Item = (i8, &str)> {
        let rows = [(-1, self.before.as_deref()), (1, self.after.as_deref())];
        let skip = self.is_skip();
        rows.into_iter().filter(move |_| !skip).filter_map(|(sign, row)| Some((sign, row?)))
    }
}

/// Makes the book and the triggers that fill it.
///
/// # Errors
/// What PostgreSQL says.
pub(super) async fn install(postgres: &PgPool) -> Result<()> {
    let book = "CREATE TABLE chaos_ledger (seq bigserial PRIMARY KEY, source text NOT NULL, \
                before text, after text)";
    sqlx::raw_sql(book).execute(postgres).await.context("making chaos_ledger")?;
    for table in Table::ALL {
        let sql = sqlx::AssertSqlSafe(trigger(table));
        sqlx::raw_sql(sql).execute(postgres).await.with_context(|| format!("trigger on {}", table.name()))?;
    }
    Ok(())
}

fn trigger(table: Table) -> String {
    let (name, row) = (table.name(), query(table).postgres);
    format!(
        "CREATE FUNCTION chaos_note_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ \
         DECLARE old_row text; new_row text; \
         BEGIN \
             IF TG_OP <> 'INSERT' THEN SELECT {row} INTO old_row FROM (SELECT OLD.*) AS image; END IF; \
             IF TG_OP <> 'DELETE' THEN SELECT {row} INTO new_row FROM (SELECT NEW.*) AS image; END IF; \
             INSERT INTO chaos_ledger (source, before, after) VALUES ('{name}', old_row, new_row); \
             RETURN NULL; \
         END $$; \
         CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE OR DELETE ON {name} \
         FOR EACH ROW EXECUTE FUNCTION chaos_note_{name}()"
    )
}

/// All committed changes; those of one key in commit order.
///
/// # Errors
/// What PostgreSQL says.
pub(super) async fn read(postgres: &PgPool) -> Result<Vec<Change>> {
    let sql = "SELECT source, before, after FROM chaos_ledger ORDER BY seq";
    let rows: Vec<(String, Option<String>, Option<String>)> =
        sqlx::query_as(sql).fetch_all(postgres).await.context("reading chaos_ledger")?;
    rows.into_iter()
        .map(|(source, before, after)| Ok(Change { table: table(&source)?, before, after }))
        .collect()
}

/// The table of this name.
pub(super) fn table(name: &str) -> Result<Table> {
    match Table::ALL.into_iter().find(|table| table.name() == name) {
        Some(table) => Ok(table),
        None => bail!("{name} is no table of the application"),
    }
}

/// The key in a row's text: its first field, or two for follows.
pub(super) fn key_of(table: Table, row: &str) -> &str {
    let fields = if table == Table::Follows { 2 } else { 1 };
    let end = row.match_indices('|').nth(fields - 1).map_or(row.len(), |(at, _)| at);
    row.get(..end).unwrap_or(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_its_images_and_a_skip_nothing() {
        let change = |before: Option<&str>, after: Option<&str>| Change {
            table: Table::Likes,
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        assert_eq!(change(Some("a"), Some("b")).rows().collect::<Vec<_>>(), [(-1, "a"), (1, "b")]);
        assert_eq!(change(None, Some("b")).rows().collect::<Vec<_>>(), [(1, "b")]);
        assert_eq!(change(Some("a"), None).rows().collect::<Vec<_>>(), [(-1, "a")]);
        assert_eq!(change(Some("a"), Some("a")).rows().count(), 0);
    }

    #[test]
    fn a_key_is_the_leading_fields() {
        assert_eq!(key_of(Table::Likes, "k|1|p|u"), "k");
        assert_eq!(key_of(Table::Follows, "a|b|1"), "a|b");
        assert_eq!(key_of(Table::Posts, "k"), "k");
    }
}
