//! The straight way through a change: the same shape as serde's pass gives, for messages as Debezium writes them.
//!
//! Invariant: `None` for everything that is not plainly such a message, be it wrong or only unusual (white space,
//! escapes in names, a schema not seen before, the connector's other messages); serde's pass then reads it, and says
//! what is wrong. A message that is taken here is taken by serde's pass too, with the same result; a property test
//! compares them.

use std::borrow::Cow;

use super::{Shape, Text, source::RawSource};
use crate::{
    Field, Row, Sequence, Snapshot, TransactionPosition,
    cursor::Cursor,
    field::{Part, Place},
    schema,
};

/// Reads a change's parts into the shape and says whether they stand under `payload`. After `None` the shape is to be
/// thrown away.
pub(crate) fn change<'a>(text: &'a str, shape: &mut Shape<'a>) -> Option<bool> {
    let mut cursor = Cursor::new(text);
    let wrapped = cursor.bytes(br#"{"schema":"#).is_some();
    if wrapped {
        let (schema, length) = schema::known_prefix(cursor.rest())?;
        shape.schema = Some(schema);
        cursor.take(length)?;
        cursor.bytes(br#","payload":"#)?;
    }
    payload(&mut cursor, shape, wrapped)?;
    if wrapped {
        cursor.byte(b'}')?;
    }
    cursor.rest().is_empty().then_some(wrapped)
}

/// The payload, its members in the order of Debezium 3.
#[inline]
fn payload<'a>(cursor: &mut Cursor<'a>, shape: &mut Shape<'a>, wrapped: bool) -> Option<()> {
    cursor.bytes(br#"{"before":"#)?;
    shape.before = row(cursor, Place { part: Part::Before, wrapped })?;
    cursor.bytes(br#","after":"#)?;
    shape.after = row(cursor, Place { part: Part::After, wrapped })?;
    cursor.bytes(br#","source":"#)?;
    shape.source = Some(source(cursor)?);
    cursor.bytes(br#","transaction":"#)?;
    shape.transaction = transaction(cursor)?;
    cursor.bytes(br#","op":"#)?;
    shape.op = Some(text(cursor)?);
    cursor.bytes(br#","ts_ms":"#)?;
    cursor.unsigned()?;
    if cursor.bytes(br#","ts_us":"#).is_some() {
        cursor.skip_number()?;
    }
    if cursor.bytes(br#","ts_ns":"#).is_some() {
        cursor.skip_number()?;
    }
    cursor.byte(b'}')
}

#[inline]
fn row<'a>(cursor: &mut Cursor<'a>, place: Place) -> Option<Option<Row<'a>>> {
    if cursor.null() {
        return Some(None);
    }
    let mut fields = Vec::with_capacity(12);
    cursor.members(|cursor, name| {
        fields.push(Field::new(Cow::Borrowed(name), cursor.value()?, place));
        Some(())
    })?;
    Some(Some(Row::new(fields)))
}

/// The source block, its members in the order of Debezium 3.
#[inline]
fn source<'a>(cursor: &mut Cursor<'a>) -> Option<RawSource<'a>> {
    cursor.bytes(br#"{"version":"#)?;
    cursor.string()?;
    cursor.bytes(br#","connector":"postgresql","name":"#)?;
    let name = Some(text(cursor)?);
    cursor.bytes(br#","ts_ms":"#)?;
    cursor.unsigned()?;
    let snapshot = snapshot(cursor)?;
    cursor.bytes(br#","db":"#)?;
    let db = Some(text(cursor)?);
    cursor.bytes(br#","sequence":"#)?;
    let sequence = sequence(cursor)?;
    cursor.bytes(br#","ts_us":"#)?;
    let ts_us = Some(i64::try_from(cursor.unsigned()?).ok()?);
    cursor.bytes(br#","ts_ns":"#)?;
    cursor.skip_number()?;
    cursor.bytes(br#","schema":"#)?;
    let schema = Some(text(cursor)?);
    cursor.bytes(br#","table":"#)?;
    let table = Some(text(cursor)?);
    cursor.bytes(br#","txId":"#)?;
    let tx_id = optional(cursor, |cursor| cursor.unsigned())?;
    cursor.bytes(br#","lsn":"#)?;
    let lsn = optional(cursor, |cursor| cursor.unsigned())?;
    let _usual = cursor.bytes(br#","xmin":null,"origin":null,"origin_lsn":null"#);
    further_members(cursor, |name| matches!(name, "xmin" | "origin" | "origin_lsn"))?;
    Some(RawSource { name, db, schema, table, ts_us, ts_ms: None, snapshot, tx_id, lsn, sequence })
}

#[inline(always)]
fn snapshot(cursor: &mut Cursor<'_>) -> Option<Snapshot> {
    if cursor.bytes(br#","snapshot":"false""#).is_some() {
        return Some(Snapshot::False);
    }
    cursor.bytes(br#","snapshot":"#)?;
    Snapshot::parse(cursor.string()?)
}

/// The rest of an object's members, all of them known for members that nobody reads.
#[inline]
fn further_members(cursor: &mut Cursor<'_>, is_known: impl Fn(&str) -> bool) -> Option<()> {
    while cursor.byte(b',').is_some() {
        let name = cursor.string()?;
        cursor.byte(b':')?;
        cursor.value().filter(|_| is_known(name))?;
    }
    cursor.byte(b'}')
}

/// `"[\"12\",\"34\"]"`, each of them possibly null.
#[inline]
fn sequence(cursor: &mut Cursor<'_>) -> Option<Sequence> {
    cursor.bytes(b"\"[")?;
    let last_commit_lsn = optional(cursor, |cursor| quoted_position(cursor))?;
    cursor.byte(b',')?;
    let lsn = optional(cursor, |cursor| quoted_position(cursor))?;
    cursor.bytes(b"]\"")?;
    Some(Sequence { last_commit_lsn, lsn })
}

#[inline(always)]
fn quoted_position(cursor: &mut Cursor<'_>) -> Option<u64> {
    cursor.bytes(b"\\\"")?;
    let position = cursor.unsigned()?;
    cursor.bytes(b"\\\"")?;
    Some(position)
}

#[inline]
fn transaction<'a>(cursor: &mut Cursor<'a>) -> Option<Option<TransactionPosition<'a>>> {
    if cursor.null() {
        return Some(None);
    }
    cursor.bytes(br#"{"id":"#)?;
    let id = Cow::Borrowed(cursor.string()?);
    cursor.bytes(br#","total_order":"#)?;
    let total_order = cursor.unsigned()?;
    cursor.bytes(br#","data_collection_order":"#)?;
    let data_collection_order = cursor.unsigned()?;
    cursor.byte(b'}')?;
    Some(Some(TransactionPosition { id, total_order, data_collection_order }))
}

#[inline(always)]
fn text<'a>(cursor: &mut Cursor<'a>) -> Option<Text<'a>> {
    cursor.string().map(|text| Text(Cow::Borrowed(text)))
}

#[inline(always)]
fn optional<'a, T>(
    cursor: &mut Cursor<'a>,
    read: impl FnOnce(&mut Cursor<'a>) -> Option<T>,
) -> Option<Option<T>> {
    if cursor.null() { Some(None) } else { read(cursor).map(Some) }
}
