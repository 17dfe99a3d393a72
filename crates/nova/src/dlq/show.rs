//! `nova dlq show`: the only command that writes out what messages hold.

use super::args::{Form, ShowArgs};
use super::filter::Filter;
use super::report::written;
use super::scan::{Entry, Site};
use super::view::Whole;
use crate::config::Config;
use crate::exit::Outcome;

/// Shows letters, as many as the limit allows.
pub async fn run(args: &ShowArgs, config: &Config) -> Outcome {
    let site = Site::of(config)?;
    let filter = Filter::new(&args.selection, args.reason.as_ref(), args.standing.statuses());
    let limit = args.limit.get().max(args.selection.places.len());
    let (mut found, mut more): (Vec<Entry>, u64) = (Vec::new(), 0);
    let held = site
        .scan(|entry| {
            if !filter.matches(&entry) {
                return;
            }
            if found.len() < limit { found.push(entry) } else { more += 1 }
        })
        .await?;
    filter.all_found(&found.iter().map(Entry::place).collect(), &site.topic)?;
    let all: Vec<Whole<'_>> = found.iter().map(Whole::of).collect();
    match args.output {
        Form::Table => print!("{}", all.iter().map(Whole::text).collect::<Vec<_>>().join("\n")),
        Form::Json => println!("{}", serde_json::to_string_pretty(&all).map_err(written)?),
        Form::Jsonl => {
            for letter in &all {
                println!("{}", serde_json::to_string(letter).map_err(written)?);
            }
        }
    }
    eprint!("{}", held.remarks());
    if more > 0 {
        eprintln!("{more} more match; --limit shows them");
    }
    Ok(())
}
