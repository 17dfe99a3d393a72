//! The crate against real servers: PostgreSQL and the real ClickHouse engine.
//!
//! Each test starts servers of its own, which end with it.

mod backfilling;
mod comparing;
mod cost;
mod events;
mod hashes;
mod repairing;
mod replica;
mod servers;
