//! A batch's rows for one table, as the body of its insert: `RowBinaryWithNamesAndTypes`.
//!
//! The names and types in front (one header per block) cost a few hundred bytes and buy a promise: a column whose
//! type was changed under a running worker is an error that names the column, where plain RowBinary would be read
//! with the wrong widths and stored.
//!
//! Invariant: a block holds whole messages. The rows of a message that does not fit leave no byte behind. A row's bytes
//! are those of its declared columns, then those of its lineage columns, in the order of [`LINEAGE_COLUMNS`].

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use nova_pipeline::{Block, ErrorKind, MessageRows, PipelineError, RowId, Standing};
use nova_streams::{Cell, LINEAGE_COLUMNS, Row};

use crate::answer::bounded;
use crate::encoder::{Encoder, Misfit, put_length, put_string};
use crate::native::{Form, native};
use crate::spare::Spare;

/// A column as blocks write it.
#[derive(Debug, Clone)]
pub(crate) struct BlockColumn {
    pub(crate) name: String,
    /// The server's own spelling of the type.
    pub(crate) type_text: String,
    pub(crate) encoder: Encoder,
}

/// The columns of a table's blocks, the header made of them, and memory for the next block.
#[derive(Debug)]
pub(crate) struct BlockLayout {
    table: String,
    columns: Vec<BlockColumn>,
    /// How many of the columns the stream declares; lineage follows them.
    declared: usize,
    header: Vec<u8>,
    /// How the columns lie in the format `Native`, if all of them can.
    forms: Option<Vec<Form>>,
    bytes: Spare<u8>,
    rows: Spare<EncodedRow>,
}

impl BlockLayout {
    pub(crate) fn new(table: String, columns: Vec<BlockColumn>) -> Self {
        let mut header = Vec::new();
        put_length(&mut header, columns.len());
        for column in &columns {
            put_string(&mut header, column.name.as_bytes());
        }
        for column in &columns {
            put_string(&mut header, column.type_text.as_bytes());
        }
        let declared = columns.len().saturating_sub(LINEAGE_COLUMNS.len());
        let forms = columns.iter().map(Form::of).collect();
        let (bytes, rows) = (Spare::default(), Spare::default());
        Self { table, columns, declared, header, forms, bytes, rows }
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The same for questions to another table or view of the same columns.
    pub(crate) fn of_table(&self, table: &str) -> Self {
        Self::new(table.to_owned(), self.columns.clone())
    }

    /// The declared columns, whose values are a row's state.
    pub(crate) fn declared(&self) -> &[BlockColumn] {
        self.columns.split_at(self.declared).0
    }

    /// All columns, in the order of a row's bytes.
    pub(crate) fn columns(&self) -> &[BlockColumn] {
        &self.columns
    }

    /// Whether the columns end with the lineage: what a block must have before its doubts can be resolved.
    pub(crate) fn has_lineage(&self) -> bool {
        let (_, lineage) = self.columns.split_at(self.declared);
        lineage.iter().map(|column| column.name.as_str()).eq(LINEAGE_COLUMNS)
    }
}

/// Encoded rows; see [`Block`].
#[derive(Debug)]
pub struct RowBinaryBlock {
    layout: Arc<BlockLayout>,
    /// Shared with a request while one is under way, so that no attempt copies it.
    body: Arc<Vec<u8>>,
    rows: Vec<EncodedRow>,
    has_doubts: bool,
}

/// Which row of which message, what the message says, and where the row's bytes end in the body.
#[derive(Debug, Clone, Copy)]
struct EncodedRow {
    id: RowId,
    standing: Standing,
    end: usize,
}

impl RowBinaryBlock {
    pub(crate) fn new(layout: Arc<BlockLayout>) -> Self {
        let mut body = layout.bytes.take();
        body.extend_from_slice(&layout.header);
        let rows = layout.rows.take();
        Self { layout, body: Arc::new(body), rows, has_doubts: false }
    }

    pub(crate) fn layout(&self) -> &Arc<BlockLayout> {
        &self.layout
    }

    /// The rows with their bytes, in the order in which they were pushed.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RowId, Standing, &[u8])> {
        let mut start = self.layout.header.len();
        self.rows.iter().map(move |row| {
            let bytes = self.body.get(start..row.end).unwrap_or_default();
            start = row.end;
            (row.id, row.standing, bytes)
        })
    }

    /// Appends a row whose bytes are those of `state` and `lineage`.
    pub(crate) fn append(&mut self, id: RowId, standing: Standing, state: &[u8], lineage: &[u8]) {
        let body = Arc::make_mut(&mut self.body);
        body.extend_from_slice(state);
        body.extend_from_slice(lineage);
        self.rows.push(EncodedRow { id, standing, end: body.len() });
        self.has_doubts |= standing != Standing::New;
    }

