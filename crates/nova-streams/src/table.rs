//! A ClickHouse table's columns as the server reports them; what a mapping is checked against.

use crate::ColumnType;

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether the server fills it when an insert leaves it out (DEFAULT, MATERIALIZED, ALIAS).
    pub has_default: bool,
}

/// A table's name and columns, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// The table's name, without database.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
}

impl TableSchema {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
