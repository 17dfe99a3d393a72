//! A reason without what differs from message to message, so that letters of one cause stand together.
//!
//! Invariant: nothing that may be the message's own text is left in it. Quoted text goes, but for names that Nova says of
//! itself (``column `tag` ``); so does what was found, and every word with a digit that is no type's name.

/// At most so many characters.
const LONGEST: usize = 200;

/// Words before a quoted name of a declaration.
const NAMED: [&str; 4] = ["stream ", "column ", "field ", "table "];

/// `` `2026-13-01` is no time at byte 17 `` becomes `` `…` is no time at byte … ``.
pub fn normalised(reason: &str) -> String {
    let (mut text, mut rest) = (String::new(), reason);
    while let Some((before, after)) = rest.split_once('`') {
        if !push_words(&mut text, before) {
            return text;
        }
        let named = NAMED.iter().any(|word| before.ends_with(word));
        // A value may have such quotes in it: what may be one ends with the last of them.
        let name = after.split_once('`').filter(|(name, _)| named && is_name(name));
        let (shown, left) = match name {
            Some((name, left)) => (name, left),
            None => ("…", after.rsplit_once('`').map_or("", |(_, left)| left)),
        };
        text.extend(["`", shown, "`"]);
        rest = left;
    }
    push_words(&mut text, rest);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// Appends unquoted text; `false` when what follows is what was found in the message, to the end.
fn push_words(text: &mut String, part: &str) -> bool {
    let (said, found) = match part.split_once("found ") {
        Some((said, found)) if !found.is_empty() => (said, true),
        _ => (part, false),
    };
    for (at, word) in said.split(' ').enumerate() {
        if at > 0 {
            text.push(' ');
        }
        let plain = word.trim_end_matches([',', ';', ':', '.']);
        let differs = |character: char| character.is_ascii_digit() || "\"'{}[]@".contains(character);
        if plain.contains(differs) && !is_type(plain) {
            text.push('…');
            text.push_str(word.get(plain.len()..).unwrap_or_default());
        } else {
            text.push_str(word);
        }
    }
    if found {
        text.push_str("found …");
    }
    !found
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "_.-".contains(character))
}

/// Whether it is the name of a type of ClickHouse that has digits in it, such as `DateTime64(3)`.
fn is_type(word: &str) -> bool {
    ["UInt", "Int", "Float", "Date", "Decimal", "Enum", "FixedString", "Nullable", "LowCardinality"]
        .iter()
        .any(|name| word.starts_with(name))
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
            ("`300` does not fit UInt8", "`…` does not fit UInt8"),
            (
                "stream `likes`: column `tag` UInt64: expected an integer, found `0190-a`",
                "stream `likes`: column `tag` UInt64: expected an integer, found `…`",
            ),
            ("expected a text, found \"Ada of Byron\" here", "expected a text, found …"),
            ("found [1, 2]", "found …"),
            ("near `a`b c`, no JSON", "near `…`, no JSON"),
            ("column `Ada Byron` and `x`", "column `…`"),
            ("at `open", "at `…`"),
        ] {
            assert_eq!(normalised(reason), expected, "{reason}");
        }
        assert_eq!(normalised(&"ä".repeat(500)).chars().count(), LONGEST + 1);
    }
}
