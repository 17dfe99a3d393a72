//! Which tables a connector is reading in an incremental snapshot, by the offsets that it has written down (KIP-875).
//!
//! Debezium keeps the state of an incremental snapshot in its offsets, and takes it out when the snapshot has ended
//! (`AbstractIncrementalSnapshotContext` of Debezium 3.7).

use serde_json::Value;

/// Where a connector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The position in the log that it has passed.
    pub lsn: u64,
    /// The tables that it still reads, as Debezium writes them; empty when none.
    tables: String,
}

impl Reading {
    /// Reads the answer of Connect; `None` before a connector has written anything down.
    pub(super) fn of(offsets: &Value) -> Option<Self> {
        let offset = offsets.get("offsets")?.as_array()?.iter().find_map(|entry| entry.get("offset"))?;
        let lsn = offset.get("lsn_proc").or_else(|| offset.get("lsn"))?.as_u64()?;
        let tables = offset.get("incremental_snapshot_collections").and_then(Value::as_str);
        Some(Self { lsn, tables: tables.unwrap_or_default().to_owned() })
    }

    /// Whether it reads the table, `schema.table`.
    pub fn names(&self, table: &str) -> bool {
        self.tables.contains(&format!("\"{table}\""))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_read_as_long_as_it_is_named() {
        let collections = r#"[{"incremental_snapshot_collections_id":"public.likes"}]"#;
        let offsets =
            |offset: Value| json!({"offsets": [{"partition": {"server": "cdc"}, "offset": offset}]});
        let reading = Reading::of(&offsets(
            json!({"lsn_proc": 41, "lsn": 40, "incremental_snapshot_collections": collections}),
        ))
        .unwrap();
        assert!(reading.lsn == 41 && reading.names("public.likes") && !reading.names("public.like"));
        let done = Reading::of(&offsets(json!({"lsn": 50}))).unwrap();
        assert!(done.lsn == 50 && !done.names("public.likes"));
        assert_eq!(Reading::of(&json!({"offsets": []})), None);
    }
}
