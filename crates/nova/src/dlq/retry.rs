//! `nova dlq retry`: today's mapping, the same sink, once.

use std::collections::{BTreeMap, BTreeSet};

use nova_pipeline::{ErrorKind, PipelineError};
use nova_streams::{Stream, StreamSet};

use super::args::RetryArgs;
use super::fate::{Fate, Told};
use super::filter::Filter;
use super::lane::Lane;
use super::place::Place;
use super::report::Report;
use super::scan::{Entry, Held, Site, Status};
use crate::actor;
use crate::config::Config;
use crate::exit::{Failure, Outcome};
use crate::job::refuse_beside_rebuild;

/// Messages that are in memory at once, in bytes.
const BYTES: usize = 64 << 20;

/// Letters by the names of their stream and topic.
type ByStream = BTreeMap<(String, String), Vec<Entry>>;

/// Retries the letters that match, as many as the limit allows.
pub async fn run(args: &RetryArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let site = Site::of(config)?;
    let mut report = Report::new(args.execute);
    let (entries, held) = picked(args, &site, &mut report).await?;
    let actor = args.actor.clone().unwrap_or_else(actor::of_process);
    for ((name, topic), entries) in entries {
        let lane = match stream_of(&name, &topic, streams) {
            Ok(stream) => Lane::connect(&site, stream, &config.group(&stream.name)).await,
            Err(reason) => Err(PipelineError::new(ErrorKind::Misconfigured, reason)),
        };
        let mut lane = match lane {
            Ok(lane) => lane,
            // One stream that is not in order keeps no other's letters back.
            Err(error) if matches!(error.kind, ErrorKind::Misconfigured | ErrorKind::SchemaMismatch) => {
                let fate = Fate::open(error.message);
                entries.iter().for_each(|entry| report.add(Told::of(entry, &fate)));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let judged = lane.judge(entries, args.allow_contradictions).await?;
        if args.execute {
            refuse_beside_rebuild(&site.client, lane.table()).await?;
            lane.execute(&judged, &actor).await?;
        }
        judged.iter().for_each(|(entry, fate)| report.add(Told::of(entry, fate)));
    }
    report.print(args.output, &held)
}

/// The letters to retry, by stream, in the order of their topics: what a key's letters tell is told in order.
async fn picked(args: &RetryArgs, site: &Site, report: &mut Report) -> Result<(ByStream, Held), Failure> {
    // Who names a letter may also take back that it was discarded; a second retry does no harm.
    let named = !args.selection.places.is_empty();
    let statuses = if named { Vec::new() } else { vec![Status::Open] };
    let filter = Filter::new(&args.selection, args.reason.as_ref(), statuses);
    let (mut found, mut bytes, mut more): (Vec<Entry>, usize, u64) = (Vec::new(), 0, 0);
    let held = site
        .scan(|entry| {
            if !filter.matches(&entry) {
                return;
            }
            let size = entry.stored.letter.value.as_ref().map_or(0, Vec::len);
            if found.len() < args.limit.get() && (bytes + size <= BYTES || found.is_empty()) {
                bytes += size;
                found.push(entry);
            } else {
                more += 1;
            }
        })
        .await?;
    let places: BTreeSet<Place> = found.iter().map(Entry::place).collect();
    filter.all_found(&places, &site.topic)?;
    report.leave(more);
    found.sort_by_key(Entry::place);
    let mut by_stream = ByStream::new();
    for entry in found {
        let letter = &entry.stored.letter;
        by_stream.entry((letter.stream.clone(), letter.topic.clone())).or_default().push(entry);
    }
    Ok((by_stream, held))
}

/// The declared stream of that name. Letters that do not name one belong to the only stream that reads their topic.
fn stream_of<'s>(name: &str, topic: &str, streams: &'s StreamSet) -> Result<&'s Stream, String> {
    if !name.is_empty() {
        return streams.get(name).ok_or_else(|| format!("no stream `{name}` is declared any more"));
    }
    let mut readers = streams.iter().filter(|stream| stream.topic == topic);
    match (readers.next(), readers.next()) {
        (Some(stream), None) => Ok(stream),
        _ => Err(format!("it does not name its stream, and not exactly one stream reads {topic}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_without_stream_belongs_to_the_only_reader_of_its_topic() {
        let text = include_str!("../../../../config/streams.toml");
        let streams = StreamSet::parse("streams.toml", text).unwrap();
        let second = text.replace("[streams.follows", "[streams.second").replace("cdc.follows", "cdc.likes");
        let crowded = StreamSet::parse("streams.toml", &second).unwrap();
        assert_eq!(stream_of("likes", "cdc.likes", &streams).unwrap().name, "likes");
        assert_eq!(stream_of("", "cdc.likes", &streams).unwrap().name, "likes");
        assert!(stream_of("", "cdc.likes", &crowded).unwrap_err().contains("cdc.likes"));
        assert!(stream_of("gone", "cdc.likes", &streams).unwrap_err().contains("`gone`"));
    }
}
