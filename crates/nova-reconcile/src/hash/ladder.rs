//! PostgreSQL's `uuid_hash_extended` and `hashint8extended` in ClickHouse, by arithmetic on `UInt32` columns.
//!
//! Each step of lookup3 is one nested subquery, and all columns take their steps side by side in the same levels:
//! aliases within one SELECT would be expanded into each other ("Query tree is too big").
//!
//! Invariant: no level makes a value wider than 32 bits, so additions and subtractions wrap as they do in C.

use super::lookup3::{FINAL, INITIAL, MIX};

/// What a column is hashed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The 16 bytes of a UUID.
    Uuid,
    /// A 64-bit integer.
    Integer,
}

/// A column of the innermost level: hashed, and known outside as [`value`] of its name.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// ClickHouse's expression of type `UUID` or `Int64`.
    pub(super) expression: String,
}

/// How many steps each column takes: `mix`, the last four bytes, `final`.
const STEPS: usize = MIX.len() + 1 + FINAL.len();

/// A SELECT that has `carried` (name and expression) and the hashes of `inputs`.
pub(super) fn select(carried: &[(String, String)], inputs: &[Input], from: &str) -> String {
    let mut fields: Vec<String> =
        carried.iter().map(|(name, expression)| format!("{expression} AS {name}")).collect();
    fields.extend(inputs.iter().map(begin));
    let mut sql = format!("SELECT {} FROM {from}", fields.join(", "));
    for step in 0..STEPS {
        let mut fields: Vec<String> = carried.iter().map(|(name, _)| name.clone()).collect();
        fields.extend(inputs.iter().map(|input| level(input, step)));
        sql = format!("SELECT {} FROM ({sql})", fields.join(", "));
    }
    sql
}

/// The hash, `Int64`, where the answer of [`select`] is read.
pub(super) fn value(name: &str) -> String {
    let [b, c] = ['b', 'c'].map(|letter| word(name, letter, STEPS));
    format!("toInt64(bitOr(bitShiftLeft(toUInt64({b}), 32), toUInt64({c})))")
}

/// The name of a word on a level. Each level has names of its own: an alias would win over the column it shadows.
fn word(name: &str, letter: char, level: usize) -> String {
    format!("{name}_{letter}{level}")
}

/// The words before the first step. An integer has only the last steps, and waits for them as it is.
fn begin(Input { name, kind, expression }: &Input) -> String {
    let [a, b, c, w] = ['a', 'b', 'c', 'w'].map(|letter| word(name, letter, 0));
    match kind {
        Kind::Uuid => {
            let initial = INITIAL.wrapping_add(16);
            let high = format!("byteSwap(toUInt64(bitShiftRight(toUInt128({expression}), 64)))");
            let low = format!("byteSwap(toUInt64(toUInt128({expression})))");
            format!(
                "toUInt32({high} + {initial}) AS {a}, toUInt32(bitShiftRight({high}, 32) + {initial}) AS {b}, \
                 toUInt32({low} + {initial}) AS {c}, toUInt32(bitShiftRight({low}, 32)) AS {w}"
            )
        }
        Kind::Integer => format!("{expression} AS {w}"),
    }
}

/// The words of an integer before its first step. The upper half counts so that a value has the same hash as `bigint`
/// and as `int`.
fn begin_integer(name: &str, step: usize) -> String {
    let initial = INITIAL.wrapping_add(4);
    let value = word(name, 'w', step);
    let [a, b, c] = ['a', 'b', 'c'].map(|letter| word(name, letter, step + 1));
    format!(
        "toUInt32(bitXor(toUInt32({value}), toUInt32(bitShiftRight(if({value} >= 0, {value}, bitNot({value})), 32))) \
         + {initial}) AS {a}, toUInt32({initial}) AS {b}, toUInt32({initial}) AS {c}"
    )
}

/// One step of a column, from the words of level `step` to those of the next.
fn level(Input { name, kind, .. }: &Input, step: usize) -> String {
    let old = |letter: char| word(name, letter, step);
    let is_long = *kind == Kind::Uuid;
    if !is_long && step < MIX.len() {
        return format!("{} AS {}", old('w'), word(name, 'w', step + 1));
    }
    if !is_long && step == MIX.len() {
        return begin_integer(name, step);
    }
    let mut changed: Vec<(char, String)> = Vec::new();
    if let (true, Some(rotation)) = (is_long, MIX.get(step)) {
        let (x, y, z) = [('a', 'b', 'c'), ('b', 'c', 'a'), ('c', 'a', 'b')][step % 3];
        let mixed =
            format!("bitXor(toUInt32({} - {}), bitRotateLeft({}, {rotation}))", old(x), old(z), old(z));
        changed.push((x, mixed));
        changed.push((z, format!("toUInt32({} + {})", old(z), old(y))));
    } else if is_long && step == MIX.len() {
        changed.push(('a', format!("toUInt32({} + {})", old('a'), old('w'))));
    } else if let Some((index, rotation)) =
        step.checked_sub(MIX.len() + 1).and_then(|index| Some((index, FINAL.get(index)?)))
    {
        let (x, y) = [('c', 'b'), ('a', 'c'), ('b', 'a')][index % 3];
        let mixed =
            format!("toUInt32(bitXor({}, {}) - bitRotateLeft({}, {rotation}))", old(x), old(y), old(y));
        changed.push((x, mixed));
    }
    let letters = if is_long && step < MIX.len() { "abcw" } else { "abc" };
    let fields = letters.chars().map(|letter| {
        let expression =
            changed.iter().find(|(x, _)| *x == letter).map_or_else(|| old(letter), |(_, new)| new.clone());
        format!("{expression} AS {}", word(name, letter, step + 1))
    });
    fields.collect::<Vec<_>>().join(", ")
}
