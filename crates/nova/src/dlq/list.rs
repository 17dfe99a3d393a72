//! `nova dlq list`.

use super::args::{Form, ListArgs};
use super::filter::Filter;
use super::groups::Groups;
use super::report::written;
use super::scan::Site;
use super::view::Line;
use crate::config::Config;
use crate::exit::Outcome;

/// Counts the letters, or lists them one by one.
pub async fn run(args: &ListArgs, config: &Config) -> Outcome {
    let site = Site::of(config)?;
    let filter = Filter::new(&args.selection, args.reason.as_ref(), args.standing.statuses());
    let mut groups = Groups::default();
    let mut lines = Ok(());
    let held = site
        .scan(|entry| match args.output {
            _ if !filter.matches(&entry) => {}
            Form::Jsonl => match serde_json::to_string(&Line::of(&entry)) {
                Ok(line) => println!("{line}"),
                Err(error) => lines = Err(error),
            },
            Form::Table | Form::Json => groups.add(&entry),
        })
        .await?;
    lines.map_err(written)?;
    match args.output {
        Form::Table => print!("{}", groups.text()),
        Form::Json => println!("{}", groups.json(&site.topic, &held).map_err(written)?),
        Form::Jsonl => {}
    }
    eprint!("{}", held.remarks());
    Ok(())
}
