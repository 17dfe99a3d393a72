//! The crate against the real engine: the server is the oracle.
//!
//! Each test starts an `embedded-clickhouse` of its own, in a temporary folder on a free port, and ends it by handle.

mod broken_log;
mod cluster;
mod codes;
mod doubtful;
mod failures;
mod inserts;
mod jobs;
mod killed;
mod letters;
mod lineage;
mod migrations;
mod rebuild;
mod rebuild_filled;
mod recovery;
mod repairs;
mod repeats;
mod replay;
mod schema;
mod server;
mod snapshots;
mod stored;
mod values;
mod views;
mod window;
