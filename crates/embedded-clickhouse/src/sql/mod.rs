//! What the front must know of a statement before the engine sees it: whether insert data follow and where, and
//! whether it is one statement, for libchdb would run several.
//!
//! Invariant: only the statement is looked at, never the data, and the statement's meaning is left to the engine.

mod lexer;

use std::ops::Range;

use crate::exception::Exception;
use lexer::{Kind, Lexer, Token};

/// What the beginning of a request's text turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Head {
    /// More bytes are needed to tell.
    Incomplete,
    /// No insert with data: the whole text is the statement.
    Plain,
    /// An insert whose data begin at `data_at`; the statement without its FORMAT or VALUES clause is
    /// the first `statement_end` bytes.
    Insert { statement_end: usize, format: String, data_at: usize },
}

/// Reads the beginning of `text`. `complete` says that nothing follows.
pub(crate) fn read_head(text: &[u8], complete: bool) -> Result<Head, Exception> {
    let mut tokens = Lexer::new(text);
    let undecided = if complete { Head::Plain } else { Head::Incomplete };
    let cut = |token: &Token<'_>| !complete && token.end() == text.len();
    match tokens.next() {
        None => return Ok(undecided),
        Some(first) if cut(&first) => return Ok(undecided),
        Some(first) if !first.is("INSERT") => return Ok(Head::Plain),
        Some(_) => {}
    }
    skip_target(&mut tokens);
    while let Some(token) = tokens.next() {
        if cut(&token) {
            break;
        }
        if token.is_mark(b'(') {
            if tokens.clone().next().is_some_and(|t| t.is("SELECT") || t.is("WITH") || t.is_mark(b'(')) {
                return Ok(Head::Plain);
            }
            skip_group(&mut tokens);
        } else if token.is("SELECT") || token.is("WITH") || token.is("WATCH") || token.is_mark(b';') {
            return Ok(Head::Plain);
        } else if token.is("FROM") {
            let Some(next) = tokens.next().filter(|next| !cut(next)) else { break };
            if !next.is("INFILE") {
                return Ok(Head::Plain);
            }
            let message = "INSERT … FROM INFILE reads files of the client, not of the server: send the data as the body";
            return Err(Exception::new(Exception::UNKNOWN_TYPE_OF_QUERY, message));
        } else if token.is("VALUES") {
            let format = "Values".to_owned();
            return Ok(Head::Insert { statement_end: token.start, format, data_at: token.end() });
        } else if token.is("FORMAT") {
            let Some(name) = tokens.next().filter(|name| !cut(name)) else { break };
            let Some(data_at) = after_format(text, name.end(), complete)? else { break };
            let format = String::from_utf8_lossy(name.bytes).into_owned();
            return Ok(Head::Insert { statement_end: token.start, format, data_at });
        }
    }
    Ok(undecided)
}

/// Passes `INTO [TABLE] [FUNCTION] name[.name]`, whose names may be spelled like keywords.
fn skip_target(tokens: &mut Lexer<'_>) {
    for keyword in ["INTO", "TABLE", "FUNCTION"] {
        let mut ahead = tokens.clone();
        if ahead.next().is_some_and(|token| token.is(keyword))
            && ahead.clone().next().is_some_and(|next| matches!(next.kind, Kind::Word | Kind::Quoted))
        {
            *tokens = ahead;
        }
    }
    tokens.next();
    let mut ahead = tokens.clone();
    if ahead.next().is_some_and(|token| token.is_mark(b'.')) {
        ahead.next();
        *tokens = ahead;
    }
}

/// Passes the rest of a parenthesised group whose opening parenthesis has been read.
fn skip_group(tokens: &mut Lexer<'_>) {
    let mut depth = 1_u32;
    for token in tokens {
        match token.kind {
            Kind::Mark(b'(') => depth += 1,
            Kind::Mark(b')') if depth == 1 => return,
            Kind::Mark(b')') => depth -= 1,
            _ => {}
        }
    }
}

/// Where the data begin after a FORMAT name that ends at `at`: behind blanks and at most one line break, as in
/// ClickHouse's ParserInsertQuery. `None`: more bytes are needed.
fn after_format(text: &[u8], mut at: usize, complete: bool) -> Result<Option<usize>, Exception> {
    let byte = |at: usize| text.get(at).copied();
    while matches!(byte(at), Some(b' ' | b'\t' | 0x0C)) {
        at += 1;
    }
    if byte(at) == Some(b';') {
        let message = "You have excessive ';' symbol before data for INSERT";
        return Err(Exception::new(Exception::SYNTAX_ERROR, message));
    }
    if byte(at) == Some(b'\r') {
        at += 1;
    }
    match byte(at) {
        Some(b'\n') => Ok(Some(at + 1)),
        None if !complete => Ok(None),
        _ => Ok(Some(at)),
    }
}

