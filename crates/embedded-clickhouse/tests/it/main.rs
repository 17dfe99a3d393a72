//! The server binary against the real engine: what `curl` and the `clickhouse` crate see.
//!
//! Needs libchdb.so: `NOVA_LIBCHDB`, else the cache that `cargo xtask up` fills. Each test has a server of its own on
//! a free port over a temporary folder; servers are killed by their own pid when the test ends, however it ends.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod framing;
mod http;
mod inserts;
mod lifecycle;
mod support;
mod users;
