//! How `nova` behaves as a program: on a terminal, in a pipe, in a shell, in the manual. No server is needed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod completions;
mod man;
mod program;
mod terminal;
