//! `nova man`: manual pages, one for each command, made of the same words as `--help`.
//!
//! Invariant: what stands below a command's `--help` (examples, exit codes) is a section of its page, line for line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::Cli;
use crate::exit::{Exit, Failure, Outcome};

/// `nova man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder, for example `/usr/local/share/man/man1`, instead of printing nova(1).
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Prints the page of `nova`, or writes all pages.
pub fn run(args: &ManArgs) -> Outcome {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        let text = page(&command).map_err(|error| unwritten(Path::new("nova.1"), &error))?;
        print!("{}", String::from_utf8_lossy(&text));
        return Ok(());
    };
    std::fs::create_dir_all(dir).map_err(|error| unwritten(dir, &error))?;
    let written = write_all(&command, dir)?;
    println!("{written} pages in {}", dir.display());
    Ok(())
}

fn write_all(command: &Command, dir: &Path) -> Result<usize, Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    page(command).and_then(|text| std::fs::write(&path, text)).map_err(|error| unwritten(&path, &error))?;
    let mut written = 1;
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        written += write_all(command, dir)?;
    }
    Ok(written)
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man =
        Man::new(command.clone()).source(concat!("nova ", env!("CARGO_PKG_VERSION"))).manual("Nova CDC");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    let below = command.get_after_long_help().or_else(|| command.get_after_help());
    if let Some(below) = below {
        sections(&below.to_string(), &mut text)?;
    }
    Ok(text)
}

/// `Heading: text`, or `Heading:` with lines below it that stay as they are; an empty line between two.
fn sections(below: &str, text: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    for part in below.split("\n\n") {
        let (heading, body) = part.split_once(':').unwrap_or(("Notes", part));
        roff.control("SH", [heading.trim().to_uppercase().as_str()]);
        match body.strip_prefix('\n') {
            None => drop(roff.text([roman(body.trim())])),
            Some(lines) => {
                roff.control("nf", []);
                for line in lines.lines() {
                    roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
                }
                roff.control("fi", []);
            }
        }
    }
    roff.to_writer(text)
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("{} cannot be written: {error}", path.display()))
        .with_cure("Name a folder that you may write to: `nova man --dir FOLDER`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_other_sections_flow() {
        let mut text = Vec::new();
        sections("Examples:\n  nova run cdc\n  nova 'x'\n\nExit codes: 0 ok, 1 failure.", &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
        assert!(at(".SH EXAMPLES\n.nf\nnova run cdc\n") < at(".fi\n"), "{text}");
        assert!(at(".fi\n") < at(".SH \"EXIT CODES\"\n0 ok, 1 failure."), "{text}");
    }
}
