//! What a terminal can show.
//!
//! Invariant: colours and block characters are only for terminals; a file or a pipe gets plain ASCII.

use std::io::IsTerminal;

use super::fold::Level;

/// How text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns of a line.
    pub width: usize,
    /// Block characters instead of ASCII.
    pub unicode: bool,
    /// ANSI colours.
    pub colour: bool,
    /// How many differences of each kind and stream are shown.
    pub listed: usize,
}

/// The width of what is no terminal.
const PLAIN_WIDTH: usize = 100;
/// Differences shown per kind and stream.
const LISTED: usize = 5;

impl Style {
    /// For files, pipes and tests.
    pub const PLAIN: Self = Self { width: PLAIN_WIDTH, unicode: false, colour: false, listed: LISTED };

    /// What standard output can show: `NO_COLOR` (<https://no-color.org>), the locale and the terminal's width count.
    #[must_use]
    pub fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::PLAIN;
        }
        let width = console::Term::stdout().size_checked().map(|(_, columns)| columns.into());
        Self::of_terminal(|name| std::env::var(name).ok(), width)
    }

    fn of_terminal(variable: impl Fn(&str) -> Option<String>, width: Option<usize>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let plain = set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb");
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let utf8 = ["utf-8", "utf8"].iter().any(|name| locale.to_ascii_lowercase().contains(name));
        let width = width.unwrap_or(PLAIN_WIDTH).clamp(40, 200);
        Self { width, unicode: utf8 && !plain, colour: !plain, listed: LISTED }
    }

    /// The character of a level in a heat strip.
    pub(crate) fn block(&self, level: Level) -> char {
        let (unicode, ascii) = match level {
            Level::Equal => ('▁', '.'),
            Level::Explained => ('▃', 'e'),
            Level::NotCompared => ('░', '?'),
            Level::One => ('▅', '1'),
            Level::Few => ('▆', '+'),
            Level::Many => ('▇', 'x'),
            Level::Lots => ('█', '#'),
        };
        if self.unicode { unicode } else { ascii }
    }

    /// The text in the colour of a level.
    pub(crate) fn paint(&self, level: Level, text: &str) -> String {
        let code = match level {
            Level::Equal => "36",
            Level::Explained => "34",
            Level::NotCompared => "35",
            Level::One | Level::Few => "33",
            Level::Many | Level::Lots => "31",
        };
        self.sgr(code, text)
    }

    /// The text in bold.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// The text in grey.
    pub(crate) fn dim(&self, text: &str) -> String {
        self.sgr("2", text)
    }

    fn sgr(&self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_blocks_are_for_terminals_that_want_them() {
        let style = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
            };
            let style = Style::of_terminal(variable, Some(500));
            assert_eq!(style.width, 200);
            (style.unicode, style.colour)
        };
        assert_eq!(style(&[("LANG", "en_GB.UTF-8"), ("NO_COLOR", "")]), (true, true));
        assert_eq!(style(&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")]), (false, true));
        assert_eq!(style(&[("LANG", "C.utf8"), ("NO_COLOR", "1")]), (false, false));
        assert_eq!(style(&[("LANG", "C.utf8"), ("TERM", "dumb")]), (false, false));
        assert_eq!(Style::of_terminal(|_| None, None).width, PLAIN_WIDTH);
    }
}
