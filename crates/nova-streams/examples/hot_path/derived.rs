//! The other contestant: `serde_json` into derived structs of the fields that Nova takes from the same message.
//!
//! It parses and does no more: no UUID, no time, no identity, no row. Strings are borrowed where serde can.

use std::borrow::Cow;
use std::hint::black_box;

use serde::Deserialize;

#[derive(Deserialize)]
#[expect(dead_code, reason = "what counts is that the fields are read")]
struct Change<'a> {
    #[serde(borrow)]
    before: Option<Like<'a>>,
    #[serde(borrow)]
    after: Option<Like<'a>>,
    #[serde(borrow)]
    source: Source<'a>,
    #[serde(borrow)]
    transaction: Option<Transaction<'a>>,
    op: &'a str,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what counts is that the fields are read")]
struct Like<'a> {
    id: &'a str,
    post_id: &'a str,
    user_id: &'a str,
    created_at: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "what counts is that the fields are read")]
struct Source<'a> {
    name: &'a str,
    snapshot: &'a str,
    db: &'a str,
    /// It holds escapes, so it cannot be borrowed.
    #[serde(borrow)]
    sequence: Cow<'a, str>,
    #[serde(rename = "ts_us")]
    ts_us: i64,
    schema: &'a str,
    table: &'a str,
    tx_id: Option<u64>,
    lsn: Option<u64>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what counts is that the fields are read")]
struct Transaction<'a> {
    id: &'a str,
    total_order: u64,
    data_collection_order: u64,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    payload: Change<'a>,
}

/// Parses a message with or without embedded schema.
pub(crate) fn read(value: &[u8]) {
    if value.starts_with(b"{\"schema\"") {
        black_box(serde_json::from_slice::<Wrapped<'_>>(value).unwrap().payload);
    } else {
        black_box(serde_json::from_slice::<Change<'_>>(value).unwrap());
    }
}
