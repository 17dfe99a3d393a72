//! Bob Jenkins' lookup3 as PostgreSQL has it (`hash_bytes_extended`, seed 0), for constants that both sides share.
//!
//! Source: `src/common/hashfn.c`. It does not change between versions, because hash partitioning depends on it.

/// What both sides begin with, before the length is added: the golden ratio, plus PostgreSQL's arbitrary number.
pub(super) const INITIAL: u32 = 0x9e37_79b9_u32.wrapping_add(3_923_095);
/// Rotations of `mix`.
pub(super) const MIX: [u32; 6] = [4, 6, 8, 16, 19, 4];
/// Rotations of `final`.
pub(super) const FINAL: [u32; 7] = [14, 11, 25, 16, 4, 14, 24];

/// `hashtextextended(text COLLATE "C", 0)` of a text with these bytes.
#[expect(clippy::cast_possible_truncation, reason = "PostgreSQL adds the length modulo 2^32")]
pub(super) fn hash_bytes(bytes: &[u8]) -> i64 {
    let initial = INITIAL.wrapping_add(bytes.len() as u32);
    let mut state = [initial; 3];
    let (whole, rest) = bytes.as_chunks::<12>();
    for chunk in whole {
        add(&mut state, chunk, 0);
        state = mix(state);
    }
    // The lowest byte of `c` is left free for the length.
    add(&mut state, rest, 8);
    let [_, b, c] = last(state);
    ((u64::from(b) << 32) | u64::from(c)).cast_signed()
}

fn add(state: &mut [u32; 3], bytes: &[u8], shift_of_c: u32) {
    for (index, (word, four)) in state.iter_mut().zip(bytes.chunks(4)).enumerate() {
        let value = four.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
        *word = word.wrapping_add(if index == 2 { value << shift_of_c } else { value });
    }
}

fn mix([mut x, mut y, mut z]: [u32; 3]) -> [u32; 3] {
    for rotation in MIX {
        x = x.wrapping_sub(z) ^ z.rotate_left(rotation);
        z = z.wrapping_add(y);
        (x, y, z) = (y, z, x);
    }
    [x, y, z]
}

fn last([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    for (step, rotation) in FINAL.into_iter().enumerate() {
        let (x, y) = match step % 3 {
            0 => (&mut c, b),
            1 => (&mut a, c),
            _ => (&mut b, a),
        };
        *x = (*x ^ y).wrapping_sub(y.rotate_left(rotation));
    }
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_postgresql() {
        // SELECT hashtextextended('…' COLLATE "C", 0), PostgreSQL 15.
        for (text, expected) in EXPECTED {
            assert_eq!(hash_bytes(text.as_bytes()), expected, "{text}");
        }
    }

    const EXPECTED: [(&str, i64); 5] = [
        ("", -6_939_563_903_564_495_251),
        ("like", -3_914_582_980_176_630_999),
        ("public", 8_099_342_430_055_761_623),
        ("0123456789ab", -300_982_144_080_685_429),
        ("it's a longer text, of more than 24 bytes: ä", -802_279_584_754_135_084),
    ];
}
