//! The source schema and the traffic generator against a real PostgreSQL that each test starts for itself.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod postgres;
mod races;
mod schema;
mod traffic;
mod wal;
