//! Prints what decoding costs, beside `serde_json` into a struct of the same columns; for orientation.
//!
//! `cargo run --release -p nova-debezium --example decode_cost`

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::{hint::black_box, time::Instant};

use nova_debezium::{Message, Record, TimeUnit, decode};
use serde::Deserialize;

const MESSAGE: &str = r#"{"before":null,"after":{"id":"6f1f9d2c-6b1e-4d0e-9c49-0a4b6b1f2d3e","post_id":"0b0e6a04-7a0a-4cb4-9d19-7f4b3f1a2c3d","user_id":"f3b1c2d4-1111-4222-8333-944455566677","created_at":1709251199123456},"source":{"version":"3.7.0.Final","connector":"postgresql","name":"cdc","ts_ms":1795253326633,"snapshot":"false","db":"postgres","sequence":"[\"23376552\",\"23376552\"]","ts_us":1795253326633215,"ts_ns":1795253326633215000,"schema":"public","table":"likes","txId":780,"lsn":23376552,"xmin":null,"origin":null,"origin_lsn":null},"transaction":{"id":"780:23376552","total_order":1,"data_collection_order":1},"op":"c","ts_ms":1795253327079,"ts_us":1795253327079526,"ts_ns":1795253327079526057}"#;
const ROUNDS: u32 = 200_000;

#[derive(Deserialize)]
#[expect(dead_code, reason = "read only by the comparison's parser")]
struct Typed {
    before: Option<Like>,
    after: Option<Like>,
    source: TypedSource,
    transaction: Option<TypedTransaction>,
    op: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read only by the comparison's parser")]
struct Like {
    id: uuid::Uuid,
    post_id: uuid::Uuid,
    user_id: uuid::Uuid,
    created_at: i64,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read only by the comparison's parser")]
#[serde(rename_all = "camelCase")]
struct TypedSource {
    name: String,
    db: String,
    schema: String,
    table: String,
    #[serde(rename = "ts_us")]
    ts_us: i64,
    snapshot: String,
    tx_id: Option<u64>,
    lsn: Option<u64>,
    sequence: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read only by the comparison's parser")]
struct TypedTransaction {
    id: String,
    total_order: u64,
    data_collection_order: u64,
}

/// Decodes and reads the four columns as the mapping does; false if anything is not there.
fn decode_row() -> bool {
    let record = Record { key: Some(b"{\"id\":1}"), value: Some(black_box(MESSAGE).as_bytes()) };
    let Ok(Message::Change(event)) = decode(record) else { return false };
    let Some(row) = &event.payload.after else { return false };
    let uuid = |name, hint| row.get(name, hint).is_some_and(|field| black_box(field.uuid()).is_ok());
    let time = row.get("created_at", 3).map(|field| field.timestamp_micros(Some(TimeUnit::Micros)));
    uuid("id", 0) && uuid("post_id", 1) && uuid("user_id", 2) && matches!(black_box(time), Some(Ok(_)))
}

fn measure(what: &str, mut once: impl FnMut() -> bool) {
    let start = Instant::now();
    let read = (0..ROUNDS).filter(|_| once()).count();
    println!("{what}: {} ns/message ({read} read)", (start.elapsed() / ROUNDS).as_nanos());
}

fn main() {
    let typed = || serde_json::from_slice::<Typed>(black_box(MESSAGE).as_bytes()).map(black_box).is_ok();
    measure("decode and four columns   ", decode_row);
    measure("serde_json, derived struct", typed);
}
