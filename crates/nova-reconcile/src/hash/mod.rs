//! A row's hash, the same 64 bits from PostgreSQL's row and from ClickHouse's.
//!
//! PostgreSQL computes it with its own hash functions in C, ClickHouse with arithmetic ([`ladder`]); per column, then
//! joined by XOR, each column shifted by its place. A window's checksum is the sum over its rows: free of order, and
//! exact on both sides (`numeric`, `Int128`).
//!
//! Invariant: equal rows have equal hashes, for every pair of types that is not refused with the column named.

mod array;
mod column;
mod ladder;
mod lookup3;

use nova_streams::{ColumnType, Stream};

use crate::ReconcileError;
use crate::source_table::SourceTable;
use column::{ClickHouseHash, ColumnHash};
use ladder::Input;

/// Shifted further, a column would lose too many of its bits.
const SHIFTS: usize = 24;

/// How both sides compute a row's hash.
#[derive(Debug, Clone)]
pub(crate) struct RowHash {
    columns: Vec<ColumnHash>,
}

impl RowHash {
    /// Over all declared columns of a stream, in the order of `columns`, and the identity where it is one uuid.
    ///
    /// # Errors
    /// [`ReconcileError::Refused`] with the column that cannot be compared.
    pub(crate) fn of(
        stream: &Stream,
        source: &SourceTable,
        columns: &[(String, ColumnType)],
    ) -> Result<Self, ReconcileError> {
        let refuse = |what: String| ReconcileError::Refused { stream: stream.name.clone(), reason: what };
        let mut hashes = Vec::new();
        for (name, column_type) in columns {
            let Some(declaration) = stream.columns.get(name) else { continue };
            let hash =
                ColumnHash::declared(name, column_type, &declaration.source, |field| source.column(field))
                    .map_err(|error| refuse(error.to_string()))?;
            hashes.push(hash);
        }
        if let [key] = stream.key.as_slice()
            && source.column(key).is_some_and(|column| column.type_name == "uuid")
        {
            hashes.push(ColumnHash::identity(key));
        }
        Ok(Self { columns: hashes })
    }

    /// PostgreSQL's expression, `bigint`.
    pub(crate) fn postgres(&self) -> String {
        let shifted =
            |(place, column): (usize, &ColumnHash)| format!("({} << {})", column.postgres, place % SHIFTS);
        let mut all: Vec<(usize, &ColumnHash)> = self.columns.iter().enumerate().collect();
        // Constants first: PostgreSQL makes one number of them when it plans.
        all.sort_by_key(|(_, column)| !column.is_constant);
        let all: Vec<String> = all.into_iter().map(shifted).collect();
        format!("({})", all.join(" # "))
    }

    /// ClickHouse's SELECT of `carried` columns (name and expression), and of `row_hash`, `Int64`.
    pub(crate) fn clickhouse(&self, carried: &[(&str, String)], from: &str) -> String {
        let mut inner: Vec<(String, String)> =
            carried.iter().map(|(name, expression)| ((*name).to_owned(), expression.clone())).collect();
        let (mut inputs, mut row) = (Vec::new(), String::from("toInt64(0)"));
        for (place, column) in self.columns.iter().enumerate() {
            let name = format!("nova_h{place}");
            let mut hash = match &column.clickhouse {
                ClickHouseHash::Ladder(kind, expression) => {
                    inputs.push(Input { name: name.clone(), kind: *kind, expression: expression.clone() });
                    ladder::value(&name)
                }
                ClickHouseHash::Ready(expression) => {
                    inner.push((name.clone(), expression.clone()));
                    name.clone()
                }
            };
            if let Some(condition) = &column.null_if {
                inner.push((format!("{name}_null"), condition.clone()));
                hash = format!("if({name}_null, toInt64({}), {hash})", ColumnHash::null());
            }
            row = format!("bitXor({row}, bitShiftLeft({hash}, {}))", place % SHIFTS);
        }
        let names: Vec<&str> = carried.iter().map(|(name, _)| *name).collect();
        let separator = if names.is_empty() { "" } else { ", " };
        format!(
            "SELECT {}{separator}{row} AS row_hash FROM ({})",
            names.join(", "),
            ladder::select(&inner, &inputs, from)
        )
    }
}
