//! What a table has of messages other than a block's own: the questions by which doubts are resolved.
//!
//! Invariant: a row is the block's own if partition, offset and event are those of one of its messages, and no own row
//! is in any answer. So it makes no difference how much of the block is in the table already.

use std::collections::{BTreeSet, HashMap, HashSet};

use nova_pipeline::{Ranges, Seen};
use uuid::Uuid;

use crate::block_row::BlockRow;
use crate::lineage::{answers, inside};
use crate::resolve::{Doubts, History, States};
use crate::row_binary::BlockLayout;
use crate::sql::{identifier, uuids};
use crate::{ClickHouseError, Client};

/// Asks for everything by which the doubts of a block over `ranges` of `topic` are resolved.
///
/// # Errors
/// See [`ClickHouseError`].
pub(crate) async fn history(
    client: &Client,
    layout: &BlockLayout,
    topic: &str,
    ranges: &Ranges,
    doubts: &Doubts<'_>,
) -> Result<History, ClickHouseError> {
    Ok(History {
        events: events(client, layout.table(), topic, doubts).await?,
        states: states(client, layout, topic, ranges, doubts).await?,
    })
}

/// Those of the doubted events that the table has from other messages, wherever they are. A change has the same
/// position in the write-ahead log in all of its messages, so the index on `source_lsn` leaves little to read.
async fn events(
    client: &Client,
    table: &str,
    topic: &str,
    doubts: &Doubts<'_>,
) -> Result<HashSet<Uuid>, ClickHouseError> {
    let Some((events, least, greatest)) = doubts.events() else { return Ok(HashSet::new()) };
    let sql = format!(
        "SELECT kafka_partition, kafka_offset, event_id FROM {} WHERE topic = {{topic:String}} \
         AND source_lsn BETWEEN {least} AND {greatest} AND event_id IN {} SETTINGS select_sequential_consistency = 1",
        identifier(table),
        uuids(&events)
    );
    let text = client.query_text(&sql, &[("topic", topic)]).await?;
    let found = answers(table, &text, |line| place(line, '\t'))?.into_iter();
    Ok(found.filter(|found| !doubts.has(*found)).map(|(_, _, event)| event).collect())
}

/// The states that other messages left for the keys that the block's snapshot reads name.
///
/// Rows behind the block do not count: others went on while it stayed open, or offsets were set back. In a partition
/// that is read afresh they do, since the offsets are those of a topic that is gone.
async fn states(
    client: &Client,
    layout: &BlockLayout,
    topic: &str,
    ranges: &Ranges,
    doubts: &Doubts<'_>,
) -> Result<HashMap<Uuid, States>, ClickHouseError> {
    let keys: BTreeSet<Uuid> = doubts.states().map(BlockRow::source_key).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let behind: String = ranges
        .iter()
        .filter(|(partition, _)| !doubts.is_afresh(*partition))
        .map(|(partition, range)| {
            format!(" AND NOT (kafka_partition = {partition} AND kafka_offset >= {})", range.end)
        })
        .collect();
    let mut states: HashMap<Uuid, States> = HashMap::new();
    for StateLine { key, state, count, place } in
        states_of(client, layout, topic, &keys, &behind, inside(ranges)).await?
    {
        if !place.is_some_and(|place| doubts.has(place)) {
            *states.entry(key).or_default().entry(state).or_default() += count;
        }
    }
    Ok(states)
}

/// The states that the table has of these keys, at least one; those of `named` messages apart from the others.
/// `behind` is a further condition on the rows.
pub(crate) async fn states_of(
    client: &Client,
    layout: &BlockLayout,
    topic: &str,
    keys: &BTreeSet<Uuid>,
    behind: &str,
    named: Option<String>,
) -> Result<Vec<StateLine>, ClickHouseError> {
    let table = layout.table();
    let declared: Vec<String> = layout.declared().iter().map(|column| identifier(&column.name)).collect();
    // `formatRow` writes the very bytes that the encoder writes; a test compares them for every type.
    let sql = format!(
        "SELECT source_key, hex(formatRow('RowBinary', {})), sum(sign), \
         if({}, concat(toString(kafka_partition), ' ', toString(kafka_offset), ' ', toString(event_id)), '') \
         FROM {} WHERE topic = {{topic:String}} AND source_key IN {}{behind} \
         GROUP BY ALL HAVING sum(sign) != 0 SETTINGS select_sequential_consistency = 1",
        declared.join(", "),
        named.unwrap_or_else(|| "0".to_owned()),
        identifier(table),
        uuids(keys)
    );
    answers(table, &client.query_text(&sql, &[("topic", topic)]).await?, state)
}

/// What the table has of these partitions of `topic`; one without rows is left out.
///
/// # Errors
/// See [`ClickHouseError`].
pub(crate) async fn seen(
    client: &Client,
    table: &str,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<Seen>, ClickHouseError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT kafka_partition, max(kafka_offset) + 1, max(source_lsn) FROM {} WHERE topic = {{topic:String}} \
         AND kafka_partition IN ({}) GROUP BY kafka_partition ORDER BY kafka_partition \
         SETTINGS select_sequential_consistency = 1",
        identifier(table),
        partitions.join(", ")
    );
    answers(table, &client.query_text(&sql, &[("topic", topic)]).await?, seen_of)
}

/// Partition, offset and event of a message.
type Place = (i32, i64, Uuid);

/// A state of a key and how often it is there; by message, for messages in the block's ranges.
#[derive(Debug, PartialEq)]
pub(crate) struct StateLine {
    pub(crate) key: Uuid,
    pub(crate) state: Vec<u8>,
    pub(crate) count: i64,
    place: Option<Place>,
}

fn place(text: &str, separator: char) -> Option<Place> {
    let mut fields = text.split(separator);
    let place = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    fields.next().is_none().then_some(place)
}

fn state(line: &str) -> Option<StateLine> {
    let mut fields = line.split('\t');
    let key = fields.next()?.parse().ok()?;
    let (pairs, rest) = fields.next()?.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let state = pairs.iter().map(byte).collect::<Option<_>>()?;
    let count = fields.next()?.parse().ok()?;
    let place = match fields.next()? {
        "" => None,
        text => Some(place(text, ' ')?),
    };
    (rest.is_empty() && fields.next().is_none()).then_some(StateLine { key, state, count, place })
}

fn seen_of(line: &str) -> Option<Seen> {
    let mut fields = line.split('\t');
    let partition = fields.next()?.parse().ok()?;
    let next_offset = fields.next()?.parse().ok()?;
    let lsn = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some(Seen { partition, next_offset, lsn })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let id = Uuid::from_u128(7);
        assert_eq!(place(&format!("3\t40\t{id}"), '\t'), Some((3, 40, id)));
        let line = StateLine { key: id, state: vec![0, 255, 26], count: -2, place: Some((3, 40, id)) };
        assert_eq!(state(&format!("{id}\t00FF1a\t-2\t3 40 {id}")), Some(line));
        let line = StateLine { key: id, state: Vec::new(), count: 1, place: None };
        assert_eq!(state(&format!("{id}\t\t1\t")), Some(line));
        assert_eq!(seen_of("3\t40\t5"), Some(Seen { partition: 3, next_offset: 40, lsn: 5 }));
        for wrong in ["", "3", "3\t40", "3\t40\t5\t6", "a\tb\tc"] {
            assert_eq!((place(wrong, '\t'), state(wrong), seen_of(wrong)), (None, None, None), "{wrong}");
        }
        for wrong in ["0", "0g", "000", "ä"] {
            assert_eq!(state(&format!("{id}\t{wrong}\t1\t")), None, "{wrong}");
        }
    }
}
