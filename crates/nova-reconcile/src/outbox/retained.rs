//! What the outbox still has, as a condition on ClickHouse's rows; the module above says why it is the right one.

use std::collections::{BTreeMap, BTreeSet};

use nova_clickhouse::Client;
use nova_pipeline::REPAIR_PARTITION;
use nova_streams::Stream;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::table::routed;
use crate::ReconcileError;
use crate::error::Doing as _;
use crate::grid::instant;
use crate::report::{DifferenceKind, SnapshotTaken, StreamReport};
use crate::sql::{ch_literal, ch_name, pg_name};
use crate::visibility::exact;

/// The outbox's numbers and days, and what was learned about single events.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    /// When the days that have rows begin, in milliseconds since 1970, ascending.
    begins: Vec<i64>,
    /// The numbers of the rows of a day or of several whose numbers overlap; ascending and apart.
    ranges: Vec<(i64, i64)>,
    /// Transactions that have no row left.
    gone: BTreeSet<u64>,
    /// Keys of such transactions that were repaired: a repair has a transaction and a position of another time.
    gone_keys: BTreeSet<Uuid>,
    /// Keys that the outbox has, and whose event arrived without a number.
    unnumbered: BTreeSet<Uuid>,
}

/// A row of ClickHouse.
struct Origin {
    key: Uuid,
    transaction: u64,
    is_repair: bool,
    is_unnumbered: bool,
}

impl Retained {
    /// Reads the days. From here on all readers hold the lock that keeps days from being dropped.
    pub(super) async fn read(readers: &mut [PgConnection], stream: &Stream) -> Result<Self, ReconcileError> {
        let (table, created_at) = (table(stream), pg_name(&stream.time));
        let sql = format!(
            "SELECT (extract(epoch FROM day) * 1000)::int8, first, last FROM \
             (SELECT date_trunc('day', {created_at}) AS day, min(seq) AS first, max(seq) AS last FROM {table} \
             WHERE {} GROUP BY 1) AS days ORDER BY 1",
            routed(stream)
        );
        let mut days: Vec<(i64, i64, i64)> = Vec::new();
        for (number, reader) in readers.iter_mut().enumerate().rev() {
            if number == 0 {
                let query = sqlx::query_as(AssertSqlSafe(sql.clone())).persistent(false);
                days = query.fetch_all(reader).await.doing("reading the outbox's days")?;
            } else {
                let sql = format!("SELECT 1 FROM {table} LIMIT 0");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(reader).await.doing("locking the outbox")?;
            }
        }
        let begins = days.iter().map(|day| day.0).collect();
        let ranges = joined(days.into_iter().map(|(_, first, last)| (first, last)).collect());
        Ok(Self { begins, ranges, ..Self::default() })
    }

    /// Conditions on the events that share the outbox out among readers: a day each.
    pub(crate) fn pieces(&self) -> Vec<String> {
        let inner = self.begins.get(1..).unwrap_or_default();
        let from = |begin: &i64| format!("nova_created_at >= {}", instant(*begin));
        let to = |end: &i64| format!("nova_created_at < {}", instant(*end));
        let mut pieces: Vec<String> = inner
            .iter()
            .zip(inner.iter().skip(1))
            .map(|(begin, end)| format!("{} AND {}", from(begin), to(end)))
            .collect();
        match (inner.first(), inner.last()) {
            (Some(first), Some(last)) => pieces.extend([to(first), from(last)]),
            _ => pieces.push("true".to_owned()),
        }
        pieces
    }

    /// ClickHouse's condition for rows that the snapshot sees and the outbox can speak for.
    pub(crate) fn condition(&self, taken: &SnapshotTaken) -> String {
        format!("{} AND {}", exact(taken), self.scope())
    }

