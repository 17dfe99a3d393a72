//! A batch's rows as one block of the format `Native`: the same values, column after column.
//!
//! The server takes such columns as they are, where it has to read rows value by value; that is a third of what an insert
//! costs it (`docs/performance.md`). Source: <https://clickhouse.com/docs/interfaces/formats/Native>; the form of
//! `LowCardinality` is that of `SerializationLowCardinality.cpp`.
//!
//! Invariant: the values are the bytes of the row form, and the same rows become the same bytes. A table with a
//! column whose values look otherwise here (`Nullable`, `Array`, most of `LowCardinality`) is written in rows.

use std::collections::HashMap;

use crate::encoder::{Encoder, put_length, put_string};
use crate::row_binary::BlockColumn;

/// So many rows are taken apart at a time that their bytes stay in the processor's cache.
const CHUNK: usize = 2_048;

/// `LowCardinality`: keys of its own come with the column (bit 9), and all of them (bit 10).
const OWN_KEYS: u64 = 1 << 9 | 1 << 10;

/// How the values of a column lie in either form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// So many bytes each.
    Fixed(usize),
    /// With their length in front.
    Text,
    /// Numbers of the keys of a dictionary.
    Dictionary,
}

impl Form {
    /// `None`: the two forms differ in more than the order of values.
    pub(crate) fn of(column: &BlockColumn) -> Option<Self> {
        let form = match &column.encoder {
            Encoder::Bool => Self::Fixed(1),
            Encoder::Int { bytes, .. }
            | Encoder::UInt { bytes, .. }
            | Encoder::Decimal { bytes, .. }
            | Encoder::Enum { bytes, .. } => Self::Fixed(*bytes),
            Encoder::Date => Self::Fixed(2),
            Encoder::Float32 | Encoder::Date32 | Encoder::DateTime => Self::Fixed(4),
            Encoder::Float64 | Encoder::DateTime64 { .. } => Self::Fixed(8),
            Encoder::Uuid => Self::Fixed(16),
            Encoder::String if column.type_text == "LowCardinality(String)" => Self::Dictionary,
            Encoder::String => Self::Text,
            Encoder::Nullable(_) | Encoder::Array(_) => return None,
        };
        let plain = form == Self::Dictionary || !column.type_text.starts_with("LowCardinality");
        plain.then_some(form)
    }
}

/// The rows whose bytes begin at `starts` in `rows`, written into `out`, which is empty. `None` if a row ends early, which no row of these columns does.
///
/// Columns of fixed width come first, so that their place is known before a value is read; the server goes by names.
pub(crate) fn native(
    columns: &[BlockColumn],
    forms: &[Form],
    rows: &[u8],
    mut starts: Vec<usize>,
    mut out: Vec<u8>,
) -> Option<Vec<u8>> {
    let count = starts.len();
    out.reserve(rows.len());
    put_length(&mut out, columns.len());
    put_length(&mut out, count);
    let mut writers = Vec::with_capacity(columns.len());
    for (column, form) in columns.iter().zip(forms) {
        writers.push(match form {
            Form::Fixed(width) => {
                put_head(&mut out, column);
                let at = out.len();
                out.resize(at.checked_add(width.checked_mul(count)?)?, 0);
                Writer::Fixed { width: *width, at }
            }
            Form::Text => Writer::Text(Vec::new()),
            Form::Dictionary => Writer::Dictionary(Dictionary::new(count)),
        });
    }
    for chunk in starts.chunks_mut(CHUNK) {
        for writer in &mut writers {
            writer.take(rows, chunk, &mut out)?;
        }
    }
    for (column, writer) in columns.iter().zip(writers) {
        match writer {
            Writer::Fixed { .. } => {}
            Writer::Text(values) => {
                put_head(&mut out, column);
                out.extend_from_slice(&values);
            }
            Writer::Dictionary(dictionary) => {
                put_head(&mut out, column);
                dictionary.put(&mut out);
            }
        }
    }
    Some(out)
}

