//! A reason without what differs from message to message, so that letters of one cause stand together.
//!
//! Invariant: nothing that may be the message's own text is left in it: not what is quoted, and no word with a digit or
//! with the signs of a JSON value or an address.

/// At most so many characters.
const LONGEST: usize = 200;

/// `` `2026-13-01` is no time at byte 17 `` becomes `` `…` is no time at byte … ``.
pub fn normalised(reason: &str) -> String {
    let mut text = String::new();
    for (at, part) in reason.split('`').enumerate() {
        if at % 2 == 1 {
            text.push_str("`…`");
            continue;
        }
        for (at, word) in part.split(' ').enumerate() {
            if at > 0 {
                text.push(' ');
            }
            let end = word.trim_end_matches([',', ';', ':', '.']);
            if end.contains(|character: char| character.is_ascii_digit() || "\"'{}[]@".contains(character)) {
                text.push('…');
                text.push_str(word.get(end.len()..).unwrap_or_default());
            } else {
                text.push_str(word);
            }
        }
    }
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_left_out_and_the_cause_is_left() {
        for (reason, expected) in [
            ("", ""),
            (
                "value: expected JSON, but expected value at byte 17, near `{\"a\": `",
                "value: expected JSON, but expected value at byte …, near `…`",
            ),
            ("`300` does not fit UInt8", "`…` does not fit …"),
            ("expected a text, found {\"mail\":\"a@b.de\"}", "expected a text, found …"),
            ("found [1,2]; expected 5.", "found …; expected …."),
            ("`open", "`…`"),
        ] {
            assert_eq!(normalised(reason), expected, "{reason}");
        }
        assert_eq!(normalised(&"ä".repeat(500)).chars().count(), LONGEST + 1);
    }
}
