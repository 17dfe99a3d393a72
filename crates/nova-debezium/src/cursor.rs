//! JSON as Kafka Connect's converter writes it: no white space, names without escapes.
//!
//! Invariant: what a method takes is valid JSON for `serde_json` too, and means the same to it. `None` says "not this
//! way", never "wrong": the caller then leaves the whole text to `serde_json`. Nothing here recurses.

mod words;

use serde_json::value::RawValue;

use words::{digits_length, leading_number, name_length, plain_length};

/// A place in a text.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    rest: &'a [u8],
}

// All of these are inlined, and what they call works on slices: so the cursor stays in registers.
impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, rest: text.as_bytes() }
    }

    /// The bytes that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// Skips bytes that the caller has looked at by [`Cursor::rest`]; gives them as text.
    #[inline(always)]
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a str> {
        let start = self.at();
        self.rest = self.rest.get(length..)?;
        self.text.get(start..start + length)
    }

    /// Takes this byte.
    #[inline(always)]
    pub(crate) fn byte(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| self.rest = rest)
    }

    /// Takes these bytes. Their number is known to the compiler, which then compares words.
    #[inline(always)]
    pub(crate) fn bytes<const N: usize>(&mut self, bytes: &[u8; N]) -> Option<()> {
        let (first, rest) = self.rest.split_first_chunk::<N>()?;
        (first == bytes).then(|| self.rest = rest)
    }

    /// Whether `null` stands here; takes it.
    #[inline(always)]
    pub(crate) fn null(&mut self) -> bool {
        self.bytes(b"null").is_some()
    }

    /// A short string without escapes, without its quotes.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Option<&'a str> {
        self.byte(b'"')?;
        let text = self.take(name_length(self.rest))?;
        self.byte(b'"')?;
        Some(text)
    }

    /// An integer without sign, of at most 18 digits.
    #[inline(always)]
    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        let (number, digits) = leading_number(self.rest)?;
        self.rest = self.rest.get(digits..)?;
        Some(number)
    }

    /// A number of any length, unread.
    #[inline(always)]
    pub(crate) fn skip_number(&mut self) -> Option<()> {
        self.rest = self.rest.get(number_length(self.rest)?..)?;
        Some(())
    }

    /// Any value, as its text.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Option<&'a str> {
        let length = match self.rest.split_first()? {
            (b'"', rest) => string_length(rest)? + 1,
            (b'{' | b'[', _) => nested_length(self.text.get(self.at()..)?)?,
            _ => scalar_length(self.rest)?,
        };
        self.take(length)
    }

    /// The members of an object, each after its name and colon.
    #[inline(always)]
    pub(crate) fn members(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.byte(b'{')?;
        if self.byte(b'}').is_some() {
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.byte(b':')?;
            member(self, name)?;
            if self.byte(b',').is_none() {
                return self.byte(b'}');
            }
        }
    }
}

/// The length of the array or object that the text begins with; its nesting is serde's affair.
fn nested_length(text: &str) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

/// The length of the number or the word that the bytes begin with.
fn scalar_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'n', b'u', b'l', b'l', ..] | [b't', b'r', b'u', b'e', ..] => Some(4),
        [b'f', b'a', b'l', b's', b'e', ..] => Some(5),
        _ => number_length(bytes),
    }
}

/// The length of a string's rest behind its first quote, the last quote included.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    loop {
        rest = rest.get(plain_length(rest)..)?;
        match rest {
            [b'"', rest @ ..] => return Some(bytes.len() - rest.len()),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', escaped @ ..] => rest = escaped,
            [b'\\', b'u', a, b, c, d, escaped @ ..] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => {
                rest = escaped;
            }
            _ => return None,
        }
    }
}

fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let mut rest = digits.get(digits_length(digits)..)?;
    match (digits.len() - rest.len(), digits) {
        (0, _) | (2.., [b'0', ..]) => return None,
        _ => {}
    }
    if let [b'.', fraction @ ..] = rest {
        rest = behind_digits(fraction)?;
    }
    if let [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] = rest {
        rest = behind_digits(exponent)?;
    }
    Some(bytes.len() - rest.len())
}

/// What stands behind at least one digit.
fn behind_digits(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(digits_length(bytes)..).filter(|rest| rest.len() < bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_they_end_for_serde() {
        let values = [
            "0",
            "-0",
            "12.50",
            "-1e9",
            "1E+400",
            "null",
            "true",
            "false",
            r#""""#,
            r#""a\n\u00e9\"""#,
            "[1,[2]]",
            r#"{"a":"}"}"#,
            "18446744073709551616",
        ];
        for value in values {
            let text = format!("{value},rest");
            let mut cursor = Cursor::new(&text);
            assert_eq!((cursor.value(), cursor.rest()), (Some(value), &b",rest"[..]));
        }
        for wrong in [
            "",
            "-",
            "01",
            "1.",
            "1e",
            "1e+",
            "tru",
            r#""a"#,
            r#""\x""#,
            r#""\u12g4""#,
            "\"\n\"",
            "[1,",
            "+1",
        ] {
            assert_eq!(Cursor::new(wrong).value(), None, "{wrong}");
        }
    }

    #[test]
    fn integers_are_taken_if_they_surely_fit() {
        let integer = |text| Cursor::new(text).unsigned();
        assert_eq!(integer("999999999999999999"), Some(999_999_999_999_999_999));
        assert_eq!(
            (integer("0,"), integer("10:"), integer("12345678")),
            (Some(0), Some(10), Some(12_345_678))
        );
        for other in ["-1", "00", "01", "-", "1000000000000000000", "", "/", ":", "é"] {
            assert_eq!(integer(other), None, "{other}");
        }
    }
}
