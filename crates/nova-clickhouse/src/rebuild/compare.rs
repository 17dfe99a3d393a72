//! What a rebuild would change, asked of the server: partitions that differ, messages with fewer rows, keys out of order.
//!
//! A digest is a count, a sum of `sign` and two order-free checksums of the rows' bytes, so equal digests are equal sets of
//! rows, doubles included.
//!
//! Invariant: asking changes nothing, and memory on the server is bounded: lineage is compared a window of offsets at a time,
//! keys in a grouping that goes to disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ClickHouseError;
use crate::sql::identifier;

use super::carry::{Assembled, of_partition};
use super::{Frontier, Shadow};

/// Offsets that are compared by one question.
const WINDOW: i64 = 1_000_000;
/// Examples of each finding.
const EXAMPLES: usize = 10;

/// What a set of rows is, whatever their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many.
    pub rows: u64,
    /// The sum of `sign`.
    pub sign: i64,
    /// The sum of the rows' 64-bit hashes, modulo 2^64.
    pub sum: u64,
    /// Their exclusive or.
    pub xor: u64,
}

/// A partition whose rows of the scope are not those that were filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The partition's id, such as `202601`.
    pub partition: String,
    /// What the table has of the scope there.
    pub table: Digest,
    /// What was filled.
    pub filled: Digest,
}

/// The sum of `sign` of one value of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeSum {
    /// The value.
    pub value: String,
    /// In the table's rows of the scope.
    pub table: i64,
    /// In what was filled.
    pub filled: i64,
}

/// A message that has fewer rows in what was filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FewerAt {
    /// The partition of the topic.
    pub kafka_partition: i32,
    /// The offset.
    pub kafka_offset: i64,
    /// Rows that the table has of it; one that is there twice counts once.
    pub has: u64,
    /// Rows that were filled.
    pub gets: u64,
}

/// Messages that have fewer rows in what was filled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fewer {
    /// How many messages.
    pub messages: u64,
    /// How many rows they lack.
    pub rows: u64,
    /// Some of them.
    pub examples: Vec<FewerAt>,
}

/// Keys that do not have one state, once, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Contradictory {
    /// How many in the table.
    pub before: u64,
    /// How many there would be.
    pub after: u64,
    /// Some of those: their `source_key`.
    pub examples: Vec<String>,
}

#[derive(Deserialize)]
struct DigestLine {
    id: String,
    rows: u64,
    signs: i64,
    sum: u64,
    xor: u64,
}

#[derive(Deserialize)]
struct KeysLine {
    keys: u64,
    examples: Vec<String>,
}

impl Assembled<'_> {
    /// Whether what was copied is, as of the frontier, all that the table has of the partition and nothing else.
    pub(super) async fn is_carried(&self, frontier: &Frontier) -> Result<bool, ClickHouseError> {
        let Shadow { table, scope, columns, .. } = self.shadow;
        let rows =
            format!("{} AND NOT {} AND NOT {}", of_partition(&self.id), scope.holds(), frontier.beyond());
        let theirs = self.shadow.digests(table, &rows, columns).await?;
        Ok(theirs == self.shadow.digests(&self.name, &rows, columns).await?)
    }
}

