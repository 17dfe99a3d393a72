//! TLS towards servers: whose certificates are trusted, and why one was not accepted.
//!
//! ClickHouse and PostgreSQL are reached by rustls, Kafka by librdkafka's OpenSSL. OpenSSL says of every bad certificate
//! the same; so Kafka's brokers are asked once more by [`examine`], and all three servers are spoken of in the same words.
//!
//! Invariant: a server's certificate is always verified, name and dates included. Nothing here can turn that off.

mod examine;
mod fault;
mod trust;

pub use examine::examine;
pub use fault::{Fault, Keys};
pub use trust::{CaFileError, client_config, read_ca_file};