    /// Appends a row of a state's bytes, with the cells of the lineage columns.
    ///
    /// # Errors
    /// A cell that its column does not hold; the block is as it was.
    pub(crate) fn append_state(
        &mut self,
        id: RowId,
        state: &[u8],
        lineage: &[Cell<'_>],
    ) -> Result<(), PipelineError> {
        let layout = Arc::clone(&self.layout);
        let (_, columns) = layout.columns.split_at(layout.declared);
        let mut bytes = Vec::new();
        for (column, cell) in columns.iter().zip(lineage) {
            column.encoder.write(cell, &mut bytes).map_err(|misfit| unfit(&layout, column, cell, misfit))?;
        }
        self.append(id, Standing::New, state, &bytes);
        Ok(())
    }

    /// The body of the insert: the same bytes for every attempt, none of them copied.
    pub(crate) fn body(&self) -> Bytes {
        Bytes::from_owner(SharedBody(Arc::clone(&self.body)))
    }

    /// The same rows in the format `Native`, made anew for each attempt, the same bytes each time; `None` where the
    /// table has columns that only the row form is written of.
    pub(crate) fn native(&self) -> Option<Bytes> {
        let BlockLayout { columns, forms: Some(forms), header, .. } = &*self.layout else { return None };
        let ends = self.rows.iter().map(|row| row.end);
        let starts = std::iter::once(header.len()).chain(ends).take(self.rows.len());
        let columns = native(columns, forms, &self.body, starts.collect(), self.layout.bytes.take())?;
        Some(Bytes::from_owner(Columns { bytes: columns, layout: Arc::clone(&self.layout) }))
    }
}

impl Drop for RowBinaryBlock {
    fn drop(&mut self) {
        // A request that was given up may still hold the bytes.
        if let Some(body) = Arc::get_mut(&mut self.body) {
            self.layout.bytes.give(std::mem::take(body));
        }
        self.layout.rows.give(std::mem::take(&mut self.rows));
    }
}

/// The rows as columns; their memory goes back when the request is done.
struct Columns {
    bytes: Vec<u8>,
    layout: Arc<BlockLayout>,
}

impl AsRef<[u8]> for Columns {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Columns {
    fn drop(&mut self) {
        self.layout.bytes.give(std::mem::take(&mut self.bytes));
    }
}

/// Lets `Bytes` keep the block's buffer alive.
struct SharedBody(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedBody {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Block for RowBinaryBlock {
    fn push(&mut self, message: &MessageRows<'_, '_>) -> Result<(), PipelineError> {
        let MessageRows { partition, offset, event_id, standing, rows, .. } = *message;
        // Copies only if an abandoned request still holds the buffer; that request's bytes must not change.
        let body = Arc::make_mut(&mut self.body);
        let (length, count) = (body.len(), self.rows.len());
        for (index, row) in rows.iter().enumerate() {
            let encoded = ordinal(index).and_then(|ordinal| {
                encode_row(&self.layout, row, body)?;
                let id = RowId { partition, offset, ordinal, event_id };
                Ok(EncodedRow { id, standing, end: body.len() })
            });
            match encoded {
                Ok(row) => self.rows.push(row),
                Err(error) => {
                    body.truncate(length);
                    self.rows.truncate(count);
                    return Err(error);
                }
            }
        }
        self.has_doubts |= standing != Standing::New;
        Ok(())
    }

    /// Without the memory that is kept for whole blocks.
    fn part(&self) -> Self {
        let (layout, body) = (Arc::clone(&self.layout), self.layout.header.clone());
        Self { layout, body: Arc::new(body), rows: Vec::new(), has_doubts: false }
    }

    fn absorb(&mut self, part: &mut Self, standings: &[Standing]) {
        let (body, other) = (Arc::make_mut(&mut self.body), Arc::make_mut(&mut part.body));
        let (header, length) = (self.layout.header.len(), body.len());
        let mut end = header;
        self.rows.extend(part.rows.drain(..).zip(standings).map(|(row, standing)| {
            end = row.end;
            EncodedRow { standing: *standing, end: length + row.end - header, ..row }
        }));
        body.extend_from_slice(other.get(header..end).unwrap_or_default());
        other.truncate(header);
        part.has_doubts = false;
        self.has_doubts |= standings.iter().any(|standing| *standing != Standing::New);
    }

    fn has_doubts(&self) -> bool {
        self.has_doubts
    }

    fn without(&self, present: &BTreeSet<RowId>) -> Self {
        let mut block = Self::new(Arc::clone(&self.layout));
        for (id, standing, bytes) in self.iter().filter(|(id, ..)| !present.contains(id)) {
            block.append(id, standing, bytes, &[]);
        }
        block
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.body.len() - self.layout.header.len()
    }
}

fn ordinal(index: usize) -> Result<u8, PipelineError> {
    u8::try_from(index)
        .map_err(|_| PipelineError::new(ErrorKind::Unmappable, "a message became more than 256 rows"))
}

fn encode_row(layout: &BlockLayout, row: &Row<'_>, body: &mut Vec<u8>) -> Result<(), PipelineError> {
    if row.len() != layout.columns.len() {
        let message = format!(
            "table `{}`: a row of {} cells for {} columns; stream and sink were made from different columns",
            layout.table,
            row.len(),
            layout.columns.len()
        );
        return Err(PipelineError::new(ErrorKind::SchemaMismatch, message));
    }
    for (column, cell) in layout.columns.iter().zip(row) {
        column.encoder.write(cell, body).map_err(|misfit| unfit(layout, column, cell, misfit))?;
    }
    Ok(())
}

fn unfit(layout: &BlockLayout, column: &BlockColumn, cell: &Cell<'_>, misfit: Misfit) -> PipelineError {
    let place =
        format!("table `{}`, column `{}` {}", layout.table, column.name, bounded(&column.type_text, 200));
    match misfit {
        // The value is user data, and this goes into logs and headers.
        Misfit::Range if matches!(cell, Cell::Array(_)) => PipelineError::new(
            ErrorKind::Unmappable,
            format!("{place}: a value in the array is outside of its range"),
        ),
        Misfit::Range => {
            PipelineError::new(ErrorKind::Unmappable, format!("{place}: the value is outside of its range"))
        }
        Misfit::Sort(sort) => PipelineError::new(
            ErrorKind::SchemaMismatch,
            format!("{place}: cannot hold {sort}; stream and sink were made from different columns"),
        ),
    }
}

#[cfg(test)]
#[path = "row_binary_tests.rs"]
mod tests;
