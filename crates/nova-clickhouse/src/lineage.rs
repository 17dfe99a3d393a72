//! Which rows of which messages a table has: the question that settles whether an insert happened.
//!
//! Invariant: the answer is what the table holds now, never what a de-duplication log remembers. A minmax index on
//! `kafka_offset` keeps it from reading the whole table.

use nova_pipeline::{Ranges, RowId};

use crate::sql::identifier;
use crate::{ClickHouseError, Client};

/// The rows of these ranges of `topic` that `table` has; a row that is there twice comes twice.
///
/// # Errors
/// See [`ClickHouseError`].
pub(crate) async fn present(
    client: &Client,
    table: &str,
    topic: &str,
    ranges: &Ranges,
) -> Result<Vec<RowId>, ClickHouseError> {
    let Some(sql) = question(table, ranges) else { return Ok(Vec::new()) };
    let text = client.query_text(&sql, &[("topic", topic)]).await?;
    answers(table, &text, row_id)
}

/// The lines of an answer, each read by `read`.
///
/// # Errors
/// [`ClickHouseError::Schema`] with the table and the line that is not what was asked for.
pub(crate) fn answers<T>(
    table: &str,
    text: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, ClickHouseError> {
    text.lines().map(|line| read(line).ok_or_else(|| unreadable(table, line))).collect()
}

/// Numbers of our own need no parameters; the topic is one.
fn question(table: &str, ranges: &Ranges) -> Option<String> {
    inside(ranges).map(|inside| {
        format!(
            "SELECT kafka_partition, kafka_offset, ordinal, event_id FROM {} WHERE topic = {{topic:String}} AND {inside} \
             SETTINGS select_sequential_consistency = 1",
            identifier(table)
        )
    })
}

/// The condition that a row's message is in the ranges; none for no ranges.
pub(crate) fn inside(ranges: &Ranges) -> Option<String> {
    let of_partition = |(partition, range): (i32, &std::ops::Range<i64>)| {
        format!(
            "(kafka_partition = {partition} AND kafka_offset >= {} AND kafka_offset < {})",
            range.start, range.end
        )
    };
    let conditions: Vec<String> = ranges.iter().map(of_partition).collect();
    (!conditions.is_empty()).then(|| format!("({})", conditions.join(" OR ")))
}

fn row_id(line: &str) -> Option<RowId> {
    let mut fields = line.split('\t');
    let partition = fields.next()?.parse().ok()?;
    let offset = fields.next()?.parse().ok()?;
    let ordinal = fields.next()?.parse().ok()?;
    let event_id = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some(RowId { partition, offset, ordinal, event_id })
}

fn unreadable(table: &str, line: &str) -> ClickHouseError {
    ClickHouseError::Schema(format!(
        "table `{table}`: a line of {} characters is no answer to a question about its rows",
        line.chars().count()
    ))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_question_names_each_range_and_quotes_the_table() {
        let ranges: Ranges = [(0, 100..250), (3, 40..90)].into_iter().collect();
        let sql = question("a`b", &ranges).unwrap();
        assert!(sql.contains("FROM `a\\`b` WHERE topic = {topic:String} AND ((kafka_partition = 0"), "{sql}");
        assert!(sql.contains("(kafka_partition = 3 AND kafka_offset >= 40 AND kafka_offset < 90)"), "{sql}");
        assert_eq!(question("t", &Ranges::default()), None);
    }

    #[test]
    fn reads_lineage_and_nothing_else() {
        let event_id = Uuid::from_u128(7);
        let line = format!("3\t40\t1\t{event_id}");
        assert_eq!(row_id(&line), Some(RowId { partition: 3, offset: 40, ordinal: 1, event_id }));
        for line in ["", "3\t40\t1", &line.replace("\t1\t", "\t300\t"), "3\t40\t1\t2", "a\tb\tc\td"] {
            assert_eq!(row_id(line), None, "{line}");
        }
    }
}
