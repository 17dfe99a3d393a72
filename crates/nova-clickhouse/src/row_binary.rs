//! A batch's rows for one table, as the body of its insert: `RowBinaryWithNamesAndTypes`.
//!
//! The names and types in front (one header per block) cost a few hundred bytes and buy a promise: a column whose
//! type was changed under a running worker is an error that names the column, where plain RowBinary would be read
//! with the wrong widths and stored.
//!
//! Invariant: a block holds whole messages. The rows of a message that does not fit leave no byte behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use nova_pipeline::{Block, ErrorKind, PipelineError, RowId};
use nova_streams::{Cell, Row};

use crate::answer::bounded;
use crate::encoder::{Encoder, Misfit, put_length, put_string};

/// A column as blocks write it.
#[derive(Debug)]
pub(crate) struct BlockColumn {
    pub(crate) name: String,
    /// The server's own spelling of the type.
    pub(crate) type_text: String,
    pub(crate) encoder: Encoder,
}

/// The columns of a table's blocks, and the header made of them.
#[derive(Debug)]
pub(crate) struct BlockLayout {
    table: String,
    columns: Vec<BlockColumn>,
    header: Vec<u8>,
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
        Self { table, columns, header }
    }
}

/// Encoded rows; see [`Block`].
#[derive(Debug)]
pub struct RowBinaryBlock {
    layout: Arc<BlockLayout>,
    /// Shared with a request while one is under way, so that no attempt copies it.
    body: Arc<Vec<u8>>,
    rows: Vec<EncodedRow>,
}

/// Which row of which message, and where its bytes end in the body.
#[derive(Debug, Clone, Copy)]
struct EncodedRow {
    id: RowId,
    end: usize,
}

impl RowBinaryBlock {
    pub(crate) fn new(layout: Arc<BlockLayout>) -> Self {
        let body = Arc::new(layout.header.clone());
        Self { layout, body, rows: Vec::new() }
    }

    /// The body of the insert: the same bytes for every attempt, none of them copied.
    pub(crate) fn body(&self) -> Bytes {
        Bytes::from_owner(SharedBody(Arc::clone(&self.body)))
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
    fn push(&mut self, partition: i32, offset: i64, rows: &[Row<'_>]) -> Result<(), PipelineError> {
        // Copies only if an abandoned request still holds the buffer; that request's bytes must not change.
        let body = Arc::make_mut(&mut self.body);
        let (length, count) = (body.len(), self.rows.len());
        for (index, row) in rows.iter().enumerate() {
            let encoded = ordinal(index).and_then(|ordinal| {
                encode_row(&self.layout, row, body)?;
                Ok(EncodedRow { id: RowId { partition, offset, ordinal }, end: body.len() })
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
        Ok(())
    }

    fn without(&self, present: &BTreeSet<RowId>) -> Self {
        let mut block = Self::new(Arc::clone(&self.layout));
        let body = Arc::make_mut(&mut block.body);
        let mut start = self.layout.header.len();
        for row in &self.rows {
            if !present.contains(&row.id) {
                body.extend_from_slice(self.body.get(start..row.end).unwrap_or_default());
                block.rows.push(EncodedRow { end: body.len(), ..*row });
            }
            start = row.end;
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
        Misfit::Range(value) if matches!(cell, Cell::Array(_)) => PipelineError::new(
            ErrorKind::Unmappable,
            format!("{place}: {} in the array is outside of its range", bounded(&value, 80)),
        ),
        Misfit::Range(value) => PipelineError::new(
            ErrorKind::Unmappable,
            format!("{place}: {} is outside of its range", bounded(&value, 80)),
        ),
        Misfit::Sort(sort) => PipelineError::new(
            ErrorKind::SchemaMismatch,
            format!("{place}: cannot hold {sort}; stream and sink were made from different columns"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use nova_streams::ColumnType;

    use super::*;

    fn block() -> RowBinaryBlock {
        let columns =
            [("id", "UInt8"), ("name", "LowCardinality(String)")].map(|(name, type_text)| BlockColumn {
                name: name.to_owned(),
                type_text: type_text.to_owned(),
                encoder: Encoder::new(&ColumnType::parse(type_text).unwrap()),
            });
        RowBinaryBlock::new(Arc::new(BlockLayout::new("likes".to_owned(), columns.into())))
    }

    fn row(id: u64) -> Row<'static> {
        vec![Cell::UInt(id), Cell::Text("x".into())]
    }

    #[test]
    fn a_body_is_header_and_rows() {
        let mut block = block();
        block.push(0, 0, &[row(1), row(2)]).unwrap();
        let expected =
            [&b"\x02\x02id\x04name\x05UInt8\x16LowCardinality(String)"[..], b"\x01\x01x\x02\x01x"].concat();
        assert_eq!((block.rows(), block.bytes()), (2, 6));
        assert_eq!(block.body(), expected);
    }

    #[test]
    fn a_message_whose_second_row_does_not_fit_leaves_nothing_behind() {
        let mut block = block();
        block.push(0, 0, &[row(1)]).unwrap();
        let before = block.body();
        let error = block.push(0, 0, &[row(2), row(256)]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unmappable);
        assert_eq!(error.message, "table `likes`, column `id` UInt8: 256 is outside of its range");
        assert_eq!((block.rows(), block.body()), (1, before));
    }

    #[test]
    fn a_block_without_some_rows_holds_the_others_byte_for_byte() {
        let mut block = block();
        block.push(0, 7, &[row(1), row(2)]).unwrap();
        block.push(3, 8, &[row(3)]).unwrap();
        let present = BTreeSet::from([RowId { partition: 0, offset: 7, ordinal: 1 }]);
        let rest = block.without(&present);
        assert_eq!(rest.rows(), 2);
        assert!(rest.body().ends_with(b"\x01\x01x\x03\x01x"), "{:?}", rest.body());
        assert_eq!(block.without(&BTreeSet::new()).body(), block.body());
        let none = rest.without(&BTreeSet::from_iter(rest.rows.iter().map(|row| row.id)));
        assert_eq!((none.rows(), none.bytes()), (0, 0));
    }

    #[test]
    fn a_row_of_another_width_is_refused_before_a_byte_is_written() {
        let mut block = block();
        let error = block.push(0, 0, &[vec![Cell::UInt(1)]]).unwrap_err();
        assert_eq!((error.kind, block.bytes()), (ErrorKind::SchemaMismatch, 0));
    }

    #[test]
    fn attempts_share_one_buffer_and_a_held_body_never_changes() {
        let mut block = block();
        block.push(0, 0, &[row(1)]).unwrap();
        let (first, second) = (block.body(), block.body());
        assert_eq!(first.as_ptr(), second.as_ptr());
        let held = first.to_vec();
        block.push(0, 0, &[row(2)]).unwrap();
        assert_eq!(first, held);
        assert_eq!(block.body().len(), held.len() + 3);
    }
}
