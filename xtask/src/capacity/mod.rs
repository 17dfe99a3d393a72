//! `cargo xtask capacity`: how much of everything a load needs, and what breaks first, reckoned from figures that can
//! all be replaced.
//!
//! Invariant: pure arithmetic over `defaults.toml`; nothing is measured here, and no figure is hidden in the code.

mod figures;
mod limits;
mod needs;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use figures::{DEFAULTS, Figures};
use limits::limits;
use needs::Needs;

/// Arguments of `capacity`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask capacity --show-figures > my.toml\n  \
    cargo xtask capacity --figures my.toml --set kafka.retention_days=7 --load 25000,250000")]
pub struct CapacityArgs {
    /// Changes per second to plan for, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000, 10_000_000],
          value_parser = clap::value_parser!(u64).range(1..))]
    pub load: Vec<u64>,
    /// Your own figures, as TOML; what the file leaves out is as shipped
    #[arg(long, value_name = "FILE")]
    pub figures: Option<PathBuf>,
    /// One figure; may be repeated
    #[arg(long, value_name = "SECTION.NAME=VALUE")]
    pub set: Vec<String>,
    /// Print the shipped figures, with where each comes from, and nothing else
    #[arg(long)]
    pub show_figures: bool,
    /// Form of the answer
    #[arg(long, short, default_value = "table", value_parser = ["table", "json"])]
    pub output: String,
}

/// Prints what the loads need.
///
/// # Errors
/// Figures that cannot be read.
#[expect(clippy::print_stdout, reason = "the plan is the command's data")]
pub fn run(args: &CapacityArgs) -> Result<()> {
    if args.show_figures {
        print!("{DEFAULTS}");
        return Ok(());
    }
    let figures = Figures::load(args.figures.as_deref(), &args.set)?;
    #[expect(clippy::cast_precision_loss, reason = "a load is far below 2^52")]
    let needs: Vec<Needs> = args.load.iter().map(|load| Needs::of(&figures, *load as f64)).collect();
    let limits = limits(&figures);
    if args.output == "json" {
        let answer = json!({ "figures": figures, "needs": needs, "limits": limits });
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        print!("{}", table::render(&figures, &needs, &limits));
    }
    Ok(())
}
