//! What an exchange would do to a table, said before it is done, and what it is refused for.
//!
//! Invariant: an exchange that loses rows, or leaves more keys out of order than there are, happens only when it was allowed
//! by name; the refusal has the numbers and examples.

use std::fmt::Write as _;

use nova_clickhouse::TableInfo;
use nova_clickhouse::rebuild::{Contradictory, Difference, Fewer, Shadow, TypeSum};
use nova_pipeline::PipelineError;
use nova_streams::{LINEAGE_COLUMNS, Mapping};
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::table::table;

/// What was allowed by name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// Messages with fewer rows than the table has of them.
    pub fewer: bool,
    /// Keys that would not have one state or none.
    pub contradictions: bool,
}

/// The table's rows of the range against those that were made anew.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Partitions that differ, and so are exchanged.
    pub partitions: Vec<Difference>,
    /// Sums of `sign` by the table's enumeration, if it has one.
    pub types: Vec<TypeSum>,
    /// Messages with fewer rows.
    pub fewer: Fewer,
    /// Keys out of order.
    pub contradictory: Contradictory,
}

/// The columns by which rows are compared: all that the mapping writes.
pub fn written(mapping: &Mapping) -> Vec<String> {
    mapping.columns().iter().map(|(column, _)| column.clone()).collect()
}

impl Check {
    /// Asks the server. Where nothing differs, nothing more is asked.
    ///
    /// # Errors
    /// Those of ClickHouse, by kind.
    pub async fn make(shadow: &Shadow, mapping: &Mapping, info: &TableInfo) -> Result<Self, PipelineError> {
        let written = written(mapping);
        let mut check = Self {
            partitions: shadow.differing(&written).await?,
            types: Vec::new(),
            fewer: Fewer::default(),
            contradictory: Contradictory::default(),
        };
        if check.partitions.is_empty() {
            return Ok(check);
        }
        let (declared, _) = written.split_at(written.len().saturating_sub(LINEAGE_COLUMNS.len()));
        let is_enum = |column: &&String| info.type_text(column).is_some_and(|text| text.starts_with("Enum"));
        if let Some(column) = declared.iter().find(is_enum) {
            check.types = shadow.type_sums(column).await?;
        }
        check.fewer = shadow.fewer().await?;
        check.contradictory = shadow.contradictory(declared).await?;
        Ok(check)
    }

    /// Why it must not be done, unless it was allowed.
    pub fn refusal(&self, allowed: Allowed) -> Option<Failure> {
        let Fewer { messages, rows, examples } = &self.fewer;
        if *messages > 0 && !allowed.fewer {
            let places: Vec<String> = examples
                .iter()
                .map(|at| format!("[{}]@{} ({} → {})", at.kafka_partition, at.kafka_offset, at.has, at.gets))
                .collect();
            let message = format!(
                "{messages} messages would have {rows} rows fewer than the table has of them: {}",
                places.join(", ")
            );
            let cure = "They are gone from the topic, today's mapping skips or refuses them, or they are open dead letters. Begin \
                        the range behind them (--from), correct the mapping, mark the letters (`nova dlq retry`), or add \
                        --allow-fewer if the rows are to go.";
            return Some(Failure::new(Exit::Differences, message).with_cure(cure));
        }
        let Contradictory { before, after, examples } = &self.contradictory;
        if after > before && !allowed.contradictions {
            let message = format!(
                "{after} keys would not have one state or none, where {before} have not now: source_key {}",
                examples.join(", ")
            );
            let cure = "Their changes lie on both sides of the range's ends (use --from earliest), or were repaired, backfilled or \
                        read by a snapshot in place of messages that come now. With --allow-contradictions it is done, and \
                        `nova reconcile` names what `nova repair` then makes good.";
            return Some(Failure::new(Exit::Differences, message).with_cure(cure));
        }
        None
    }

    /// For people.
    pub fn text(&self) -> String {
        if self.partitions.is_empty() {
            return "the table has exactly these rows of the range already\n".to_owned();
        }
        let row = |difference: &Difference| {
            let Difference { partition, table, filled } = difference;
            let numbers = [table.rows, filled.rows].map(|rows| rows.to_string());
            let [has, gets] = numbers;
            vec![partition.clone(), has, gets, table.sign.to_string(), filled.sign.to_string()]
        };
        let rows: Vec<Vec<String>> = self.partitions.iter().map(row).collect();
        let mut text = table(&["partition", "rows", "rows anew", "sum(sign)", "anew"], &rows);
        let types: Vec<Vec<String>> = self
            .types
            .iter()
            .map(|sum| vec![sum.value.clone(), sum.table.to_string(), sum.filled.to_string()])
            .collect();
        if !types.is_empty() {
            text += &table(&["value", "sum(sign)", "anew"], &types);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "messages with fewer rows: {}; keys without one state or none: {} now, {} then",
            self.fewer.messages, self.contradictory.before, self.contradictory.after
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use nova_clickhouse::rebuild::{Digest, FewerAt};

    use super::*;

    fn check() -> Check {
        let digest = |rows| Digest { rows, ..Digest::default() };
        let partition = "202601".to_owned();
        Check {
            partitions: vec![Difference { partition, table: digest(8), filled: digest(6) }],
            types: vec![TypeSum { value: "like".to_owned(), table: 8, filled: 6 }],
            fewer: Fewer::default(),
            contradictory: Contradictory { before: 2, after: 2, examples: vec!["k".to_owned()] },
        }
    }

    #[test]
    fn rows_are_lost_and_keys_put_out_of_order_only_by_name() {
        assert!(check().refusal(Allowed::default()).is_none());
        let at = FewerAt { kafka_partition: 3, kafka_offset: 4711, has: 2, gets: 0 };
        let losing = Check { fewer: Fewer { messages: 1, rows: 2, examples: vec![at] }, ..check() };
        let refused = losing.refusal(Allowed { contradictions: true, ..Allowed::default() }).unwrap();
        assert_eq!(refused.exit, Exit::Differences);
        assert!(
            refused.message.contains("[3]@4711 (2 → 0)") && refused.cure.contains("--allow-fewer"),
            "{refused:?}"
        );
        assert!(losing.refusal(Allowed { fewer: true, ..Allowed::default() }).is_none());

        let mut crossed = check();
        crossed.contradictory.after = 3;
        let refused = crossed.refusal(Allowed { fewer: true, ..Allowed::default() }).unwrap();
        assert!(
            refused.message.starts_with("3 keys") && refused.cure.contains("--from earliest"),
            "{refused:?}"
        );
        assert!(crossed.refusal(Allowed { contradictions: true, ..Allowed::default() }).is_none());
    }

    #[test]
    fn both_sides_are_shown_and_equality_is_said() {
        let text = check().text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("202601 8 6 0 0") && text.contains("like 8 6"), "{text}");
        let equal = Check { partitions: Vec::new(), ..check() };
        assert!(equal.text().contains("already"));
    }
}
