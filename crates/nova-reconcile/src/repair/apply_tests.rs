//! Applications on a table in memory: cut off, repeated, stale, side by side.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use nova_pipeline::{
    Block, ErrorKind, MessageRows, PipelineError, REPAIR_PARTITION, Ranges, Resolved, RowId, Seen, Sink,
    Standing,
};
use nova_streams::{Cell, ColumnType, Stream, StreamSet};
use uuid::Uuid;

use super::*;
use crate::{Column, Difference, DifferenceKind, SnapshotTaken, TableRow};

/// What an insert does.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Writes this many rows, and the reply is lost.
    CutAfter(usize),
    /// Writes nothing, for good.
    Refuse,
}

/// A key's sum by value, and the lineage of repairs.
#[derive(Default)]
struct Table {
    sums: BTreeMap<(Uuid, String), i64>,
    lineage: BTreeSet<RowId>,
    doubled: usize,
    tokens: Vec<String>,
    faults: VecDeque<Fault>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Table>>);

#[derive(Clone, Default)]
struct Rows(Vec<(RowId, Uuid, String, i64)>);

impl Block for Rows {
    fn push(&mut self, message: &MessageRows<'_, '_>) -> Result<(), PipelineError> {
        for row in message.rows {
            let [
                Cell::Text(value),
                Cell::Int(sign),
                Cell::Uuid(event_id),
                Cell::Uuid(key),
                Cell::UInt(lsn),
                ..,
            ] = row.as_slice()
            else {
                panic!("{row:?}")
            };
            assert_eq!((*lsn, message.partition), (700, REPAIR_PARTITION));
            let (partition, offset) = (message.partition, message.offset);
            let id = RowId { partition, offset, ordinal: 0, event_id: *event_id };
            self.0.push((id, *key, value.to_string(), *sign));
        }
        Ok(())
    }
    fn part(&self) -> Self {
        Self::default()
    }
    fn absorb(&mut self, part: &mut Self, _: &[Standing]) {
        self.0.append(&mut part.0);
    }
    fn has_doubts(&self) -> bool {
        false
    }
    fn without(&self, present: &BTreeSet<RowId>) -> Self {
        Self(self.0.iter().filter(|(id, ..)| !present.contains(id)).cloned().collect())
    }
    fn rows(&self) -> usize {
        self.0.len()
    }
    fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl Sink for Memory {
    type Block = Rows;

    fn table(&self) -> &str {
        "post_engagement_events"
    }
    fn block(&self) -> Rows {
        Rows::default()
    }
    async fn insert(&self, block: &Rows, token: &str) -> Result<(), PipelineError> {
        let mut table = self.0.lock().unwrap();
        table.tokens.push(token.to_owned());
        let fault = table.faults.pop_front();
        let count = match fault {
            None => block.0.len(),
            Some(Fault::CutAfter(count)) => count,
            Some(Fault::Refuse) => 0,
        };
        for (id, key, value, sign) in block.0.iter().take(count) {
            table.doubled += usize::from(!table.lineage.insert(*id));
            *table.sums.entry((*key, value.clone())).or_default() += sign;
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(PipelineError::new(ErrorKind::Misconfigured, "killed")),
        }
    }
    async fn present(&self, topic: &str, ranges: &Ranges) -> Result<Vec<RowId>, PipelineError> {
        assert_eq!(topic, "cdc.likes");
        let table = self.0.lock().unwrap();
        Ok(table.lineage.iter().filter(|id| ranges.contains(id.partition, id.offset)).copied().collect())
    }
    async fn resolve(
        &self,
        _topic: &str,
        _ranges: &Ranges,
        _block: &Rows,
        _all: bool,
    ) -> Result<Resolved<Rows>, PipelineError> {
        Err(PipelineError::new(ErrorKind::Unsupported, "a repair has no doubts"))
    }
    async fn seen(&self, _topic: &str, _partitions: &[i32]) -> Result<Vec<Seen>, PipelineError> {
        Ok(Vec::new())
    }
}

/// Every key has the value `new` in PostgreSQL.
#[derive(Clone)]
struct Comparison {
    table: Memory,
    keys: Vec<Uuid>,
}

fn columns(value: &str) -> Vec<Column> {
    vec![Column { name: "value".into(), value: Some(value.into()) }]
}

impl Look for Comparison {
    type Error = Infallible;

