//! Finding the exception in what the server sent.
//!
//! ClickHouse reports an exception in three ways: the header `X-ClickHouse-Exception-Code` and the message as body;
//! since 25.11, after rows have begun, a tagged trailer; before that, the bare message after the last row.
//! Sources: <https://clickhouse.com/docs/interfaces/http>, `WriteBufferFromHTTPServerResponse.cpp`.
//!
//! Invariant: the code is parsed as a whole number. `Code: 530` is not `Code: 53`.

/// An exception as found: its code, if one was given, and the server's message as it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) code: Option<i32>,
    pub(crate) message: String,
}

/// Messages are cut to this many characters.
const MESSAGE_CHARACTERS: usize = 600;
/// An untagged exception is looked for in this many last bytes of a body.
const TAIL_BYTES: usize = 32 * 1024;
const TRAILER: &[u8] = b"\r\n__exception__\r\n";

/// The exception at the end of a body whose status said 200.
pub(crate) fn trailing_exception(body: &[u8], tag: Option<&str>) -> Option<Found> {
    let text = match tag.and_then(|tag| tagged(body, tag)) {
        Some(text) => text,
        None => untagged(body)?,
    };
    Some(Found { code: code_in_text(&text), message: text })
}

/// `\r\n__exception__\r\n<tag>\r\n<message>\n<length> <tag>\r\n__exception__\r\n`, the length being that of the
/// message with its line feed.
fn tagged(body: &[u8], tag: &str) -> Option<String> {
    let rest = body.strip_suffix(TRAILER)?.strip_suffix(tag.as_bytes())?.strip_suffix(b" ")?;
    let digits_at = rest.iter().rposition(|byte| *byte == b'\n')? + 1;
    let length: usize = std::str::from_utf8(rest.get(digits_at..)?).ok()?.parse().ok()?;
    let message = rest.get(digits_at.checked_sub(length)?..digits_at)?;
    Some(String::from_utf8_lossy(message).trim().to_owned())
}

/// `…Code: <code>. DB::Exception: … (official build))\n` right behind the last row.
fn untagged(body: &[u8]) -> Option<String> {
    if !body.ends_with(b"(official build))\n") {
        return None;
    }
    let tail = String::from_utf8_lossy(body.get(body.len().saturating_sub(TAIL_BYTES)..)?).into_owned();
    let message = tail.get(tail.rfind("Code: ")?..)?;
    message.contains("Exception: ").then(|| message.trim_end().to_owned())
}

/// The number behind the first `Code: `.
pub(crate) fn code_in_text(text: &str) -> Option<i32> {
    let (_, rest) = text.split_once("Code: ")?;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// The message for people: one line, bounded, without the code in front and the version banner behind.
pub(crate) fn readable(message: &str) -> String {
    let without_banner = message.rfind("(version ").and_then(|at| message.get(..at)).unwrap_or(message);
    let without_code = match without_banner.split_once("Exception: ") {
        Some((before, rest)) if before.trim_start().starts_with("Code: ") => rest,
        _ => without_banner,
    };
    bounded(without_code, MESSAGE_CHARACTERS)
}

/// White space and control characters collapsed to single spaces, at most `limit` characters.
pub(crate) fn bounded(text: &str, limit: usize) -> String {
    let mut line = String::new();
    // Collapsing never makes a text longer, and nobody reads far: do not walk through megabytes.
    for (index, word) in text
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| !word.is_empty())
        .take(limit)
        .enumerate()
    {
        if index > 0 {
            line.push(' ');
        }
        line.extend(word.chars().take(limit + 1));
        if line.len() > 4 * limit {
            break;
        }
    }
    if line.chars().count() > limit {
        line = line.chars().take(limit).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANNER: &str = "(version 26.5.1.1 (official build))";

    #[test]
    fn the_number_is_parsed_whole_and_the_first_one_counts() {
        assert_eq!(code_in_text("Code: 530. DB::Exception: x"), Some(530));
        assert_eq!(code_in_text("Code: 60. DB::Exception: Received: Code: 210. x"), Some(60));
        assert_eq!(code_in_text("Code: . x"), None);
        assert_eq!(code_in_text("404 page"), None);
        assert_eq!(code_in_text("Code: 99999999999999. x"), None);
    }

    #[test]
    fn finds_the_tagged_trailer_behind_rows() {
        let message = "Code: 395. DB::Exception: Value passed to 'throwIf': boom. (FUNCTION_THROW_IF)\n";
        let body = format!(
            "{{\"n\":1}}\n\r\n__exception__\r\nabcdefgh\r\n{message}{} abcdefgh\r\n__exception__\r\n",
            message.len()
        );
        let found = trailing_exception(body.as_bytes(), Some("abcdefgh")).unwrap();
        assert_eq!((found.code, found.message.as_str()), (Some(395), message.trim()));
        assert_eq!(trailing_exception(body.as_bytes(), Some("other")), None, "another tag is data");
        assert_eq!(trailing_exception(body.as_bytes(), None), None, "without a tag it is data");
    }

    #[test]
    fn finds_the_bare_message_behind_rows() {
        let body =
            format!("{{\"n\":1}}\nCode: 159. DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED) {BANNER}\n");
        assert_eq!(trailing_exception(body.as_bytes(), None).unwrap().code, Some(159));
        assert_eq!(trailing_exception(b"{\"n\":1}\n", None), None);
        assert_eq!(trailing_exception(b"", Some("t")), None);
    }

    #[test]
    fn a_broken_trailer_is_never_a_panic() {
        for length in ["", "x", "-1", "18446744073709551616", "9999"] {
            let body = format!("m\n{length} tag\r\n__exception__\r\n");
            assert_eq!(trailing_exception(body.as_bytes(), Some("tag")), None, "{length}");
        }
    }

    #[test]
    fn a_message_is_one_bounded_line_without_code_and_banner() {
        let raw = format!("Code: 60. DB::Exception: Unknown table\n  `nova.x`. (UNKNOWN_TABLE) {BANNER}\n");
        assert_eq!(readable(&raw), "Unknown table `nova.x`. (UNKNOWN_TABLE)");
        let long = readable(&"ä".repeat(5_000));
        assert_eq!(long.chars().count(), MESSAGE_CHARACTERS + 1);
        assert_eq!(readable("plain"), "plain");
    }
}
