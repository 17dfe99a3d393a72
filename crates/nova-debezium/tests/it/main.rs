//! The crate's behaviour on recorded and on hostile messages; what the recordings are: `tests/fixtures/README.md`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixtures;
mod hostile;
mod support;
mod values;
