//! Migration files as text: split into statements, placeholders replaced.
//!
//! Invariant: a file is split before anything is put into it, and every value is escaped for the place it goes to,
//! so no value can end a literal or begin a statement.

use thiserror::Error;

use crate::sql::{identifier, literal_content};

/// A migration file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// `${…}` with a name that has no value.
    #[error(
        "unknown placeholder `${{{0}}}`; known are database and postgres_{{host,port,database,user,password}}"
    )]
    Unknown(String),
    /// `${` without `}`.
    #[error("a placeholder `${{` is not closed")]
    Unclosed,
    /// A quote or comment that is not closed.
    #[error("{0} is not closed before the end of the file")]
    OpenEnd(&'static str),
    /// A statement that nobody has said how to make on a cluster.
    #[error("`{0} …` has no form for a cluster; give it one in nova-clickhouse/src/cluster.rs")]
    NoClusterForm(String),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'v> {
    /// Goes in as a quoted identifier.
    Identifier(&'v str),
    /// Goes between the quotes of a string literal.
    Literal(&'v str),
    /// Goes in as digits.
    Number(u16),
}

/// Replaces each `${name}`, in one pass: what a value contains is never looked at again.
pub(crate) fn fill<'v>(
    template: &str,
    value: impl Fn(&str) -> Option<Value<'v>>,
) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
        filled.push_str(before);
        match value(name).ok_or_else(|| TemplateError::Unknown(name.chars().take(64).collect()))? {
            Value::Identifier(text) => filled.push_str(&identifier(text)),
            Value::Literal(text) => filled.push_str(&literal_content(text)),
            Value::Number(number) => filled.push_str(&number.to_string()),
        }
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The statements of a file, without comments and without their semicolons.
pub(crate) fn statements(text: &str) -> Result<Vec<String>, TemplateError> {
    let mut statements = Vec::new();
    let mut current = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '-' if rest.starts_with("--") => {
                rest = rest.split_once('\n').map_or("", |(_, tail)| tail);
                current.push('\n');
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let after = rest.get(2..).unwrap_or_default();
                rest = after
                    .split_once("*/")
                    .map(|(_, tail)| tail)
                    .ok_or(TemplateError::OpenEnd("a comment `/*`"))?;
                current.push(' ');
                continue;
            }
            ';' => {
                finish(&mut current, &mut statements);
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            '\'' | '"' | '`' => quoted_length(rest, character).ok_or(TemplateError::OpenEnd("a quote"))?,
            other => other.len_utf8(),
        };
        let (taken, tail) = rest.split_at(length);
        current.push_str(taken);
        rest = tail;
    }
    finish(&mut current, &mut statements);
    Ok(statements)
}

fn finish(current: &mut String, statements: &mut Vec<String>) {
    if !current.trim().is_empty() {
        statements.push(current.trim().to_owned());
    }
    current.clear();
}

/// Bytes of the quoted text at the beginning, both quotes included. A doubled quote reads as two quoted texts side
/// by side, which splits the same.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next()?;
        } else if character == quote {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_split() {
        let text =
            "-- a; b\nSELECT ';', 'it''s; \\'', \"a;b\", `c;d` /* ; ' */ FROM t; \n\n; SELECT 2 -- end;";
        let found = statements(text).unwrap();
        assert_eq!(found, ["SELECT ';', 'it''s; \\'', \"a;b\", `c;d`   FROM t", "SELECT 2"]);
        assert_eq!(statements("-- only a comment\n").unwrap(), Vec::<String>::new());
        assert_eq!(statements("SELECT 5 - 3 / 2").unwrap(), ["SELECT 5 - 3 / 2"]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        assert_eq!(statements("SELECT 'a"), Err(TemplateError::OpenEnd("a quote")));
        assert_eq!(statements("SELECT 'a\\'"), Err(TemplateError::OpenEnd("a quote")));
        assert_eq!(statements("SELECT 1 /* "), Err(TemplateError::OpenEnd("a comment `/*`")));
    }

    #[test]
    fn values_are_escaped_for_their_place_and_not_read_again() {
        let value = |name: &str| match name {
            "database" => Some(Value::Identifier("no`va")),
            "password" => Some(Value::Literal("a'; DROP ${database}\\")),
            "port" => Some(Value::Number(5432)),
            _ => None,
        };
        let filled = fill("${database}.d '${password}' ${port}", value).unwrap();
        assert_eq!(filled, r"`no\`va`.d 'a\'; DROP ${database}\\' 5432");
        assert_eq!(fill("${nope}", value), Err(TemplateError::Unknown("nope".to_owned())));
        assert_eq!(fill("${database", value), Err(TemplateError::Unclosed));
    }
}
