//! What is wrong with each listed key: PostgreSQL's row held against all states that ClickHouse has of it.
//!
//! Invariant: a key is one difference, whatever its versions look like and in whichever windows they lie.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clickhouse_side::State;
use crate::report::{Difference, DifferenceKind, TableRow};
use crate::row_json::SourceRow;

/// Both sides of a key, with the windows they lie in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) postgres: Option<(i64, SourceRow)>,
    pub(crate) clickhouse: Vec<(i64, TableRow)>,
    /// How often PostgreSQL has the row: an event that was committed twice is there twice.
    copies: i64,
}

/// Keys and what both sides have of them.
#[derive(Debug, Default)]
pub(crate) struct Listing(BTreeMap<Uuid, Found>);

impl Listing {
    /// Adds what places list, and drops keys that are equal.
    pub(crate) fn add(&mut self, postgres: Vec<(i64, SourceRow)>, clickhouse: Vec<State>) {
        for (window, row) in postgres {
            let found = self.0.entry(row.source_key).or_default();
            found.postgres = Some((window, row));
            found.copies += 1;
        }
        for State { source_key, window, row } in clickhouse {
            self.0.entry(source_key).or_default().clickhouse.push((window, row));
        }
        self.0.retain(|_, found| found.kind().is_some());
    }

    /// Replaces what is known of ClickHouse's states by all that there are.
    pub(crate) fn complete(&mut self, states: Vec<State>) {
        for found in self.0.values_mut() {
            found.clickhouse.clear();
        }
        for State { source_key, window, row } in states {
            if let Some(found) = self.0.get_mut(&source_key) {
                found.clickhouse.push((window, row));
            }
        }
    }

    /// Adds PostgreSQL's rows of keys that lack one.
    pub(crate) fn add_rows(&mut self, rows: Vec<(i64, SourceRow)>) {
        for (window, row) in rows {
            if let Some(found) = self.0.get_mut(&row.source_key) {
                found.postgres = Some((window, row));
                found.copies += 1;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn keys(&self) -> Vec<Uuid> {
        self.0.keys().copied().collect()
    }

    /// States of keys that PostgreSQL does not seem to have.
    pub(crate) fn without_row(&self) -> impl Iterator<Item = (Uuid, &TableRow)> {
        let lacking = self.0.iter().filter(|(_, found)| found.postgres.is_none());
        lacking.filter_map(|(key, found)| found.clickhouse.first().map(|(_, row)| (*key, row)))
    }

    /// The differences in the order of windows; the windows' numbers stand for their places in the report.
    pub(crate) fn differences(self) -> Vec<Difference> {
        let mut differences: Vec<Difference> =
            self.0.into_iter().filter_map(|(source_key, found)| found.difference(source_key)).collect();
        differences.sort_by_key(|difference| (difference.window, difference.source_key));
        differences
    }
}

impl Found {
    /// `None` for a key that is as it should be.
    fn kind(&self) -> Option<DifferenceKind> {
        let Some((_, row)) = &self.postgres else {
            return (!self.clickhouse.is_empty()).then_some(DifferenceKind::Extra);
        };
        match self.clickhouse.as_slice() {
            [] => Some(DifferenceKind::Missing),
            [(_, state)] if state.columns == row.columns => match state.sum - self.copies {
                0 => None,
                1.. => Some(DifferenceKind::Doubled),
                _ => Some(DifferenceKind::Different),
            },
            _ => Some(DifferenceKind::Different),
        }
    }

    fn difference(self, source_key: Uuid) -> Option<Difference> {
        let kind = self.kind()?;
        let window = self.postgres.as_ref().map(|(window, _)| *window);
        let window = window.or_else(|| self.clickhouse.first().map(|(window, _)| *window))?;
        let (key, postgres) =
            self.postgres.map_or((Vec::new(), None), |(_, row)| (row.key, Some(row.columns)));
        Some(Difference {
            kind,
            window: usize::try_from(window).ok()?,
            source_key,
            key,
            postgres,
            clickhouse: self.clickhouse.into_iter().map(|(_, row)| row).collect(),
            explained: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Column;

    const KEY: Uuid = Uuid::from_u128(7);

    fn columns(value: &str) -> Vec<Column> {
        vec![Column { name: "v".to_owned(), value: Some(value.to_owned()) }]
    }

    fn row(value: &str) -> (i64, SourceRow) {
        (3, SourceRow { source_key: KEY, key: columns("k"), columns: columns(value) })
    }

    fn state(window: i64, value: &str, sum: i64) -> State {
        let row = TableRow { sum, columns: columns(value), messages: Vec::new() };
        State { source_key: KEY, window, row }
    }

    fn kinds(postgres: Vec<(i64, SourceRow)>, clickhouse: Vec<State>) -> Vec<(DifferenceKind, usize)> {
        let mut listing = Listing::default();
        listing.add(postgres, clickhouse);
        listing.differences().iter().map(|difference| (difference.kind, difference.window)).collect()
    }

    #[test]
    fn each_kind_is_told_by_the_states_of_the_key() {
        use DifferenceKind::{Different, Doubled, Extra, Missing};
        assert_eq!(kinds(vec![row("a")], vec![state(3, "a", 1)]), []);
        assert_eq!(kinds(vec![row("a")], vec![]), [(Missing, 3)]);
        assert_eq!(kinds(vec![], vec![state(4, "a", 1)]), [(Extra, 4)]);
        assert_eq!(kinds(vec![], vec![state(4, "a", -1)]), [(Extra, 4)]);
        assert_eq!(kinds(vec![row("a")], vec![state(3, "a", 2)]), [(Doubled, 3)]);
        assert_eq!(kinds(vec![row("a")], vec![state(3, "b", 1)]), [(Different, 3)]);
        assert_eq!(kinds(vec![row("a")], vec![state(3, "a", 1), state(3, "b", 1)]), [(Different, 3)]);
    }

    #[test]
    fn a_row_whose_time_differs_is_one_difference_where_postgresql_has_it() {
        let mut listing = Listing::default();
        listing.add(vec![], vec![state(9, "b", 1)]);
        listing.add(vec![row("a")], vec![]);
        let found: Vec<_> = listing.differences().iter().map(|found| (found.kind, found.window)).collect();
        assert_eq!(found, [(DifferenceKind::Different, 3)]);
    }

    #[test]
    fn what_turns_out_to_be_complete_is_no_difference() {
        let mut listing = Listing::default();
        listing.add(vec![], vec![state(9, "b", -1)]);
        listing.complete(vec![state(3, "a", 1)]);
        listing.add_rows(vec![row("a")]);
        assert_eq!(listing.differences(), []);
    }
}
