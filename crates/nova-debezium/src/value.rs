//! Conversions of one JSON text into one value; pure functions that know nothing of messages.
//!
//! Invariant: exact or refused. No value is rounded, wrapped or cut.

pub(crate) mod bytes;
pub(crate) mod decimal;
pub(crate) mod number;
pub(crate) mod placeholder;
pub(crate) mod time;

use std::borrow::Cow;

pub use bytes::BytesEncoding;
pub use time::TimeUnit;

/// Why a value cannot be converted; [`crate::Field`] adds the place and the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    Type,
    Unavailable,
    Semantic,
    UnitUnknown,
    Infinite,
    Overflow,
    LostDigits,
}

pub(crate) type Outcome<T> = Result<T, Problem>;

pub(crate) fn is_string(raw: &str) -> bool {
    raw.starts_with('"')
}

/// What stands between the quotes of a JSON string, escapes as they are.
#[inline]
pub(crate) fn quoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// The string that the JSON text `raw` stands for.
pub(crate) fn text(raw: &str) -> Outcome<Cow<'_, str>> {
    let inner = quoted(raw).ok_or(Problem::Type)?;
    if inner.contains('\\') {
        serde_json::from_str(raw).map(Cow::Owned).map_err(|_| Problem::Type)
    } else {
        Ok(Cow::Borrowed(inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_borrowed_unless_escaped() {
        assert!(matches!(text(r#""ü""#), Ok(Cow::Borrowed("ü"))));
        assert_eq!(text(r#""a\n\ud83d\ude80""#).as_deref(), Ok("a\n🚀"));
        assert_eq!(text(r#""\ud83d""#), Err(Problem::Type));
        assert_eq!(text("1"), Err(Problem::Type));
    }
}
