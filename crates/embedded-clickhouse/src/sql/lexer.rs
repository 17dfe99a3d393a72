//! Splits ClickHouse SQL into the tokens that matter for finding where a statement ends and its data begin.
//!
//! Invariant: never fails and never looks behind the token asked for, so binary insert data after the statement
//! do no harm. An unterminated string or comment runs to the end of the text.

/// One token: its bytes and where they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) bytes: &'a [u8],
    pub(super) start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare identifier, keyword or number.
    Word,
    /// A quoted identifier.
    Quoted,
    /// A string literal or heredoc.
    Text,
    /// One byte of punctuation.
    Mark(u8),
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.bytes.len()
    }

    /// Whether this is the bare word `keyword`, in any case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.bytes.eq_ignore_ascii_case(keyword.as_bytes())
    }

    pub(super) fn is_mark(&self, mark: u8) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// Iterator over the tokens of `text`, comments and white space left out.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let skipped = match rest {
                [b, ..] if b.is_ascii_whitespace() || *b == 0x0B => 1,
                [b'-', b'-', ..] | [b'#', b' ' | b'!', ..] => {
                    rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |n| n + 1)
                }
                [b'/', b'*', ..] => find(rest, b"*/").map_or(rest.len(), |n| n + 2),
                _ => return,
            };
            self.at += skipped;
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let rest = self.rest();
        let (kind, length) = match *rest.first()? {
            b'\'' => (Kind::Text, quoted_length(rest, b'\'')),
            quote @ (b'"' | b'`') => (Kind::Quoted, quoted_length(rest, quote)),
            b'$' => heredoc_length(rest).map_or((Kind::Mark(b'$'), 1), |length| (Kind::Text, length)),
            byte if is_word(byte) => {
                (Kind::Word, rest.iter().position(|b| !is_word(*b)).unwrap_or(rest.len()))
            }
            byte => (Kind::Mark(byte), 1),
        };
        let start = self.at;
        self.at += length;
        Some(Token { kind, bytes: rest.get(..length)?, start })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

/// Backslash escapes any byte. A doubled quote continues the literal in ClickHouse; here it starts the next token,
/// which comes to the same.
fn quoted_length(text: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    for (n, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b if *b == quote => return n + 1,
            _ => {}
        }
    }
    text.len()
}

/// `$tag$ … $tag$`.
fn heredoc_length(text: &[u8]) -> Option<usize> {
    let tag_end = text.iter().skip(1).position(|b| !is_word(*b)).map(|n| n + 1)?;
    if *text.get(tag_end)? != b'$' {
        return None;
    }
    let (tag, body) = text.split_at_checked(tag_end + 1)?;
    find(body, tag).map(|n| tag.len() + n + tag.len())
}

#[cfg(test)]
mod tests {
    use super::Lexer;

    fn words(sql: &str) -> Vec<String> {
        Lexer::new(sql.as_bytes()).map(|t| String::from_utf8_lossy(t.bytes).into_owned()).collect()
    }

    #[test]
    fn strings_comments_and_heredocs_hide_what_is_in_them() {
        assert_eq!(words("a -- ; b\n/* ; */ 'x\\';y' `;`;"), ["a", "'x\\';y'", "`;`", ";"]);
        assert_eq!(words("select $t$ ; $t$, $1"), ["select", "$t$ ; $t$", ",", "$", "1"]);
        assert_eq!(words("'open ; "), ["'open ; "]);
        assert_eq!(words("/* open"), Vec::<String>::new());
    }
}
