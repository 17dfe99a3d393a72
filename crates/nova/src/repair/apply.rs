//! `nova repair apply`: shows what a plan would do now, or does it and looks again.

use nova_clickhouse::{Client, TableInfo, TableSink};
use nova_reconcile::ReconcileError;
use nova_reconcile::repair::{Application, Applied, ApplyError, Author, Look, Plan, StreamPlan, record};
use nova_streams::{Stream, StreamSet};
use serde::Serialize;
use serde_json::json;

use super::args::RepairApplyArgs;
use super::look::LiveLook;
use super::plan::read;
use crate::actor;
use crate::bar::Bar;
use crate::cli::Output;
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::job::refuse_beside_rebuild;
use crate::run::{clickhouse_client, compile, declared};

/// Keys that were left out, shown of each stream.
const SHOWN: usize = 10;

/// Runs `nova repair apply`.
pub(super) async fn run(args: &RepairApplyArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let plan: Plan = read(&args.plan, "nova repair plan --report report.json")?;
    plan.check()?;
    let author = author(args)?;
    let client = clickhouse_client(&config.clickhouse)?;
    // All of them before the first is written.
    let parts: Vec<(&StreamPlan, &Stream)> = plan
        .streams
        .iter()
        .map(|part| Ok((part, matching(part, streams)?)))
        .collect::<Result<_, Failure>>()?;
    let mut standings = Vec::new();
    for (part, stream) in parts {
        let standing = of_stream(&plan, part, stream, author.as_ref(), config, &client).await?;
        if args.output == Output::Table {
            print!("{}", described(&standing));
        }
        standings.push(standing);
    }
    if args.output == Output::Json {
        let told = json!({ "plan_id": plan.plan_id, "executed": author.is_some(), "streams": standings });
        println!("{}", serde_json::to_string_pretty(&told).unwrap_or_default());
    }
    verdict(&standings, author.is_some(), args)
}

/// How a stream stands after its part of the plan.
#[derive(Debug, Serialize)]
struct Standing {
    stream: String,
    table: String,
    #[serde(flatten)]
    applied: Applied,
    /// Differences in the touched windows, after the last row was written; `None` if nothing was to be.
    differences: Option<usize>,
}

async fn of_stream(
    plan: &Plan,
    part: &StreamPlan,
    stream: &Stream,
    author: Option<&Author>,
    config: &Config,
    client: &Client,
) -> Result<Standing, Failure> {
    let table = TableInfo::read(client, &stream.table).await?;
    let mapping = compile(stream, &table)?;
    let sink = TableSink::new(client.clone(), &table, mapping.columns())?;
    let look = LiveLook::new(stream, config)?;
    let application =
        Application::new(plan, part, (stream, mapping.columns()), sink, &look).map_err(unwritable)?;
    let standing = |applied, differences| Standing {
        stream: part.stream.clone(),
        table: part.table.clone(),
        applied,
        differences,
    };
    let Some(author) = author else {
        return Ok(standing(application.preview().await.map_err(stopped)?, None));
    };
    refuse_beside_rebuild(client, &stream.table).await?;
    record(client, (plan, &part.stream), author, None).await?;
    let template = "{msg} {bar:30} {pos}/{len} rows, {per_sec}, {eta} left";
    let bar = Bar::counting(part.adds + part.removes, template);
    bar.set_message(part.stream.clone());
    let written = application.write(&mut |rows| bar.set_position(rows as u64)).await;
    drop(bar);
    let applied = written.map_err(stopped)?;
    record(client, (plan, &part.stream), author, Some(&applied)).await?;
    let looked = look.look(&part.windows_ms()).await;
    let (_, differences) = looked.map_err(|error| stopped(ApplyError::Look(error)))?;
    Ok(standing(applied, Some(differences.len())))
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
    let actor = args.actor.clone().unwrap_or_else(actor::of_process);
    Ok(Some(Author { actor, reason: reason.clone() }))
}

