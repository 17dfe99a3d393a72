//! What `print!` and its kin do in this program: the standard library's panic when nobody reads any more.
//!
//! Invariant: `nova … | head -1` ends like any other program whose reader has gone, without a word; output that could not be
//! written for another reason (a full disk) is a failure; and a stderr that nobody reads stops no work.
//!
//! The macros of this file stand before those of the standard library in every module that `main.rs` declares after it. The
//! signal SIGPIPE itself stays ignored, for it would also end the program when a server closes a connection.

use std::fmt::Arguments;
#[cfg(not(test))]
use std::io::{ErrorKind, stdout};
use std::io::{Write as _, stderr};

#[cfg(not(test))]
use crate::exit::Exit;

/// As a shell reports a program that SIGPIPE has ended: 128 + 13.
#[cfg(not(test))]
const NOBODY_READS: i32 = 141;

macro_rules! print {
    ($($part:tt)*) => { $crate::out::to_stdout(format_args!($($part)*)) };
}

macro_rules! println {
    ($($part:tt)*) => { $crate::out::to_stdout(format_args!("{}\n", format_args!($($part)*))) };
}

macro_rules! eprint {
    ($($part:tt)*) => { $crate::out::to_stderr(format_args!($($part)*)) };
}

macro_rules! eprintln {
    ($($part:tt)*) => { $crate::out::to_stderr(format_args!("{}\n", format_args!($($part)*))) };
}

/// In unit tests: into the test's own output.
#[cfg(test)]
pub fn to_stdout(text: Arguments<'_>) {
    std::print!("{text}");
}

/// Writes data; what cannot be written ends the process.
#[cfg(not(test))]
pub fn to_stdout(text: Arguments<'_>) {
    let written = stdout().lock().write_fmt(text);
    let Err(error) = written else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(NOBODY_READS);
    }
    to_stderr(format_args!("nova: standard output cannot be written: {error}\n"));
    std::process::exit(Exit::Failure as i32);
}

/// Writes a message, if anybody reads it.
pub fn to_stderr(text: Arguments<'_>) {
    // There is nobody left to be told of the failure.
    let _ = stderr().lock().write_fmt(text);
}