fn put_head(out: &mut Vec<u8>, column: &BlockColumn) {
    put_string(out, column.name.as_bytes());
    put_string(out, column.type_text.as_bytes());
}

/// Where a column's values go.
enum Writer<'a> {
    /// To the place in the output that is kept for them; `at` moves on with them.
    Fixed {
        width: usize,
        at: usize,
    },
    Text(Vec<u8>),
    Dictionary(Dictionary<'a>),
}

impl<'a> Writer<'a> {
    /// Takes one value of each row and moves the rows' places behind it.
    fn take(&mut self, rows: &'a [u8], places: &mut [usize], out: &mut [u8]) -> Option<()> {
        match self {
            Self::Fixed { width, at } => {
                let end = at.checked_add(width.checked_mul(places.len())?)?;
                let out = out.get_mut(*at..end)?;
                *at = end;
                match width {
                    1 => fixed::<1>(rows, places, out),
                    2 => fixed::<2>(rows, places, out),
                    4 => fixed::<4>(rows, places, out),
                    8 => fixed::<8>(rows, places, out),
                    16 => fixed::<16>(rows, places, out),
                    _ => None,
                }
            }
            Self::Text(values) => places.iter_mut().try_for_each(|place| {
                let (_, end) = text(rows, *place)?;
                values.extend_from_slice(rows.get(*place..end)?);
                *place = end;
                Some(())
            }),
            Self::Dictionary(dictionary) => places.iter_mut().try_for_each(|place| {
                let (value, end) = text(rows, *place)?;
                *place = end;
                dictionary.add(value)
            }),
        }
    }
}

fn fixed<const WIDTH: usize>(rows: &[u8], places: &mut [usize], out: &mut [u8]) -> Option<()> {
    let (values, _) = out.as_chunks_mut::<WIDTH>();
    for (place, value) in places.iter_mut().zip(values) {
        *value = *rows.get(*place..)?.first_chunk::<WIDTH>()?;
        *place += WIDTH;
    }
    Some(())
}

/// A text with its length (LEB128) in front: its bytes, and the place behind them.
fn text(rows: &[u8], place: usize) -> Option<(&[u8], usize)> {
    let (mut length, mut start) = (0usize, place);
    for shift in (0..usize::BITS).step_by(7) {
        let byte = *rows.get(start)?;
        start += 1;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            let end = start.checked_add(length)?;
            return Some((rows.get(start..end)?, end));
        }
    }
    None
}

/// The different values of a column, and which of them each row has.
struct Dictionary<'a> {
    /// The empty text first, as the server's own dictionaries begin.
    keys: Vec<&'a [u8]>,
    numbers: HashMap<&'a [u8], u32>,
    rows: Vec<u32>,
    last: u32,
}

impl<'a> Dictionary<'a> {
    fn new(rows: usize) -> Self {
        let empty: &[u8] = b"";
        let numbers = HashMap::from([(empty, 0)]);
        Self { keys: vec![empty], numbers, rows: Vec::with_capacity(rows), last: 0 }
    }

    fn add(&mut self, value: &'a [u8]) -> Option<()> {
        // The topic is the same in all rows.
        if self.keys.get(usize::try_from(self.last).ok()?) != Some(&value) {
            let next = u32::try_from(self.keys.len()).ok()?;
            self.last = *self.numbers.entry(value).or_insert(next);
            if self.last == next {
                self.keys.push(value);
            }
        }
        self.rows.push(self.last);
        Some(())
    }

