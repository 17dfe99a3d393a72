//! What a block's bytes are, and that they are all of a message or nothing.

use nova_pipeline::Standing;
use nova_streams::ColumnType;
use uuid::Uuid;

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

fn message<'r, 'a>(partition: i32, offset: i64, rows: &'r [Row<'a>]) -> MessageRows<'r, 'a> {
    MessageRows { partition, offset, event_id: Uuid::nil(), lsn: 0, standing: Standing::New, rows }
}

#[test]
fn a_body_is_header_and_rows() {
    let mut block = block();
    block.push(&message(0, 0, &[row(1), row(2)])).unwrap();
    let expected =
        [&b"\x02\x02id\x04name\x05UInt8\x16LowCardinality(String)"[..], b"\x01\x01x\x02\x01x"].concat();
    assert_eq!((block.rows(), block.bytes()), (2, 6));
    assert_eq!(block.body(), expected);
}

#[test]
fn a_message_whose_second_row_does_not_fit_leaves_nothing_behind() {
    let mut block = block();
    block.push(&message(0, 0, &[row(1)])).unwrap();
    let before = block.body();
    let error = block.push(&message(0, 0, &[row(2), row(256)])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unmappable);
    assert_eq!(error.message, "table `likes`, column `id` UInt8: the value is outside of its range");
    assert_eq!((block.rows(), block.body()), (1, before));
}

#[test]
fn a_block_without_some_rows_holds_the_others_byte_for_byte() {
    let mut block = block();
    block.push(&message(0, 7, &[row(1), row(2)])).unwrap();
    block.push(&message(3, 8, &[row(3)])).unwrap();
    let present = BTreeSet::from([RowId { partition: 0, offset: 7, ordinal: 1, event_id: Uuid::nil() }]);
    let rest = block.without(&present);
    assert_eq!(rest.rows(), 2);
    assert!(rest.body().ends_with(b"\x01\x01x\x03\x01x"), "{:?}", rest.body());
    assert_eq!(block.without(&BTreeSet::new()).body(), block.body());
    let none = rest.without(&BTreeSet::from_iter(rest.rows.iter().map(|row| row.id)));
    assert_eq!((none.rows(), none.bytes()), (0, 0));
}

#[test]
fn a_part_is_absorbed_byte_for_byte_as_far_as_it_stands_and_is_empty_then() {
    let mut whole = block();
    let mut part = whole.part();
    whole.push(&message(0, 7, &[row(1), row(2)])).unwrap();
    for (offset, standings) in [(8, &[Standing::New][..]), (10, &[Standing::New, Standing::Doubtful][..])] {
        part.push(&message(0, offset, &[row(3)])).unwrap();
        part.push(&message(0, offset + 1, &[row(4)])).unwrap();
        assert!(!whole.has_doubts());
        whole.absorb(&mut part, standings);
        assert_eq!((part.rows(), part.bytes()), (0, 0));
    }
    let found: Vec<_> =
        whole.iter().map(|(id, standing, bytes)| (id.offset, standing, bytes.to_vec())).collect();
    let expected = [(7, 1), (7, 2), (8, 3), (10, 3), (11, 4)].map(|(offset, id)| {
        let standing = if offset == 11 { Standing::Doubtful } else { Standing::New };
        (offset, standing, vec![id, 1, b'x'])
    });
    assert_eq!(found, expected);
    assert!(whole.has_doubts());
}

#[test]
fn a_row_of_another_width_is_refused_before_a_byte_is_written() {
    let mut block = block();
    let error = block.push(&message(0, 0, &[vec![Cell::UInt(1)]])).unwrap_err();
    assert_eq!((error.kind, block.bytes()), (ErrorKind::SchemaMismatch, 0));
}

#[test]
fn attempts_share_one_buffer_and_a_held_body_never_changes() {
    let mut block = block();
    block.push(&message(0, 0, &[row(1)])).unwrap();
    let (first, second) = (block.body(), block.body());
    assert_eq!(first.as_ptr(), second.as_ptr());
    let held = first.to_vec();
    block.push(&message(0, 0, &[row(2)])).unwrap();
    assert_eq!(first, held);
    assert_eq!(block.body().len(), held.len() + 3);
}