/// Checks a statement without data: it must be one statement and must not write a file on the server.
/// Returns the range of the output format's name, if the statement has one.
pub(crate) fn check_plain(sql: &[u8]) -> Result<Option<Range<usize>>, Exception> {
    let mut format = None;
    let mut ended = false;
    let mut first = None;
    let mut previous: Option<Token<'_>> = None;
    for token in Lexer::new(sql) {
        let after = |keyword: &str| previous.is_some_and(|token| token.is(keyword));
        if ended && !token.is_mark(b';') {
            let message = format!(
                "Syntax error (Multi-statements are not allowed): failed at position {}: send one statement per request",
                token.start + 1
            );
            return Err(Exception::new(Exception::SYNTAX_ERROR, message));
        }
        ended = token.is_mark(b';');
        if token.is("OUTFILE") && after("INTO") {
            return Err(Exception::new(Exception::NOT_IMPLEMENTED, "INTO OUTFILE is not allowed"));
        }
        if token.is_mark(b'(') && after("input") && first.is_some_and(|token: Token<'_>| token.is("INSERT")) {
            let message = "INSERT … SELECT … FROM input() is not available here: insert into a table, then select from it";
            return Err(Exception::new(Exception::NOT_IMPLEMENTED, message));
        }
        if token.kind == Kind::Word && after("FORMAT") {
            format = Some(token.start..token.end());
        }
        first = first.or(Some(token));
        previous = Some(token);
    }
    if first.is_none_or(|token| token.is_mark(b';')) {
        return Err(Exception::new(Exception::SYNTAX_ERROR, "Syntax error: Empty query"));
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::{Head, check_plain, read_head};

    fn insert(text: &str) -> (&str, String, &str) {
        match read_head(text.as_bytes(), true).unwrap() {
            Head::Insert { statement_end, format, data_at } => {
                (&text[..statement_end], format, &text[data_at..])
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn data_begin_after_one_line_break() {
        assert_eq!(insert("INSERT INTO t FORMAT TSV\n\n\n1"), ("INSERT INTO t ", "TSV".into(), "\n\n1"));
        assert_eq!(
            insert("insert into t(a, b) format RowBinary \r\n\n"),
            ("insert into t(a, b) ", "RowBinary".into(), "\n")
        );
        assert_eq!(insert("INSERT INTO t FORMAT CSV 1,2").2, "1,2");
        assert_eq!(insert("INSERT INTO t VALUES(1)"), ("INSERT INTO t ", "Values".into(), "(1)"));
        assert_eq!(
            insert("INSERT INTO t SETTINGS a='FORMAT x', b=1 FORMAT TSV\n").0,
            "INSERT INTO t SETTINGS a='FORMAT x', b=1 "
        );
        assert_eq!(insert("/* FORMAT x */ INSERT INTO db.`format` FORMAT TSV\n").1, "TSV");
        assert_eq!(insert("INSERT INTO format FORMAT TSV\n").1, "TSV");
        assert_eq!(insert("INSERT INTO TABLE t VALUES (1)").2, " (1)");
        assert_eq!(insert("INSERT INTO TABLE FUNCTION remote('h', t) FORMAT TSV\n1").2, "1");
    }

    #[test]
    fn undecided_until_the_data_begin() {
        let whole = b"INSERT INTO t FORMAT RowBinary\n";
        for cut in 0..whole.len() {
            assert_eq!(read_head(&whole[..cut], false).unwrap(), Head::Incomplete, "{cut}");
        }
        assert!(matches!(read_head(whole, false).unwrap(), Head::Insert { data_at: 31, .. }));
    }

    #[test]
    fn other_statements_are_plain() {
        for sql in [
            "SELECT 1 FORMAT TSV",
            "INSERT INTO t SELECT 1 FORMAT TSV",
            "INSERT INTO t (SELECT 1)",
            "",
            "INSERT",
        ] {
            assert_eq!(read_head(sql.as_bytes(), true).unwrap(), Head::Plain, "{sql}");
        }
        assert!(read_head(b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT TSV", true).is_err());
        assert!(read_head(b"INSERT INTO t FORMAT TSV; 1", true).is_err());
    }

    #[test]
    fn one_statement_only() {
        assert_eq!(check_plain(b"SELECT ';' FORMAT JSON;;").unwrap(), Some(18..22));
        assert_eq!(check_plain(b"SELECT 1 -- ; x").unwrap(), None);
        assert_eq!(check_plain(b"SELECT 1; SELECT 2").unwrap_err().code, 62);
        assert_eq!(check_plain(b" -- nothing").unwrap_err().code, 62);
        assert_eq!(check_plain(b"SELECT 1 INTO OUTFILE '/x'").unwrap_err().code, 48);
        assert_eq!(
            check_plain(b"INSERT INTO t SELECT * FROM input('a Int8') FORMAT TSV 1").unwrap_err().code,
            48
        );
    }
}
