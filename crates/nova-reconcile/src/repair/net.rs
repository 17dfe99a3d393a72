//! The arithmetic of repairs: which rows make up for a difference, and what rows come to.
//!
//! Invariant: the rows for a difference come to PostgreSQL's state minus ClickHouse's sums, which live traffic does not
//! change.

use std::collections::BTreeMap;

use super::plan::PlannedRow;
use crate::{Column, Difference};

/// A column's name and value.
type Value<'r> = (&'r str, Option<&'r str>);

/// What rows come to: the sum of each state that is not 0.
pub(super) fn net<'r>(rows: impl IntoIterator<Item = &'r PlannedRow>) -> BTreeMap<Vec<Value<'r>>, i64> {
    let mut sums = BTreeMap::new();
    for row in rows {
        let mut state: Vec<Value<'r>> =
            row.columns.iter().map(|column| (column.name.as_str(), column.value.as_deref())).collect();
        state.sort_unstable();
        *sums.entry(state).or_default() += i64::from(row.sign);
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// What takes ClickHouse's sums to PostgreSQL's: every state to 0, but the one that PostgreSQL has to 1.
pub(super) fn rows_for(difference: &Difference) -> Vec<PlannedRow> {
    let mut rows = Vec::new();
    let mut lacks = difference.postgres.as_deref();
    for state in &difference.clickhouse {
        let target = i64::from(lacks == Some(state.columns.as_slice()));
        if target == 1 {
            lacks = None;
        }
        rows.extend(repeated(&state.columns, target - state.sum));
    }
    if let Some(columns) = lacks {
        rows.extend(repeated(columns, 1));
    }
    rows
}

fn repeated(columns: &[Column], change: i64) -> impl Iterator<Item = PlannedRow> {
    let sign = if change < 0 { -1 } else { 1 };
    let count = usize::try_from(change.unsigned_abs()).unwrap_or(usize::MAX);
    std::iter::repeat_n(PlannedRow { sign, columns: columns.to_vec() }, count)
}