    async fn look(&self, _ranges: &[(i64, i64)]) -> Result<(SnapshotTaken, Vec<Difference>), Infallible> {
        let taken =
            SnapshotTaken { taken_ms: 0, lsn: 700, xmin: 10, xmax: 12, running: vec![], waited_ms: 0 };
        let table = self.table.0.lock().unwrap();
        let mut differences = Vec::new();
        for key in &self.keys {
            let from = (*key, String::new());
            let of_key = table.sums.range(from..).take_while(|((of, _), _)| of == key);
            let states = of_key.filter(|(_, sum)| **sum != 0);
            let clickhouse: Vec<TableRow> = states
                .map(|((_, value), sum)| TableRow { sum: *sum, columns: columns(value), messages: vec![] })
                .collect();
            if !matches!(clickhouse.as_slice(), [TableRow { sum: 1, columns: found, .. }] if *found == columns("new"))
            {
                differences.push(Difference {
                    kind: DifferenceKind::Different,
                    window: 0,
                    source_key: *key,
                    key: vec![],
                    postgres: Some(columns("new")),
                    clickhouse,
                    explained: None,
                });
            }
        }
        Ok((taken, differences))
    }
}

/// One column, which does not hold bytes.
const DECLARED: &str = "[streams.likes]\nworker = \"cdc\"\ntopic = \"cdc.likes\"\nformat = \"debezium\"\n\
    source = \"public.likes\"\ntable = \"likes\"\nkey = [\"id\"]\ntime = \"at\"\n[streams.likes.columns]\n\
    value = { field = \"value\" }\n";

struct Bench {
    declared: Stream,
    table: Memory,
    look: Comparison,
    plan: Plan,
    columns: Vec<(String, ColumnType)>,
}

impl Bench {
    /// Keys with the value `old` in the table, and the plan that mends them.
    async fn new(count: u128) -> Self {
        let keys: Vec<Uuid> = (1..=count).map(Uuid::from_u128).collect();
        let table = Memory::default();
        for key in &keys {
            table.0.lock().unwrap().sums.insert((*key, "old".into()), 1);
        }
        let look = Comparison { table: table.clone(), keys };
        let (_, differences) = look.look(&[]).await.unwrap();
        let plan = Plan::of(&super::plan_tests::report(differences), &Selection::default()).unwrap();
        let types = ["Int8", "UUID", "UUID", "UInt64", "UInt64", "String", "UInt32", "UInt64", "UInt8"];
        let columns =
            [("value", "String")].into_iter().chain(nova_streams::LINEAGE_COLUMNS.into_iter().zip(types));
        let columns =
            columns.map(|(name, text)| (name.to_owned(), ColumnType::parse(text).unwrap())).collect();
        let declared = StreamSet::parse("bench.toml", DECLARED).unwrap().get("likes").unwrap().clone();
        Self { declared, table, look, plan, columns }
    }

    fn application(&self) -> Application<'_, Memory, Comparison> {
        let (stream, table) = (&self.plan.streams[0], self.table.clone());
        Application::new(&self.plan, stream, (&self.declared, &self.columns), table, &self.look).unwrap()
    }

    async fn write(&self) -> Result<Applied, ApplyError<Infallible>> {
        self.application().write(&mut |_| {}).await
    }

    /// Keys that are not right, and rows that are there twice.
    async fn wrong(&self) -> (usize, usize) {
        (self.look.look(&[]).await.unwrap().1.len(), self.table.0.lock().unwrap().doubled)
    }

