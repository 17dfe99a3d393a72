//! Reports from end to end: JSON against its schema, text, the page in a real Chromium, history in a real ClickHouse.

mod browser;
mod history;
mod page;
mod prometheus;
mod queries;
mod samples;
mod schema;
#[path = "../../../nova-clickhouse/tests/it/server.rs"]
#[expect(dead_code, reason = "shared with the tests of nova-clickhouse, which use more of it")]
mod server;
mod terminal;
