//! The pipeline's sink for one table.
//!
//! Invariant: one batch is one block of one INSERT, so that its token decides over all of its rows. The settings
//! that make it so travel with every request; a server's or user's defaults cannot change them.

use std::collections::BTreeSet;
use std::sync::Arc;

use nova_pipeline::fail_points::{self, Boundary};
use nova_pipeline::{
    Block as _, ErrorKind, PipelineError, Ranges, Resolved, RowId, Seen, Sink, without_ledger,
};
use nova_streams::ColumnType;

use crate::contradiction::{contradictions, is_improper};
use crate::encoder::Encoder;
use crate::history::{history, seen};
use crate::lineage;
use crate::resolve::Doubts;
use crate::row_binary::{BlockColumn, BlockLayout};
use crate::sql::identifier;
use crate::{ClickHouseError, Client, RowBinaryBlock, TableInfo};

/// The server's answer to a column of another type (`ErrorCodes.cpp`).
const TYPE_MISMATCH: i32 = 53;

/// Inserts blocks into one table.
#[derive(Debug, Clone)]
pub struct TableSink {
    client: Client,
    /// What questions are put to; see [`TableSink::asking`].
    table: String,
    /// The INSERT, up to the name of the format.
    statement: String,
    layout: Arc<BlockLayout>,
    has_deduplicate_insert: bool,
}

impl TableSink {
    /// A sink for the table; `columns` are those that a row's cells stand for, in order.
    ///
    /// # Errors
    /// [`ClickHouseError::Schema`] if the table lacks a column or has it with another type.
    pub fn new(
        client: Client,
        table: &TableInfo,
        columns: &[(String, ColumnType)],
    ) -> Result<Self, ClickHouseError> {
        let name = &table.schema.name;
        let mut block_columns = Vec::with_capacity(columns.len());
        for (column, column_type) in columns {
            let found = table.schema.column(column).map(|column| &column.column_type);
            let Some(type_text) = table.type_text(column).filter(|_| found == Some(column_type)) else {
                let found = found.map_or("none".to_owned(), ToString::to_string);
                return Err(ClickHouseError::Schema(format!(
                    "table `{name}`: the stream writes column `{column}` {column_type}, and the table has {found}"
                )));
            };
            block_columns.push(BlockColumn {
                name: column.clone(),
                type_text: type_text.to_owned(),
                encoder: Encoder::new(column_type),
            });
        }
        let names: Vec<String> = columns.iter().map(|(column, _)| identifier(column)).collect();
        let statement = format!(
            "INSERT INTO {}.{} ({}) FORMAT ",
            identifier(client.database()),
            identifier(name),
            names.join(", ")
        );
        let layout = Arc::new(BlockLayout::new(name.clone(), block_columns));
        let has_deduplicate_insert = table.has_deduplicate_insert;
        Ok(Self { client, table: name.clone(), statement, layout, has_deduplicate_insert })
    }

    /// The same sink, with every question put to another table or view of the same columns: rows go into this one, and what is
    /// there already is what that one has.
    #[must_use]
    pub fn asking(mut self, name: &str) -> Self {
        self.layout = Arc::new(self.layout.of_table(name));
        name.clone_into(&mut self.table);
        self
    }

    /// Those of the messages, all of `topic`, whose rows would leave their key in more than one state, or in one twice.
    ///
    /// For messages that were passed over and are taken up later: a snapshot may have made good meanwhile what they tell,
    /// or another message of the same key may be missing still. The rows are taken together, as if all were inserted.
    ///
    /// # Errors
    /// By kind, as for a question of [`Sink`].
    pub async fn contradictions(
        &self,
        topic: &str,
        blocks: &[&RowBinaryBlock],
    ) -> Result<BTreeSet<(i32, i64)>, PipelineError> {
        contradictions(&self.client, &self.layout, topic, blocks, is_improper)
            .await
            .map_err(|error| self.unasked(topic, &error))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn layout(&self) -> &BlockLayout {
        &self.layout
    }

    /// By columns, where the table lets us. The server then says that a type was changed, and not whose; the rows' header
    /// makes it name the column, so they are sent after that answer, which put nothing into the table.
    async fn send(
        &self,
        block: &RowBinaryBlock,
        mut settings: Vec<(&str, &str)>,
    ) -> Result<(), ClickHouseError> {
        if let Some(columns) = block.native() {
            let statement = format!("{}Native", self.statement);
            settings.push(("input_format_native_allow_types_conversion", "0"));
            let answer = self.client.insert(&statement, &settings, columns).await;
            if answer.as_ref().err().and_then(ClickHouseError::code) != Some(TYPE_MISMATCH) {
                return answer;
            }
            settings.pop();
        }
        let statement = format!("{}RowBinaryWithNamesAndTypes", self.statement);
        self.client.insert(&statement, &settings, block.body()).await
    }

    pub(crate) fn unasked(&self, topic: &str, error: &ClickHouseError) -> PipelineError {
        PipelineError::new(error.kind(), format!("asking `{}` for rows of {topic}: {error}", self.table))
    }
}

impl Sink for TableSink {
    type Block = RowBinaryBlock;