    fn set(&self, key: u128, value: &str, sum: i64) {
        *self.table.0.lock().unwrap().sums.entry((Uuid::from_u128(key), value.into())).or_default() += sum;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_written_once_however_often_it_is_applied() {
    let bench = Bench::new(3).await;
    let preview = bench.application().preview().await.unwrap();
    assert_eq!((preview.added, preview.removed), (3, 3));
    assert_eq!(bench.wrong().await, (3, 0), "a preview writes nothing");
    assert_eq!(bench.write().await.unwrap(), Applied { added: 3, removed: 3, ..Applied::default() });
    assert_eq!(bench.wrong().await, (0, 0));
    assert_eq!(bench.write().await.unwrap(), Applied { there: 6, ..Applied::default() });
    assert_eq!(bench.wrong().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_cut_off_anywhere_is_finished_by_the_next_application() {
    for rows in 0..=6 {
        let bench = Bench::new(3).await;
        bench.table.0.lock().unwrap().faults.push_back(Fault::CutAfter(rows));
        bench.write().await.unwrap_err();
        let applied = bench.write().await.unwrap();
        assert_eq!(usize::try_from(applied.there).unwrap(), rows);
        assert_eq!(usize::try_from(applied.added + applied.removed).unwrap(), 6 - rows);
        assert_eq!((bench.wrong().await, applied.left_out.len()), ((0, 0), 0), "cut after {rows} rows");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_healed_or_changed_is_left_alone_and_named() {
    let bench = Bench::new(3).await;
    bench.set(1, "old", -1);
    bench.set(1, "new", 1);
    bench.set(2, "old", 1);
    let applied = bench.write().await.unwrap();
    assert_eq!((applied.added, applied.removed), (1, 1));
    let reasons: Vec<&str> = applied.left_out.iter().map(|left| left.reason.as_str()).collect();
    assert!(reasons[0].contains("agree") && reasons[1].contains("another one"), "{reasons:?}");
    assert_eq!(bench.wrong().await, (1, 0), "the one that changed waits for a new plan");
}

#[tokio::test(start_paused = true)]
async fn large_plans_are_written_in_chunks_and_go_on_behind_the_last_one() {
    let bench = Bench::new(6_000).await;
    bench.table.0.lock().unwrap().faults.extend([Fault::CutAfter(5_000), Fault::Refuse]);
    bench.write().await.unwrap_err();
    bench.write().await.unwrap_err();
    let applied = bench.write().await.unwrap();
    assert_eq!((applied.there, applied.added + applied.removed), (5_000, 7_000));
    assert_eq!(bench.wrong().await, (0, 0));
    let tokens = bench.table.0.lock().unwrap().tokens.clone();
    let distinct: BTreeSet<&String> = tokens.iter().collect();
    assert_eq!(
        (tokens.len(), distinct.len()),
        (4, 3),
        "an insert that is repeated has the same token: {tokens:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_repair_has_mended_meanwhile_is_not_finished() {
    let bench = Bench::new(2).await;
    bench.table.0.lock().unwrap().faults.push_back(Fault::CutAfter(1));
    bench.write().await.unwrap_err();
    // The first key lacks its +1; somebody else puts it there.
    bench.set(1, "new", 1);
    let applied = bench.write().await.unwrap();
    assert_eq!((applied.there, applied.added, applied.removed, applied.left_out.len()), (1, 1, 1, 1));
    assert_eq!(bench.wrong().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_written_leaves_out_its_key_alone() {
    let mut bench = Bench::new(3).await;
    let key = Uuid::from_u128(2);
    bench.set(2, "old", -1);
    bench.set(2, "a\u{fffd}", 1);
    let (_, differences) = bench.look.look(&[]).await.unwrap();
    bench.plan = Plan::of(&super::plan_tests::report(differences), &Selection::default()).unwrap();
    let applied = bench.write().await.unwrap();
    assert_eq!((applied.added, applied.removed), (2, 2));
    assert_eq!(applied.left_out[0].source_key, key);
    assert!(applied.left_out[0].reason.contains("column `value`"), "{:?}", applied.left_out);
    assert_eq!(bench.wrong().await, (1, 0), "not even the half of it that could be written");
}
