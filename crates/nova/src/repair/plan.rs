//! `nova repair plan`: reads a report, writes a plan file, says what it would do.

use std::path::Path;

use nova_reconcile::Report;
use nova_reconcile::repair::{Plan, PlanError, PlannedRow, Selection, StreamPlan};
use serde::de::DeserializeOwned;

use super::args::RepairPlanArgs;
use crate::cli::Output;
use crate::exit::{Exit, Failure, Outcome};

/// Keys shown of each stream.
const SAMPLE: usize = 3;

/// Runs `nova repair plan`.
pub(super) fn run(args: &RepairPlanArgs) -> Outcome {
    let report: Report = read(&args.report, "nova reconcile -o json > report.json")?;
    let selection = Selection {
        streams: args.stream.clone(),
        kinds: args.kind.iter().map(|kind| (*kind).into()).collect(),
        explained: args.include_explained,
        partial: args.partial,
    };
    let plan = Plan::of(&report, &selection)?;
    let json = serde_json::to_string_pretty(&plan)
        .map_err(|error| Failure::new(Exit::Failure, format!("the plan as JSON: {error}")))?;
    std::fs::write(&args.out, format!("{json}\n")).map_err(|error| {
        Failure::new(Exit::Failure, format!("{}: {error}", args.out.display()))
            .with_cure("Name another file by --out.")
    })?;
    match args.output {
        Output::Json => println!("{json}"),
        Output::Table => print!("{}", summary(&plan, explained(&report, &selection), &args.out)),
    }
    Ok(())
}

/// Differences that a dead letter explains and that were not asked for.
fn explained(report: &Report, selection: &Selection) -> usize {
    let chosen = |name: &String| selection.streams.is_empty() || selection.streams.contains(name);
    let streams = report.streams.iter().filter(|stream| !selection.explained && chosen(&stream.stream));
    streams.flat_map(|stream| &stream.differences).filter(|found| found.explained.is_some()).count()
}

/// A file that `nova` wrote.
pub(super) fn read<T: DeserializeOwned>(path: &Path, made_by: &str) -> Result<T, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("{}: {error}", path.display()))
            .with_cure(format!("Such a file is written by `{made_by}`."))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

/// The plan for people.
fn summary(plan: &Plan, explained: usize, path: &Path) -> String {
    let apart = match explained {
        0 => String::new(),
        _ => format!(
            "\n{explained} keys are left to `nova dlq retry`, since a dead letter explains them; \
             --include-explained takes them, too\n"
        ),
    };
    if plan.streams.is_empty() {
        return format!("nothing to repair\n{apart}");
    }
    let mut text = format!("plan {} from run {}\n", plan.plan_id, plan.run_id);
    for stream in &plan.streams {
        let StreamPlan { stream: name, table, entries, adds, removes, .. } = stream;
        text += &format!(
            "\n{name}: {} keys, {adds} rows of +1 and {removes} of -1 into {table}\n",
            entries.len()
        );
        for entry in entries.iter().take(SAMPLE) {
            text += &format!("  {} {}\n", entry.kind.name(), entry.source_key);
            for PlannedRow { sign, columns } in &entry.rows {
                let values: Vec<String> = columns
                    .iter()
                    .map(|column| format!("{}={}", column.name, column.value.as_deref().unwrap_or("NULL")))
                    .collect();
                text += &format!("    {sign:+} {}\n", values.join(" "));
            }
        }
        match entries.len().saturating_sub(SAMPLE) {
            0 => {}
            more => text += &format!("  … and {more} more keys, all in the file\n"),
        }
    }
    text += &apart;
    text += &format!(
        "\nwritten to {0}; nothing else was changed. Next:\n  nova repair apply {0}\n  \
         nova repair apply {0} --reason \"…\" --execute\n",
        path.display()
    );
    text
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}