impl Shadow {
    /// The partitions whose rows of the scope differ by these columns. A row's `ingested_at` says when it was written, and is
    /// best not among them.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn differing(&self, columns: &[String]) -> Result<Vec<Difference>, ClickHouseError> {
        let columns: Vec<String> = columns.iter().map(|column| identifier(column)).collect();
        let holds = self.scope.holds();
        let table = self.digests(&self.table, &holds, &columns).await?;
        let filled = self.digests(self.filled(), &holds, &columns).await?;
        let mut ids: Vec<&String> = table.keys().chain(filled.keys()).collect();
        ids.sort_unstable();
        ids.dedup();
        let of =
            |digests: &BTreeMap<String, Digest>, id: &String| digests.get(id).copied().unwrap_or_default();
        Ok(ids
            .into_iter()
            .map(|id| Difference { partition: id.clone(), table: of(&table, id), filled: of(&filled, id) })
            .filter(|difference| difference.table != difference.filled)
            .collect())
    }

    /// By partition, of the rows that the condition chooses.
    async fn digests(
        &self,
        name: &str,
        rows: &str,
        columns: &[String],
    ) -> Result<BTreeMap<String, Digest>, ClickHouseError> {
        // Bytes, since a hash of several arguments is NULL as soon as one of them is.
        let sql = format!(
            "SELECT id, count() AS rows, sum(sign) AS signs, sum(digest) AS sum, groupBitXor(digest) AS xor FROM \
             (SELECT _partition_id AS id, sign, cityHash64(formatRow('RowBinary', {})) AS digest FROM {} WHERE {rows}) \
             GROUP BY id",
            columns.join(", "),
            self.path(name)
        );
        let lines: Vec<DigestLine> = self.client.query_rows(&sql, &[]).await?;
        let digest = |line: DigestLine| {
            let DigestLine { id, rows, signs: sign, sum, xor } = line;
            (id, Digest { rows, sign, sum, xor })
        };
        Ok(lines.into_iter().map(digest).collect())
    }

    /// Messages of the scope of which the table has rows that were not filled: gone from the topic, skipped or put aside by
    /// today's mapping, or told by another message of the same offset in a topic that was made again.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn fewer(&self) -> Result<Fewer, ClickHouseError> {
        let mut fewer = Fewer::default();
        for (partition, range) in self.scope.ranges.iter() {
            let mut start = range.start;
            while start < range.end {
                let end = start.saturating_add(WINDOW).min(range.end);
                self.fewer_within(partition, start, end, &mut fewer).await?;
                start = end;
            }
        }
        Ok(fewer)
    }

    async fn fewer_within(
        &self,
        partition: i32,
        start: i64,
        end: i64,
        fewer: &mut Fewer,
    ) -> Result<(), ClickHouseError> {
        #[derive(Deserialize)]
        struct Line {
            messages: u64,
            rows: u64,
            examples: Vec<(i64, u64, u64)>,
        }
        let side = |name: &str, is_table: u8| {
            format!(
                "SELECT kafka_offset, uniqExact(ordinal, event_id) AS rows, {is_table} AS is_table FROM {} \
                 WHERE topic = {{topic:String}} AND kafka_partition = {partition} AND kafka_offset >= {start} \
                 AND kafka_offset < {end} GROUP BY kafka_offset",
                self.path(name)
            )
        };
        let sql = format!(
            "SELECT count() AS messages, sum(has - gets) AS rows, groupArray({EXAMPLES})((kafka_offset, has, gets)) AS examples \
             FROM (SELECT kafka_offset, toUInt64(sumIf(rows, is_table)) AS has, toUInt64(sumIf(rows, NOT is_table)) AS gets \
             FROM ({} UNION ALL {}) GROUP BY kafka_offset HAVING has > gets ORDER BY kafka_offset)",
            side(&self.table, 1),
            side(self.filled(), 0)
        );
        let topic = [("topic", self.scope.topic.as_str())];
        for Line { messages, rows, examples } in self.client.query_rows(&sql, &topic).await? {
            fewer.messages += messages;
            fewer.rows += rows;
            let at =
                |(kafka_offset, has, gets)| FewerAt { kafka_partition: partition, kafka_offset, has, gets };
            fewer.examples.extend(examples.into_iter().map(at));
            fewer.examples.truncate(EXAMPLES);
        }
        Ok(())
    }

    /// Sums of `sign` by the values of an enumeration, both sides of the scope.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn type_sums(&self, column: &str) -> Result<Vec<TypeSum>, ClickHouseError> {
        let side = |name: &str, is_table: u8| {
            let (column, path, holds) = (identifier(column), self.path(name), self.scope.holds());
            format!(
                "SELECT toString({column}) AS value, sign, {is_table} AS is_table FROM {path} WHERE {holds}"
            )
        };
        let sql = format!(
            "SELECT value, sumIf(sign, is_table) AS table, sumIf(sign, NOT is_table) AS filled FROM ({} UNION ALL {}) \
             GROUP BY value ORDER BY value",
            side(&self.table, 1),
            side(self.filled(), 0)
        );
        self.client.query_rows(&sql, &[]).await
    }

    /// Keys of the topic that do not have one state or none, by the declared columns, in the table and as it will be.
    ///
    /// # Errors
    /// See [`ClickHouseError`].
    pub async fn contradictory(&self, declared: &[String]) -> Result<Contradictory, ClickHouseError> {
        let (before, _) = self.improper(&self.table, declared).await?;
        let (after, examples) = self.improper(&self.asked(), declared).await?;
        Ok(Contradictory { before, after, examples })
    }

    async fn improper(&self, name: &str, declared: &[String]) -> Result<(u64, Vec<String>), ClickHouseError> {
        let declared: Vec<String> = declared.iter().map(|column| identifier(column)).collect();
        let sql = format!(
            "SELECT count() AS keys, arrayMap(key -> toString(key), groupArray({EXAMPLES})(source_key)) AS examples FROM \
             (SELECT source_key FROM (SELECT source_key, cityHash64(formatRow('RowBinary', {})) AS state, sum(sign) AS times \
             FROM {} WHERE topic = {{topic:String}} GROUP BY source_key, state HAVING times != 0) \
             GROUP BY source_key HAVING count() > 1 OR any(times) != 1) \
             SETTINGS max_bytes_before_external_group_by = 1000000000",
            declared.join(", "),
            self.path(name)
        );
        let lines: Vec<KeysLine> = self.client.query_rows(&sql, &[("topic", &self.scope.topic)]).await?;
        Ok(lines.into_iter().next().map(|line| (line.keys, line.examples)).unwrap_or_default())
    }
}
