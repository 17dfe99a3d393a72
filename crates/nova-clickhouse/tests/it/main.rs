//! The crate against the real engine: the server is the oracle.
//!
//! Each test starts an `embedded-clickhouse` of its own, in a temporary folder on a free port, and ends it by handle.

mod broken_log;
mod codes;
mod failures;
mod inserts;
mod killed;
mod lineage;
mod migrations;
mod recovery;
mod schema;
mod server;
mod values;
mod views;
mod window;