    fn table(&self) -> &str {
        &self.table
    }

    fn block(&self) -> RowBinaryBlock {
        RowBinaryBlock::new(Arc::clone(&self.layout))
    }

    async fn insert(&self, block: &RowBinaryBlock, token: &str) -> Result<(), PipelineError> {
        if block.rows() == 0 {
            return Ok(());
        }
        if token.is_empty() {
            // The server would fall back to a digest of the data.
            let message = format!("table `{}`: an insert needs a de-duplication token", self.table);
            return Err(PipelineError::new(ErrorKind::Misconfigured, message));
        }
        let rows = block.rows().to_string();
        let (deduplicate, enable) =
            if without_ledger::is_chosen() { ("0", "disable") } else { ("1", "enable") };
        let mut settings = vec![
            ("async_insert", "0"),
            ("insert_deduplicate", deduplicate),
            ("insert_deduplication_token", token),
            // One block: read without splitting, and nothing handed on before all rows are there.
            ("max_insert_block_size", rows.as_str()),
            ("min_insert_block_size_rows", rows.as_str()),
            ("min_insert_block_size_bytes", "0"),
            ("max_insert_threads", "1"),
            ("input_format_parallel_parsing", "0"),
            // A backfill of years is one part a month. With a limit the server answers 252, as for an overload that
            // passes, and this one would not.
            ("max_partitions_per_insert_block", "0"),
            // About 3 s, not the default's 2 minutes: "read-only" is to arrive as that, before the request times out
            // and looks like a lost reply. Nova waits longer, and under the same token.
            ("insert_keeper_max_retries", "5"),
            // The header is checked, and a column the table does not have is an error.
            ("input_format_with_names_use_header", "1"),
            ("input_format_with_types_use_header", "1"),
            ("input_format_skip_unknown_fields", "0"),
        ];
        if self.has_deduplicate_insert {
            // Newer servers let this one decide over `insert_deduplicate`; older ones refuse what they do not know.
            settings.push(("deduplicate_insert", enable));
        }
        let insert = self.send(block, settings);
        fail_points::amid(Boundary::AmidInsert, insert).await.map_err(|error| {
            PipelineError::new(error.kind(), format!("insert of {rows} rows into `{}`: {error}", self.table))
        })?;
        fail_points::reach(Boundary::AfterInsert);
        Ok(())
    }

    async fn present(&self, topic: &str, ranges: &Ranges) -> Result<Vec<RowId>, PipelineError> {
        lineage::present(&self.client, &self.table, topic, ranges)
            .await
            .map_err(|error| self.unasked(topic, &error))
    }

    async fn resolve(
        &self,
        topic: &str,
        ranges: &Ranges,
        block: &RowBinaryBlock,
        all: bool,
    ) -> Result<Resolved<RowBinaryBlock>, PipelineError> {
        let doubts = Doubts::of(block, topic, all)?;
        let history = history(&self.client, &self.layout, topic, ranges, &doubts).await;
        doubts.resolve(history.map_err(|error| self.unasked(topic, &error))?)
    }

    async fn seen(&self, topic: &str, partitions: &[i32]) -> Result<Vec<Seen>, PipelineError> {
        seen(&self.client, &self.table, topic, partitions).await.map_err(|error| self.unasked(topic, &error))
    }
}
