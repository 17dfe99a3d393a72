//! The crate against a real Kafka broker.
//!
//! Each test has its own topics and groups on one shared broker; a test that kills its broker starts its own.

mod broker;
mod commits;
mod dead_letters;
mod lag;
mod offsets;
mod reading;
mod rebalance;
mod recovery;
mod reread;
mod static_members;
mod world;
