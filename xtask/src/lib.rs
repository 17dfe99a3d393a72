//! Development tasks of Nova CDC: the real server stack on loopback, for people (`cargo xtask up`) and for tests.
//!
//! Invariant: this crate links none of the native libraries it may have to install the tools for (librdkafka), so
//! `cargo xtask` compiles on a machine with nothing but Rust and a linker.

pub mod artifacts;
pub mod bench;
pub mod capacity;
pub mod chaos;
pub mod check;
pub mod cli;
mod command;
pub mod compare;
pub mod demo;
pub mod deny;
pub mod installation;
pub mod instructions;
pub mod interrupt;
pub mod manifests;
pub mod monitoring;
pub mod prerequisites;
pub mod sbom;
pub mod stack;
pub mod traffic;
pub mod up;
pub mod workspace;

/// Says something to the person at the terminal: a line on stderr, where it does not mix with data.
#[expect(clippy::print_stderr, reason = "the one place where this crate speaks")]
pub fn say(message: &str) {
    eprintln!("xtask: {message}");
}
