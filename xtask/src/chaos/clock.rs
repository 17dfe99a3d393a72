//! A clock that is hours ahead, for one member: a library below its calls for the time of day.
//!
//! libfaketime is of no use here: it does not know `cnd_timedwait`, by which librdkafka waits, so that 10 ms become
//! five hours. Invariant: only the time of day is wrong, as on a machine whose clock is; timers run on.

use std::fmt;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::command;
use crate::prerequisites::on_path;
use crate::stack::RunDir;

const AHEAD_HOURS: u32 = 5;
const SOURCE: &str = include_str!("wrong_clock.c");

/// A wrong clock, as the path of its library.
#[derive(Debug, Clone)]
pub(super) struct Skew(String);

impl Skew {
    /// Whether runs with this seed have a wrong clock: every second has.
    pub(super) fn is_for(seed: u64) -> bool {
        !seed.is_multiple_of(2)
    }

    /// Compiles the library.
    ///
    /// # Errors
    /// When the compiler refuses.
    pub(super) async fn build(run_dir: &RunDir) -> Result<Self> {
        let dir = run_dir.subdir("clock")?;
        let (source, library) = (dir.join("wrong_clock.c"), dir.join("wrong_clock.so"));
        tokio::fs::write(&source, SOURCE).await.context("wrong_clock.c")?;
        let compiler =
            ["cc", "gcc", "clang"].iter().find_map(|name| on_path(name)).context("no C compiler")?;
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1"]).arg(format!("-DAHEAD_S={}", AHEAD_HOURS * 3_600));
        command.arg("-o").arg(&library).arg(&source);
        command::run("a clock that is wrong", &mut command).await?;
        Ok(Self(library.display().to_string()))
    }

    /// The variables that make it so.
    pub(super) fn envs(&self) -> Vec<(String, String)> {
        vec![("LD_PRELOAD".to_owned(), self.0.clone())]
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the last member's clock is {AHEAD_HOURS} h ahead")
    }
}
