//! Names and values in the SQL of both servers.
//!
//! Invariant: whatever the input, the output is one identifier or one literal.

pub(crate) use nova_clickhouse::{identifier as ch_name, literal_content};

/// A name in PostgreSQL.
pub(crate) fn pg_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in PostgreSQL (`standard_conforming_strings` is on in every session of ours).
pub(crate) fn pg_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text in ClickHouse.
pub(crate) fn ch_literal(text: &str) -> String {
    format!("'{}'", literal_content(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_leave_their_quotes() {
        assert_eq!(pg_name(r#"a"b"#), r#""a""b""#);
        assert_eq!(pg_literal(r"it's \ fine"), r"'it''s \ fine'");
        assert_eq!(ch_literal(r"it's \ fine"), r"'it\'s \\ fine'");
    }
}