    fn scope(&self) -> String {
        let mut numbers: Vec<String> = vec![format!("kafka_partition = {REPAIR_PARTITION}")];
        let range = |(first, last): &(i64, i64)| format!("source_lsn BETWEEN {first} AND {last}");
        numbers.extend(self.ranges.iter().map(range));
        if !self.unnumbered.is_empty() {
            numbers.push(format!("(source_lsn = 0 AND {})", among(&self.unnumbered)));
        }
        let mut conditions = vec![format!("({})", numbers.join(" OR "))];
        if !self.gone.is_empty() {
            let gone: Vec<String> = self.gone.iter().map(u64::to_string).collect();
            let gone = gone.join(", ");
            conditions.push(format!("(kafka_partition = {REPAIR_PARTITION} OR source_tx NOT IN ({gone}))"));
        }
        if !self.gone_keys.is_empty() {
            conditions.push(format!("NOT {}", among(&self.gone_keys)));
        }
        format!("({})", conditions.join(" AND "))
    }

    /// Looks at what a comparison found extra or missing, and whether the outbox or a number accounts for it; `false` if
    /// there is nothing new.
    pub(super) async fn learn(
        &mut self,
        client: &Client,
        reader: &mut PgConnection,
        stream: &Stream,
        taken: &SnapshotTaken,
        report: &StreamReport,
    ) -> Result<bool, ReconcileError> {
        let of_kind = |kind: DifferenceKind| -> BTreeSet<Uuid> {
            report
                .differences
                .iter()
                .filter(|found| found.kind == kind)
                .map(|found| found.source_key)
                .collect()
        };
        let (extra, missing) = (of_kind(DifferenceKind::Extra), of_kind(DifferenceKind::Missing));
        let keys: BTreeSet<Uuid> = extra.union(&missing).copied().collect();
        if keys.is_empty() {
            return Ok(false);
        }
        let before = self.learned();
        let mut by_key: BTreeMap<Uuid, Vec<Origin>> = BTreeMap::new();
        for origin in origins(client, stream, taken, &keys).await? {
            if origin.is_unnumbered && missing.contains(&origin.key) {
                self.unnumbered.insert(origin.key);
            }
            if extra.contains(&origin.key) {
                by_key.entry(origin.key).or_default().push(origin);
            }
        }
        let named: BTreeSet<u64> = by_key.values().flatten().filter_map(Origin::transaction).collect();
        let there = there(reader, stream, &named).await?;
        for (key, origins) in by_key {
            let transactions: Vec<u64> = origins.iter().filter_map(Origin::transaction).collect();
            if transactions.iter().any(|transaction| there.contains(transaction)) {
                continue;
            }
            if origins.iter().any(|origin| origin.is_repair) {
                self.gone_keys.insert(key);
            }
            self.gone.extend(transactions);
        }
        Ok(self.learned() > before)
    }

    fn learned(&self) -> usize {
        self.gone.len() + self.gone_keys.len() + self.unnumbered.len()
    }

    /// What was not compared, in words.
    pub(super) async fn note(
        &self,
        client: &Client,
        stream: &Stream,
        taken: &SnapshotTaken,
    ) -> Result<Option<String>, ReconcileError> {
        let sql = format!(
            "SELECT countIf(source_lsn != 0), countIf(source_lsn = 0) FROM {} WHERE topic = {} AND {} AND NOT {}",
            ch_name(&stream.table),
            ch_literal(&stream.topic),
            exact(taken),
            self.scope()
        );
        let text = client.query_text(&sql, &[]).await?;
        let mut counts = text.split_whitespace();
        let mut count = || counts.next().and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
        let (gone, unnumbered) = (count(), count());
        let mut notes = Vec::new();
        if gone > 0 {
            notes.push(format!("{gone} rows of ClickHouse are of days that the outbox no longer has"));
        }
        if unnumbered > 0 {
            notes.push(format!("{unnumbered} rows of ClickHouse arrived without the header `seq`"));
        }
        Ok((!notes.is_empty()).then(|| format!("{}: not compared", notes.join(", and "))))
    }
}

impl Origin {
    /// The outbox's transaction, if the row has it from there.
    fn transaction(&self) -> Option<u64> {
        (!self.is_repair && !self.is_unnumbered).then_some(self.transaction)
    }

    fn read(line: &str) -> Option<Self> {
        let mut cells = line.split('\t');
        let (key, transaction) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
        let mut is = || cells.next().map(|cell| cell == "1");
        Some(Self { key, transaction, is_repair: is()?, is_unnumbered: is()? })
    }
}

