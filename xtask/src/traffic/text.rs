//! Bodies of posts and comments, with what text columns meet in the wild. Invariant: no NUL, which PostgreSQL's
//! text refuses; everything else may occur.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::world::random_index;

const PHRASES: [&str; 12] = [
    "good morning",
    "has anybody tried this?",
    "naïve café, déjà vu",
    "日本語のテキスト",
    "🦀🚀",
    "it's \"quoted\" and \\escaped\\",
    "two\n\nparagraphs",
    "tab\tand\r\nline end",
    "{\"json\": [1, null, \"x\"]}",
    "שלום עולם",
    "100 % of $1 & <b>markup</b>",
    "\u{7f}\u{1}\u{2028}",
];

/// A short text of one to four phrases.
pub(super) fn short(rng: &mut StdRng) -> String {
    let phrases = rng.random_range(1..=4);
    (0..phrases)
        .filter_map(|_| random_index(PHRASES.len(), rng).and_then(|index| PHRASES.get(index).copied()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A post's body: one in fifty is an incompressible 6 kB text, which PostgreSQL stores out of line (TOAST). An update
/// of another column then leaves it out of the WAL's new row.
pub(super) fn post_body(rng: &mut StdRng) -> String {
    if !rng.random_ratio(1, 50) {
        return short(rng);
    }
    (0..6_000).map(|_| char::from(rng.random_range(b'!'..=b'~'))).collect()
}
