//! The SQL by which a person looks at a difference or a window, in both databases.
//!
//! Invariant: whatever a key holds, each query is one statement that reads. They show today's state, not the snapshot's.

use chrono::DateTime;

use super::words::is_hidden;
use crate::{Column, Difference, StreamReport};

/// The same question for both sides.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Queries {
    pub(crate) postgres: String,
    pub(crate) clickhouse: String,
}

/// For the key of a difference: its row in PostgreSQL, and its whole history in ClickHouse.
pub(crate) fn of_difference(stream: &StreamReport, difference: &Difference) -> Queries {
    let key = difference.source_key;
    let condition = if let Some(condition) = equals(&difference.key) {
        condition
    } else if let [column] = stream.key.as_slice()
        && key.get_version_num() != 5
    {
        // A single UUID is its own identity; a UUID of version 5 may stand for a key of another type.
        format!("{} = '{key}'", name(column, '"'))
    } else {
        let window = stream.windows.get(difference.window);
        window
            .map_or_else(|| "false".to_owned(), |window| postgres_range(stream, window.from_ms, window.to_ms))
    };
    Queries {
        postgres: format!("SELECT * FROM {} WHERE {condition};", source(stream)),
        clickhouse: format!(
            "SELECT * FROM {} WHERE topic = {} AND source_key = '{key}' \
             ORDER BY source_lsn, kafka_partition, kafka_offset, ordinal;",
            name(&stream.table, '`'),
            clickhouse_literal(&stream.topic)
        ),
    }
}

/// For a range of time: how many rows each side has.
pub(crate) fn of_range(stream: &StreamReport, from_ms: i64, to_ms: i64) -> Queries {
    let time = |ms| format!("toDateTime64('{}', 3, 'UTC')", stamp(ms));
    let column = name(&stream.table_time, '`');
    Queries {
        postgres: format!(
            "SELECT count(*) FROM {} WHERE {};",
            source(stream),
            postgres_range(stream, from_ms, to_ms)
        ),
        clickhouse: format!(
            "SELECT sum(sign) FROM {} WHERE topic = {} AND {column} >= {} AND {column} < {};",
            name(&stream.table, '`'),
            clickhouse_literal(&stream.topic),
            time(from_ms),
            time(to_ms)
        ),
    }
}

fn equals(key: &[Column]) -> Option<String> {
    let one = |column: &Column| {
        let left = name(&column.name, '"');
        match &column.value {
            Some(value) => format!("{left} = {}", postgres_literal(value)),
            None => format!("{left} IS NULL"),
        }
    };
    (!key.is_empty()).then(|| key.iter().map(one).collect::<Vec<_>>().join(" AND "))
}

fn postgres_range(stream: &StreamReport, from_ms: i64, to_ms: i64) -> String {
    let column = name(&stream.time, '"');
    format!("{column} >= '{}+00' AND {column} < '{}+00'", stamp(from_ms), stamp(to_ms))
}

fn stamp(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

fn source(stream: &StreamReport) -> String {
    stream.source.splitn(2, '.').map(|part| name(part, '"')).collect::<Vec<_>>().join(".")
}

/// A name in quotes: unquoted, `user` would not be a column in PostgreSQL. It doubles a quote inside; ClickHouse takes
/// that, too, and reads backslashes.
fn name(text: &str, quote: char) -> String {
    let mut quoted = String::from(quote);
    for character in text.chars() {
        if character == quote {
            quoted.push(quote);
        } else if character == '\\' && quote == '`' {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push(quote);
    quoted
}

/// Hidden characters are written as escapes, so that the text can be shown and copied as it is.
fn postgres_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if !text.chars().any(is_hidden) {
        return format!("'{doubled}'");
    }
    let mut literal = String::from("E'");
    for character in doubled.chars() {
        match character {
            '\\' => literal.push_str("\\\\"),
            hidden if is_hidden(hidden) => literal.push_str(&format!("\\u{:04X}", u32::from(hidden))),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

fn clickhouse_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_leaves_its_quotes() {
        assert_eq!(postgres_literal("it's \\"), "'it''s \\'");
        assert_eq!(postgres_literal("a'\n\\\u{202e}"), "E'a''\\u000A\\\\\\u202E'");
        assert_eq!(clickhouse_literal("it's \\"), "'it\\'s \\\\'");
        assert_eq!(name("user", '"'), "\"user\"");
        assert_eq!(name("Weird\"name", '"'), "\"Weird\"\"name\"");
        assert_eq!(name("a`b\\c", '`'), "`a``b\\\\c`");
        assert_eq!(name("", '"'), "\"\"");
    }

    #[test]
    fn null_in_a_key_is_asked_for_as_null() {
        let column = |name: &str, value: Option<&str>| Column {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        assert_eq!(equals(&[]), None);
        let key = [column("a", Some("1")), column("B", None)];
        assert_eq!(equals(&key).unwrap(), "\"a\" = '1' AND \"B\" IS NULL");
    }
}
