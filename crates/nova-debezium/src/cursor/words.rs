//! Searches and conversions over eight or sixteen bytes at once.
//!
//! Invariant: no result depends on what stands behind the byte that ends a search.

/// The most digits of a number that surely fits 64 bits with and without sign.
const DIGITS: usize = 18;
/// One in every byte.
const ONES: u64 = u64::MAX / 255;
/// The digit zero in every byte.
const ZEROS: u64 = ONES * b'0' as u64;
/// Ten to the power of the index.
const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many bytes stand before the first quote, backslash or control character; all if there is none.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((block, next)) = rest.split_first_chunk::<16>() {
        let mut marks = [0; 16];
        mark_specials(block, &mut marks);
        let marks = u128::from_le_bytes(marks);
        if marks != 0 {
            return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
        }
        rest = next;
    }
    bytes.len() - rest.len() + name_length(rest)
}

/// Sets the marks of quotes, backslashes and control characters to one, those of other bytes to zero.
///
/// From memory to memory, without branches and on its own this becomes a dozen vector instructions; as a part of another
/// function the compiler takes it byte by byte.
#[inline(never)]
fn mark_specials(block: &[u8; 16], marks: &mut [u8; 16]) {
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = u8::from(*byte == b'"') | u8::from(*byte == b'\\') | u8::from(*byte < b' ');
    }
}

/// As [`plain_length`], cheaper for what ends within a few bytes, as names do.
#[inline]
pub(super) fn name_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        let (word, next) = first_word(rest);
        let found = specials(word);
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = next;
    }
}
/// The first eight bytes and those behind them. Zeros stand for what lacks: to every search here a zero is a byte that
/// ends it.
#[inline]
fn first_word(bytes: &[u8]) -> (u64, &[u8]) {
    match bytes.split_first_chunk() {
        Some((word, rest)) => (u64::from_le_bytes(*word), rest),
        None => (last_word(bytes), &[]),
    }
}

#[cold]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The highest bit of each byte that is a quote, a backslash or a control character. A borrow may set bits above the
/// first one found, never below (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
#[inline]
fn specials(word: u64) -> u64 {
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = zeros(word ^ (ONES * b'"' as u64));
    let backslashes = zeros(word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (quotes | backslashes | controls) & (ONES * 0x80)
}

/// How many digits the bytes begin with.
#[inline]
pub(super) fn digits_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        let (word, next) = first_word(rest);
        let digits = leading_digits(word ^ ZEROS);
        if digits < 8 {
            return bytes.len() - rest.len() + digits as usize;
        }
        rest = next;
    }
}

/// The integer without sign, of at most 18 digits, that the bytes begin with, and how many digits it has.
#[inline]
pub(super) fn leading_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let (mut rest, mut number) = (bytes, 0u64);
    let length = loop {
        let (word, next) = first_word(rest);
        let digits = leading_digits(word ^ ZEROS);
        if digits > 0 {
            // Moved up, so that the digits are the last of eight and zeros stand before them.
            let values = (word ^ ZEROS) << (64 - 8 * digits);
            let power = POWERS.get(digits as usize)?;
            number = number.wrapping_mul(*power).wrapping_add(eight_digits(values));
        }
        if digits < 8 {
            break bytes.len() - rest.len() + digits as usize;
        }
        rest = next;
    };
    let is_plain = length == 1 || bytes.first() != Some(&b'0');
    ((1..=DIGITS).contains(&length) && is_plain).then_some((number, length))
}

/// How many bytes of the word are values of digits, up to the first that is none.
#[inline]
fn leading_digits(values: u64) -> u32 {
    // A carry may set bits above the first one found, never below.
    ((values.wrapping_add(ONES * (0x80 - 10)) | values) & (ONES * 0x80)).trailing_zeros() / 8
}

/// The number of eight digits' values: pairs, then fours, then all
/// (<https://lemire.me/blog/2022/01/21/swar-explained-parsing-eight-digits/>).
#[inline]
fn eight_digits(values: u64) -> u64 {
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_string_ends_at_the_first_special_byte() {
        for length in 0..20 {
            for (stop, special) in [("\"", true), ("\\", true), ("\n", true), ("\u{1f}", true), (" ", false)]
            {
                // Bytes above 127 are no specials, whatever stands beside them.
                let text = format!("{}{stop}\u{e9}\"\\", "é#!".repeat(length));
                let start = "é#!".len() * length;
                let expected = if special { start } else { start + 3 };
                assert_eq!(plain_length(text.as_bytes()), expected, "{text}");
                assert_eq!(name_length(text.as_bytes()), expected, "{text}");
            }
        }
        assert_eq!((plain_length(b"no end"), name_length(b"no end")), (6, 6));
    }

    #[test]
    fn digits_end_at_the_first_other_byte() {
        for length in 0..20 {
            for other in ['/', ':', 'é', '\u{0}', '\u{7f}'] {
                let text = format!("{}{other}0{other}99999999", "1234567890".repeat(2).split_at(length).0);
                assert_eq!(digits_length(text.as_bytes()), length, "{text}");
            }
        }
    }
}
