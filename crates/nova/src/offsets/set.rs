//! `nova offsets set`: shows the plan, and commits it when told to.
//!
//! Invariant: what is committed has no metadata of Nova's beside it; so the worker that begins there asks the table
//! what it has already, and nothing is written twice.

use std::collections::BTreeMap;

use nova_kafka::{KafkaConnection, members, offsets_by_time, positions, set_offsets};
use nova_pipeline::{ErrorKind, PipelineError};
use nova_streams::StreamSet;

use super::args::OffsetsSetArgs;
use super::plan::{Move, Target, plan};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::run::{declared, kafka_connection};
use crate::table::{or_dash, table};

const HEADER: [&str; 4] = ["partition", "from", "to", "what it means"];

/// Runs `nova offsets set`.
pub async fn run(args: &OffsetsSetArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let stream = declared(&args.stream, streams)?;
    let (group, topic) = (config.group(&stream.name), &stream.topic);
    let connection = kafka_connection(config);
    let found = positions(&connection, &group, topic).await?;
    let times = times(&connection, topic, args.to).await?;
    let moves = plan(&found, args.to, &times, &args.partition).map_err(|error| {
        Failure::new(Exit::Usage, format!("stream `{}`, topic {topic}: {error}", stream.name))
    })?;
    let members = members(&connection, &group, topic).await?;

    println!("{}: group {group}, topic {topic}", stream.name);
    print!("{}", table(&HEADER, &moves.iter().map(cells).collect::<Vec<_>>()));
    let skipped: i64 = moves.iter().map(|each| each.skipped).sum();
    if !args.execute {
        print!("{}", advice(skipped, args.allow_skip, &members));
        return Ok(());
    }
    if !members.is_empty() {
        return Err(active(&group, &members, config));
    }
    if skipped > 0 && !args.allow_skip {
        let message = format!("nothing was set: {skipped} messages of {topic} would never be read");
        return Err(Failure::new(Exit::Usage, message).with_cure("Add --allow-skip if that is meant."));
    }
    let offsets: Vec<(i32, i64)> = moves.iter().map(|each| (each.partition, each.to)).collect();
    set_offsets(&connection, &group, topic, &offsets).await.map_err(|error| refused(error, config))?;
    println!("set; `nova run --stream {}` goes on from there", stream.name);
    Ok(())
}

/// The offsets that a time stands for.
async fn times(
    connection: &KafkaConnection,
    topic: &str,
    target: Target,
) -> Result<BTreeMap<i32, i64>, PipelineError> {
    match target {
        Target::Time(time_ms) => Ok(offsets_by_time(connection, topic, time_ms).await?.into_iter().collect()),
        _ => Ok(BTreeMap::new()),
    }
}

fn cells(change: &Move) -> Vec<String> {
    let Move { partition, from, to, skipped, again, expired, open, shares_batch } = change;
    let mut means = Vec::new();
    if *expired > 0 {
        means.push(format!("{expired} messages expired unread"));
    }
    if *skipped > 0 {
        means.push(format!("SKIPS {skipped} messages"));
    }
    if *again > 0 {
        means.push(format!("reads {again} messages again"));
    }
    match open {
        Some(range) if *shares_batch => means.push(format!(
            "shares the open batch {}..{}, which is dropped: the table is asked instead",
            range.start, range.end
        )),
        Some(range) => means
            .push(format!("drops the open batch {}..{}: the table is asked instead", range.start, range.end)),
        None => {}
    }
    if means.is_empty() {
        means.push(if *from == Some(*to) { "stays" } else { "starts here" }.to_owned());
    }
    vec![partition.to_string(), or_dash(*from), to.to_string(), means.join("; ")]
}

fn advice(skipped: i64, allow_skip: bool, members: &[String]) -> String {
    let mut text = "nothing was changed; ".to_owned();
    if !members.is_empty() {
        text.push_str(&format!("stop `nova run` first (members: {}), then ", members.join(", ")));
    }
    text.push_str("the same command with --execute sets these offsets");
    if skipped > 0 && !allow_skip {
        text.push_str(&format!(", if --allow-skip confirms that {skipped} messages are left out"));
    }
    text.push('\n');
    text
}

fn active(group: &str, members: &[String], config: &Config) -> Failure {
    let message =
        format!("nothing was set: the consumer group `{group}` has active members: {}", members.join(", "));
    Failure::new(Exit::Failure, message).with_cure(stop_first(config))
}

fn stop_first(config: &Config) -> String {
    let timeout = config.kafka.session_timeout.as_secs();
    format!(
        "Stop every `nova run` that reads this stream, then run the command again. One that was killed leaves the group \
         after kafka.session_timeout, {timeout} s."
    )
}

/// The coordinator has the last word on members; it is the only one that knows those of the KIP-848 protocol.
fn refused(error: PipelineError, config: &Config) -> Failure {
    let members = error.kind == ErrorKind::Fenced;
    let failure = Failure::from(error);
    if members { failure.with_cure(stop_first(config)) } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> Move {
        Move {
            partition: 3,
            from: Some(40),
            to: 40,
            skipped: 0,
            again: 0,
            expired: 0,
            open: None,
            shares_batch: false,
        }
    }

    #[test]
    fn each_change_says_what_it_means() {
        let meaning = |change: Move| cells(&change).pop().unwrap();
        assert_eq!(cells(&change()), ["3", "40", "40", "stays"]);
        assert_eq!(meaning(Move { from: None, ..change() }), "starts here");
        let expired = Move { from: Some(3), expired: 37, skipped: 5, to: 45, ..change() };
        assert_eq!(meaning(expired), "37 messages expired unread; SKIPS 5 messages");
        let open = Move { to: 10, again: 30, open: Some(40..45), ..change() };
        let text = meaning(open);
        assert!(text.starts_with("reads 30 messages again; drops the open batch 40..45"), "{text}");
    }

    #[test]
    fn a_dry_run_says_what_execution_needs() {
        let plain = advice(0, false, &[]);
        assert_eq!(plain, "nothing was changed; the same command with --execute sets these offsets\n");
        let much = advice(7, false, &["nova (10.0.0.1)".to_owned()]);
        for word in ["stop `nova run` first", "nova (10.0.0.1)", "--allow-skip", "7 messages"] {
            assert!(much.contains(word), "{much}");
        }
        assert!(!advice(7, true, &[]).contains("--allow-skip"));
    }

    #[test]
    fn active_members_are_named_with_how_long_a_dead_one_stays() {
        let failure = active("nova-likes", &["nova (10.0.0.1)".to_owned()], &Config::default());
        assert!(failure.message.contains("nova-likes") && failure.message.contains("10.0.0.1"), "{failure}");
        assert!(failure.cure.contains("45 s"), "{}", failure.cure);
    }
}