/// Where the rows of these keys come from; also those that are out of scope.
async fn origins(
    client: &Client,
    stream: &Stream,
    taken: &SnapshotTaken,
    keys: &BTreeSet<Uuid>,
) -> Result<Vec<Origin>, ReconcileError> {
    let sql = format!(
        "SELECT DISTINCT source_key, source_tx, kafka_partition = {REPAIR_PARTITION}, \
         source_lsn = 0 AND kafka_partition != {REPAIR_PARTITION} FROM {} WHERE topic = {} AND {} AND {} \
         SETTINGS select_sequential_consistency = 1",
        ch_name(&stream.table),
        ch_literal(&stream.topic),
        exact(taken),
        among(keys)
    );
    let unknown =
        |line: &str| ReconcileError::Answer { server: "ClickHouse", found: line.chars().take(80).collect() };
    let text = client.query_text(&sql, &[]).await?;
    text.lines().map(|line| Origin::read(line).ok_or_else(|| unknown(line))).collect()
}

/// Those of the transactions that have a row in the outbox.
async fn there(
    reader: &mut PgConnection,
    stream: &Stream,
    transactions: &BTreeSet<u64>,
) -> Result<BTreeSet<u64>, ReconcileError> {
    if transactions.is_empty() {
        return Ok(BTreeSet::new());
    }
    let wanted: Vec<i64> = transactions.iter().map(|transaction| transaction.cast_signed()).collect();
    let sql = format!("SELECT DISTINCT source_tx FROM {} WHERE source_tx = ANY($1)", table(stream));
    let found: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(wanted)
        .persistent(false)
        .fetch_all(reader)
        .await
        .doing("looking for transactions in the outbox")?;
    Ok(found.into_iter().map(i64::cast_unsigned).collect())
}

fn table(stream: &Stream) -> String {
    let (schema, table) = stream.source.split_once('.').unwrap_or(("public", &stream.source));
    format!("{}.{}", pg_name(schema), pg_name(table))
}

fn among(keys: &BTreeSet<Uuid>) -> String {
    let keys: Vec<String> = keys.iter().map(Uuid::to_string).collect();
    format!("source_key IN (SELECT toUUID(arrayJoin(splitByChar(',', '{}'))))", keys.join(","))
}

/// Ranges that overlap as one.
fn joined(mut ranges: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    ranges.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> SnapshotTaken {
        SnapshotTaken { taken_ms: 0, lsn: 0, xmin: 7, xmax: 9, running: vec![8], waited_ms: 0 }
    }

    #[test]
    fn days_whose_numbers_overlap_are_one_range_and_a_day_that_is_gone_is_a_gap() {
        assert_eq!(joined(vec![(40, 60), (1, 10), (9, 20)]), [(1, 20), (40, 60)]);
        let retained = Retained { ranges: vec![(1, 20), (40, 60)], ..Retained::default() };
        assert_eq!(
            retained.condition(&taken()),
            "(source_tx < 7 OR (source_tx < 9 AND source_tx NOT IN (8))) AND \
             ((kafka_partition = 2147483647 OR source_lsn BETWEEN 1 AND 20 OR source_lsn BETWEEN 40 AND 60))"
        );
    }

    #[test]
    fn every_day_is_one_piece_and_the_ends_are_open() {
        let day = 86_400_000;
        let pieces = |begins: &[i64]| Retained { begins: begins.to_vec(), ..Retained::default() }.pieces();
        assert_eq!(pieces(&[]), ["true"]);
        assert_eq!(pieces(&[0]), ["true"]);
        let time = |day: u8| format!("timestamptz '1970-01-0{day} 00:00:00.000+00'");
        let expected = [
            format!("nova_created_at >= {} AND nova_created_at < {}", time(2), time(4)),
            format!("nova_created_at < {}", time(2)),
            format!("nova_created_at >= {}", time(4)),
        ];
        assert_eq!(pieces(&[0, day, 3 * day]), expected);
    }
}
