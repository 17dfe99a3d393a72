//! `nova schema`: what the JSON Schemas of the events promise from version to version. Needs no configuration and no
//! server.
//!
//! Invariant: what breaks a reader is declared in the newer version's schema with its reason, or the check fails.

mod args;
mod compare;
mod examples;
mod folder;
mod form;
mod report;
mod rules;

use crate::cli::Output;
use crate::exit::{Exit, Failure, Outcome};

use args::SchemaCheckArgs;
pub use args::SchemaCommand;
use report::{Finding, Level};

/// Runs `nova schema`.
pub fn run(command: &SchemaCommand) -> Outcome {
    let SchemaCommand::Check(args) = command;
    let SchemaCheckArgs { dir, output } = args;
    let findings = rules::findings(&folder::read(dir)?);
    match output {
        Output::Table => print!("{}", report::table(&findings)),
        Output::Json => println!("{}", report::json(&findings)),
    }
    outcome(&findings)
}

fn outcome(findings: &[Finding]) -> Outcome {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Break), count(Level::Wrong)) {
        (0, 0) => Ok(()),
        (breaks, wrong) => {
            let message = format!("{breaks} breaking changes that nobody declared, {wrong} other mistakes");
            Err(Failure::new(Exit::Differences, message).with_cure(
                "Undo the change, or declare it in `x-breaking-changes` of the newer version and teach the upcaster.",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_shipped_schemas_pass() {
        let findings = rules::findings(
            &folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/events")).unwrap(),
        );
        assert!(outcome(&findings).is_ok(), "{}", report::table(&findings));
        assert!(
            findings.iter().any(|finding| finding.level == Level::Declared),
            "the comparison itself works"
        );
    }

    #[test]
    fn a_break_and_a_mistake_end_with_the_same_code() {
        let finding = |level| Finding::new("view", 2, level, "a sentence");
        assert!(outcome(&[finding(Level::Ok), finding(Level::Declared)]).is_ok());
        for level in [Level::Break, Level::Wrong] {
            assert_eq!(outcome(&[finding(level)]).unwrap_err().exit, Exit::Differences);
        }
    }
}