    /// Version, kind of the numbers, keys, numbers.
    fn put(&self, out: &mut Vec<u8>) {
        let put_count = |out: &mut Vec<u8>, count: usize| {
            out.extend_from_slice(&u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
        };
        let (kind, width) = match self.keys.len() {
            0..=0x100 => (0, 1),
            0x101..=0x1_0000 => (1, 2),
            _ => (2, 4),
        };
        out.extend_from_slice(&1u64.to_le_bytes());
        out.extend_from_slice(&(kind | OWN_KEYS).to_le_bytes());
        put_count(out, self.keys.len());
        for key in &self.keys {
            put_string(out, key);
        }
        put_count(out, self.rows.len());
        for number in &self.rows {
            out.extend(number.to_le_bytes().iter().take(width));
        }
    }
}

#[cfg(test)]
mod tests {
    use nova_streams::ColumnType;

    use super::*;

    fn columns(types: &[(&str, &str)]) -> Vec<BlockColumn> {
        let column = |(name, type_text): &(&str, &str)| BlockColumn {
            name: (*name).to_owned(),
            type_text: (*type_text).to_owned(),
            encoder: Encoder::new(&ColumnType::parse(type_text).unwrap()),
        };
        types.iter().map(column).collect()
    }

    fn written(columns: &[BlockColumn], rows: &[&[u8]]) -> Option<Vec<u8>> {
        let forms: Vec<Form> = columns.iter().map(Form::of).collect::<Option<_>>()?;
        let starts: Vec<usize> = rows
            .iter()
            .scan(0, |at, row| {
                *at += row.len();
                Some(*at - row.len())
            })
            .collect();
        native(columns, &forms, &rows.concat(), starts, Vec::new())
    }

    #[test]
    fn columns_are_written_as_the_server_writes_them() {
        let columns = columns(&[("t", "String"), ("topic", "LowCardinality(String)"), ("n", "UInt16")]);
        let rows: [&[u8]; 3] =
            [b"\x02ab\x09cdc.likes\x01\x00", b"\x00\x09cdc.likes\x02\x00", b"\x01c\x00\x03\x01"];
        let expected = [
            &b"\x03\x03"[..],
            b"\x01n\x06UInt16\x01\x00\x02\x00\x03\x01",
            b"\x01t\x06String\x02ab\x00\x01c",
            b"\x05topic\x16LowCardinality(String)",
            // As `SELECT … FORMAT Native` answers for such a column.
            b"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00",
            b"\x02\x00\x00\x00\x00\x00\x00\x00\x00\x09cdc.likes",
            b"\x03\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00",
        ];
        assert_eq!(written(&columns, &rows), Some(expected.concat()));
    }

    #[test]
    fn many_keys_have_wide_numbers_and_rows_of_many_chunks_stay_in_order() {
        let columns = columns(&[("k", "LowCardinality(String)"), ("n", "UInt32")]);
        let count = u32::try_from(CHUNK).unwrap() * 2 + 7;
        let rows: Vec<Vec<u8>> = (0..count)
            .map(|n| [&[4][..], format!("{:04}", n % 300).as_bytes(), &n.to_le_bytes()].concat())
            .collect();
        let written = written(&columns, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        let numbers: Vec<u8> = (0..count).flat_map(u32::to_le_bytes).collect();
        assert!(written.windows(numbers.len()).any(|window| window == numbers));
        let keys: Vec<u8> =
            (0..count).flat_map(|n| u16::try_from(n % 300 + 1).unwrap().to_le_bytes()).collect();
        assert!(written.ends_with(&keys));
    }

    #[test]
    fn columns_whose_values_look_otherwise_are_left_to_rows() {
        for type_text in
            ["Nullable(UInt8)", "Array(UInt8)", "LowCardinality(UInt8)", "LowCardinality(Nullable(String))"]
        {
            assert_eq!(columns(&[("c", type_text)]).first().and_then(Form::of), None, "{type_text}");
        }
    }

    #[test]
    fn a_row_that_ends_early_is_refused() {
        let columns = columns(&[("t", "String"), ("n", "UInt8")]);
        for row in [&b"\x02a"[..], b"\x01a", b"\x80", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert_eq!(written(&columns, &[row]), None, "{row:?}");
        }
    }
}
