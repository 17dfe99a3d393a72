//! `nova repair apply`: shows what a plan would do now, or does it and looks again.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use nova_clickhouse::{Client, TableInfo, TableSink};
use nova_reconcile::ReconcileError;
use nova_reconcile::repair::{Application, Applied, ApplyError, Author, Look, Plan, StreamPlan, record};
use nova_streams::{Stream, StreamSet};

use super::args::RepairApplyArgs;
use super::look::LiveLook;
use super::of_clickhouse;
use super::plan::read;
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::run::{clickhouse_client, compile, declared};

/// Keys that were left out, shown of each stream.
const SHOWN: usize = 10;

/// Runs `nova repair apply`.
pub(super) async fn run(args: &RepairApplyArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let plan: Plan = read(&args.plan, "nova repair plan --report report.json")?;
    plan.check()?;
    let author = author(args)?;
    let client = clickhouse_client(&config.clickhouse)?;
    let mut outcomes = Vec::new();
    for part in &plan.streams {
        let stream = matching(part, streams)?;
        outcomes.push(of_stream(&plan, part, stream, author.as_ref(), config, &client).await?);
    }
    match author {
        None => {
            println!("nothing was written; the same command with --execute and --reason writes it");
            Ok(())
        }
        Some(_) => verdict(&outcomes, &args.plan),
    }
}

/// How a stream stands after its part of the plan.
struct Standing {
    stream: String,
    left_out: usize,
    /// Differences in the touched windows, after the last row was written.
    differences: usize,
}

async fn of_stream(
    plan: &Plan,
    part: &StreamPlan,
    stream: &Stream,
    author: Option<&Author>,
    config: &Config,
    client: &Client,
) -> Result<Standing, Failure> {
    let table = TableInfo::read(client, &stream.table).await.map_err(of_clickhouse)?;
    let mapping = compile(stream, &table)?;
    let sink = TableSink::new(client.clone(), &table, mapping.columns()).map_err(of_clickhouse)?;
    let look = LiveLook::new(stream, config)?;
    let application = Application::new(plan, part, mapping.columns(), sink, &look).map_err(unwritable)?;
    let Some(author) = author else {
        let applied = application.preview().await.map_err(stopped)?;
        print!("{}", described(part, &applied, "would be"));
        return Ok(Standing {
            stream: part.stream.clone(),
            left_out: applied.left_out.len(),
            differences: 0,
        });
    };
    record(client, (plan, &part.stream), author, None).await.map_err(of_clickhouse)?;
    let bar = bar(part);
    let written = application.write(&mut |rows| bar.set_position(rows as u64)).await;
    bar.finish_and_clear();
    let applied = written.map_err(stopped)?;
    record(client, (plan, &part.stream), author, Some(&applied)).await.map_err(of_clickhouse)?;
    print!("{}", described(part, &applied, "were"));
    let (_, differences) =
        look.look(&part.windows_ms()).await.map_err(|error| stopped(ApplyError::Look(error)))?;
    println!("  windows compared again: {} differences", differences.len());
    Ok(Standing {
        stream: part.stream.clone(),
        left_out: applied.left_out.len(),
        differences: differences.len(),
    })
}

/// The stream as it is declared today, if it is still what the plan was made for.
fn matching<'s>(part: &StreamPlan, streams: &'s StreamSet) -> Result<&'s Stream, Failure> {
    let stream = declared(&part.stream, streams)?;
    let same = stream.table == part.table && stream.topic == part.topic && stream.source == part.source;
    if same {
        return Ok(stream);
    }
    let message = format!(
        "stream `{}` leads from {} by {} to {} today, and the plan was made for {} by {} to {}",
        stream.name, stream.source, stream.topic, stream.table, part.source, part.topic, part.table
    );
    Err(Failure::new(Exit::Usage, message).with_cure("Reconcile again and make a new plan."))
}

fn author(args: &RepairApplyArgs) -> Result<Option<Author>, Failure> {
    if !args.execute {
        return Ok(None);
    }
    let Some(reason) = args.reason.as_ref().filter(|reason| !reason.trim().is_empty()) else {
        return Err(Failure::new(
            Exit::Usage,
            "--execute needs a reason: it stays on record in the table `repairs`",
        )
        .with_cure("Add --reason \"what happened\"."));
    };
    let actor = args.actor.clone().unwrap_or_else(|| {
        let user =
            std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".into());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{user}@{}", host.trim())
    });
    Ok(Some(Author { actor, reason: reason.clone() }))
}

fn bar(part: &StreamPlan) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} rows, {per_sec}, {eta} left");
    ProgressBar::new(part.adds + part.removes)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(part.stream.clone())
}

fn described(part: &StreamPlan, applied: &Applied, verb: &str) -> String {
    let Applied { added, removed, there, left_out } = applied;
    let mut text =
        format!("{}: {added} rows of +1 and {removed} of -1 {verb} written into {}", part.stream, part.table);
    if *there > 0 {
        text += &format!("; {there} rows of the plan are there already");
    }
    text.push('\n');
    for key in left_out.iter().take(SHOWN) {
        text += &format!("  left out: {}: {}\n", key.source_key, key.reason);
    }
    if left_out.len() > SHOWN {
        text += &format!("  … and {} more keys left out\n", left_out.len() - SHOWN);
    }
    text
}

fn verdict(standings: &[Standing], plan: &Path) -> Outcome {
    let differing: Vec<&str> =
        standings.iter().filter(|each| each.differences > 0).map(|each| each.stream.as_str()).collect();
    if !differing.is_empty() {
        let message = format!("the touched windows still differ: {}", differing.join(", "));
        return Err(Failure::new(Exit::Differences, message)
            .with_cure("`nova reconcile` lists what is left; make a new plan of its report."));
    }
    let left_out: usize = standings.iter().map(|each| each.left_out).sum();
    if left_out > 0 {
        // Both sides agree: what was left out has healed by itself.
        eprintln!("{left_out} keys of {} needed no repair any more", plan.display());
    }
    println!("both sides are equal in all windows that the plan touches");
    Ok(())
}

fn unwritable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failure, error.to_string())
}

fn stopped(error: ApplyError<ReconcileError>) -> Failure {
    let failure = match error {
        ApplyError::Row(error) => return unwritable(error),
        ApplyError::Pipeline(error) => Failure::from(error),
        ApplyError::Look(error) => error.into(),
    };
    let cure = format!("{} What was written stays; the same command goes on from there.", failure.cure);
    Failure { cure: cure.trim_start().to_owned(), ..failure }
}
