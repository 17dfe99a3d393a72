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
    let report: Report = read(&args.report, "nova reconcile --values -o json > report.json")?;
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
            // A row that is there a thousand times too often is one line.
            for same in entry.rows.chunk_by(|one, next| one == next) {
                let [PlannedRow { sign, columns }, ..] = same else { continue };
                let values: Vec<String> = columns
                    .iter()
                    .map(|column| format!("{}={}", column.name, column.value.as_deref().unwrap_or("NULL")))
                    .collect();
                let times = if same.len() == 1 { String::new() } else { format!(" ×{}", same.len()) };
                text += &format!("    {sign:+}{times} {}\n", values.join(" "));
            }
        }
        match entries.len().saturating_sub(SAMPLE) {
            0 => {}
            more => text += &format!("  … and {more} more; the file has all keys\n"),
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

#[cfg(test)]
mod tests {
    use nova_reconcile::{Column, DifferenceKind, Explanation, TableRow};

    use super::*;

    const EXAMPLE: &str = include_str!("../../../../schemas/reports/reconcile/examples/v1/different.json");

    #[test]
    fn a_plan_is_told_in_few_lines_with_what_is_not_in_it() {
        let mut report: Report = serde_json::from_str(EXAMPLE).unwrap();
        let likes = report.streams.iter_mut().find(|stream| stream.stream == "likes").unwrap();
        let [found, other, ..] = likes.differences.as_mut_slice() else { panic!("two differences") };
        other.explained =
            Some(Explanation { message: "cdc.likes/0/7".to_owned(), reason: "no JSON".to_owned() });
        let columns = vec![Column { name: "user_id".to_owned(), value: None }];
        found.kind = DifferenceKind::Doubled;
        found.postgres = Some(columns.clone());
        found.clickhouse = vec![TableRow { sum: 5_002, columns, messages: Vec::new() }];
        let selection =
            Selection { streams: vec!["likes".to_owned()], partial: true, ..Selection::default() };
        let plan = Plan::of(&report, &selection).unwrap();
        let told = summary(&plan, explained(&report, &selection), Path::new("p.json"));
        assert!(told.contains("doubled") && told.contains("    -1 ×5001 user_id=NULL\n"), "{told}");
        assert!(told.contains("\n1 keys are left to `nova dlq retry`"), "{told}");
        assert!(told.contains("nova repair apply p.json") && told.lines().count() < 20, "{told}");
        let none = Plan { streams: Vec::new(), ..plan };
        assert!(summary(&none, 2, Path::new("p.json")).contains("--include-explained"));
    }

    #[test]
    fn a_file_that_is_none_is_named_with_what_writes_it() {
        for path in ["/nowhere/report.json", "/dev/null"] {
            let failure = read::<Report>(Path::new(path), "nova reconcile").unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains(path) && failure.cure.contains("nova reconcile"), "{failure:?}");
        }
    }
}
