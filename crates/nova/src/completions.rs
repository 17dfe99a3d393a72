//! `nova completions`: a script that lets a shell complete commands, options and their values.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::exit::Outcome;

/// `nova completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "nova", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(())
}