fn described(standing: &Standing) -> String {
    let Standing { stream, table, applied, differences } = standing;
    let Applied { added, removed, there, left_out } = applied;
    let verb = if differences.is_some() { "were" } else { "would be" };
    let mut text = format!("{stream}: {added} rows of +1 and {removed} of -1 {verb} written into {table}");
    if *there > 0 {
        text += &format!("; {there} rows of the plan are there already");
    }
    text.push('\n');
    for key in left_out.iter().take(SHOWN) {
        text += &format!("  left out: {}: {}\n", key.source_key, key.reason);
    }
    if left_out.len() > SHOWN {
        text += &format!("  … and {} more keys left out; all by `-o json`\n", left_out.len() - SHOWN);
    }
    if let Some(differences) = differences {
        text += &format!("  the windows that the plan touches, compared again: {differences} differences\n");
    }
    text
}

fn verdict(standings: &[Standing], executed: bool, args: &RepairApplyArgs) -> Outcome {
    let differing: Vec<&str> = standings
        .iter()
        .filter(|each| each.differences.is_some_and(|count| count > 0))
        .map(|each| each.stream.as_str())
        .collect();
    if !differing.is_empty() {
        let message = format!("the windows that the plan touches still differ: {}", differing.join(", "));
        return Err(Failure::new(Exit::Differences, message)
            .with_cure("`nova reconcile` lists what is left; make a new plan of its report."));
    }
    if args.output == Output::Table {
        println!(
            "{}",
            match (executed, standings.is_empty()) {
                (_, true) => "the plan has nothing to write",
                (false, _) => "nothing was written; the same with --execute --reason \"…\" writes it",
                (true, _) => "both sides are equal in all windows that the plan touches",
            }
        );
    }
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

#[cfg(test)]
mod tests {
    use nova_reconcile::repair::LeftOut;
    use uuid::Uuid;

    use super::*;

    fn standing(left_out: u128, differences: Option<usize>) -> Standing {
        let reason = "both sides agree by now".to_owned();
        let left_out =
            (0..left_out).map(|key| LeftOut { source_key: Uuid::from_u128(key), reason: reason.clone() });
        let applied = Applied { added: 2, removed: 1, there: 4, left_out: left_out.collect() };
        Standing { stream: "likes".to_owned(), table: "events".to_owned(), applied, differences }
    }

    fn args(output: Output) -> RepairApplyArgs {
        let (plan, actor) = ("plan.json".into(), Some("ops".to_owned()));
        RepairApplyArgs { plan, execute: true, reason: Some(" ".to_owned()), actor, output }
    }

    #[test]
    fn what_was_or_would_be_written_is_told_with_the_keys_that_were_left_out() {
        let dry = described(&standing(1, None));
        assert!(
            dry.starts_with("likes: 2 rows of +1 and 1 of -1 would be written into events; 4 rows"),
            "{dry}"
        );
        let done = described(&standing(12, Some(0)));
        assert!(done.contains("were written") && done.contains("… and 2 more keys"), "{done}");
        assert!(done.ends_with("compared again: 0 differences\n"), "{done}");
        assert_eq!(done.matches("left out: 00000000-").count(), SHOWN);
    }

    #[test]
    fn differences_that_are_left_have_an_exit_code_and_a_reason_needs_words() {
        let args = args(Output::Json);
        assert!(verdict(&[standing(3, Some(0))], true, &args).is_ok());
        let failure = verdict(&[standing(0, Some(0)), standing(0, Some(1))], true, &args).unwrap_err();
        assert_eq!(failure.exit, Exit::Differences);
        assert!(failure.message.contains("likes") && failure.cure.contains("new plan"), "{failure:?}");
        assert_eq!(author(&args).unwrap_err().exit, Exit::Usage);
        let given = RepairApplyArgs { reason: Some("why".to_owned()), ..args };
        assert_eq!(
            author(&given).unwrap().map(|author| (author.actor, author.reason)),
            Some(("ops".into(), "why".into()))
        );
    }
}
