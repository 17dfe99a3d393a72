//! The measurements that are races over full topics: which lanes, and what is required of them.

use anyhow::Result;
use serde_json::{Value, json};

use super::args::{BenchArgs, Measurement};
use super::contest::{COLUMNS, Contestant, Figures, Lane, Race};
use super::report::{Bound, Outcome, Requirement};
use super::site::{Site, Topic};

use Contestant::{
    KafkaEngine, KafkaEnginePlain, Librdkafka, Nova, NovaTwice, NovaUnmerged, NovaWithoutLedger,
};

/// A full backlog, drained by each contestant.
pub(super) async fn drain(site: &mut Site, args: &BenchArgs) -> Result<Outcome> {
    let topic = site.topic(args.messages(Measurement::Drain), args.partitions, args.months).await?;
    let contestants = if args.only.is_empty() {
        vec![Librdkafka, Nova, NovaTwice, KafkaEngine, KafkaEnginePlain]
    } else {
        args.only.clone()
    };
    let mut race = Race::of(&contestants, &topic);
    race.run(site, args.rounds).await?;
    let [alone, nova, twice, tuned, plain] =
        [Librdkafka, Nova, NovaTwice, KafkaEngine, KafkaEnginePlain].map(|contestant| contestant.to_string());
    let speed = |_: &Lane, figures: &Figures| 1.0 / figures.seconds;
    let cpu = |_: &Lane, figures: &Figures| figures.cpu_seconds();
    let least = Bound::AtLeast;
    let requirements = [
        race.ratio("throughput of nova / Kafka engine, as documented", &nova, &plain, speed, least(6.0)),
        race.ratio("throughput of nova / Kafka engine, tuned", &nova, &tuned, speed, least(6.0)),
        race.ratio("throughput of nova / librdkafka alone", &nova, &alone, speed, least(0.5)),
        race.ratio("throughput of two nova / Kafka engine, as documented", &twice, &plain, speed, least(6.0)),
        race.ratio("throughput of two nova / Kafka engine, tuned", &twice, &tuned, speed, least(6.0)),
        race.ratio("throughput of two nova / librdkafka alone", &twice, &alone, speed, least(0.5)),
        race.ratio(
            "CPU of nova and ClickHouse / Kafka engine, as documented",
            &nova,
            &plain,
            cpu,
            Bound::AtMost(0.35),
        ),
        race.ratio(
            "CPU of nova and ClickHouse / Kafka engine, tuned",
            &nova,
            &tuned,
            cpu,
            Bound::AtMost(0.35),
        ),
        race.ratio(
            "CPU of two nova and ClickHouse / Kafka engine, as documented",
            &twice,
            &plain,
            cpu,
            Bound::AtMost(0.35),
        ),
        race.ratio(
            "CPU of nova / librdkafka alone",
            &nova,
            &alone,
            |_, figures| figures.client_cpu_seconds,
            Bound::AtMost(4.0),
        ),
        Requirement::new(
            "peak memory of nova, MiB",
            race.figures(&nova, |figures| figures.client_peak_mib),
            Bound::AtMost(300.0),
        ),
        Requirement::new(
            "a row on ClickHouse's disk, bytes",
            race.figures(&nova, |figures| figures.row_bytes),
            Bound::None,
        ),
    ];
    let name = if args.months == 0 { "drain" } else { "drain-months" };
    Ok(outcome(name, &race, requirements))
}

/// Peak memory for a backlog and for a tenth of it.
pub(super) async fn memory(site: &mut Site, args: &BenchArgs) -> Result<Outcome> {
    let most = args.messages(Measurement::Memory);
    let mut race = sizes(site, args, Nova, &[most / 10, most]).await?;
    race.run(site, args.rounds).await?;
    let [small, large] = [most / 10, most].map(lane_name);
    let peak = |figures: &Figures| figures.client_peak_mib;
    let requirements = [
        Requirement::new(format!("peak MiB, {large}"), race.figures(&large, peak), Bound::AtMost(300.0)),
        race.ratio(
            &format!("peak, {large} / {small}"),
            &large,
            &small,
            |_, figures| figures.client_peak_mib,
            Bound::Within(0.1),
        ),
    ];
    Ok(outcome("memory", &race, requirements))
}

/// The cost of one change in small and large topics. What a start costs (reading the configuration, asking for tables and
/// topics, joining the group) is measured on a topic of one change and taken off, since counting begins with the first poll.
/// Nobody merges: a small topic is drained before any merge is due, and a large one pays for several levels of them.
pub(super) async fn flat(site: &mut Site, args: &BenchArgs) -> Result<Outcome> {
    let most = args.messages(Measurement::Flat);
    let mut race = sizes(site, args, NovaUnmerged, &[1, most / 100, most / 10, most]).await?;
    race.run(site, args.rounds).await?;
    let [start, small, middle, large] = [1, most / 100, most / 10, most].map(lane_name);
    let starts = race.figures(&start, Figures::cpu_seconds);
    let start = starts.iter().sum::<f64>() / precise(starts.len());
    let per_change =
        |lane: &Lane, figures: &Figures| (figures.cpu_seconds() - start) / lane_messages(&lane.topic);
    let within = Bound::Within(0.15);
    let requirements = [
        race.ratio(&format!("CPU per change, {small} / {middle}"), &small, &middle, per_change, within),
        race.ratio(&format!("CPU per change, {large} / {middle}"), &large, &middle, per_change, within),
        race.ratio(&format!("CPU per change, {large} / {small}"), &large, &small, per_change, within),
        Requirement::new(
            "CPU ms of a start, taken off",
            starts.iter().map(|cpu| cpu * 1e3).collect(),
            Bound::None,
        ),
    ];
    Ok(outcome("flat", &race, requirements))
}

/// Two processes of one group against one.
pub(super) async fn processes(site: &mut Site, args: &BenchArgs) -> Result<Outcome> {
    let topic = site.topic(args.messages(Measurement::Processes), args.partitions, 0).await?;
    let mut race = Race::of(&[Nova, NovaTwice], &topic);
    race.run(site, args.rounds).await?;
    let [one, two] = [Nova, NovaTwice].map(|contestant| contestant.to_string());
    let speed = |_: &Lane, figures: &Figures| 1.0 / figures.seconds;
    let cpu = |_: &Lane, figures: &Figures| figures.cpu_seconds();
    let requirements = [
        race.ratio("throughput, two / one", &two, &one, speed, Bound::AtLeast(1.0)),
        race.ratio("CPU per change, two / one", &two, &one, cpu, Bound::Within(0.15)),
    ];
    Ok(outcome("processes", &race, requirements))
}

/// Nova against itself with the ledger off, in twice as many rounds: the difference is smaller than what rounds differ by.
pub(super) async fn ledger(site: &mut Site, args: &BenchArgs) -> Result<Outcome> {
    let topic = site.topic(args.messages(Measurement::Ledger), args.partitions, 0).await?;
    let mut race = Race::of(&[Nova, NovaWithoutLedger], &topic);
    race.run(site, args.rounds.saturating_mul(2)).await?;
    let [with, without] = [Nova, NovaWithoutLedger].map(|contestant| contestant.to_string());
    let time = |_: &Lane, figures: &Figures| figures.seconds;
    let cpu = |_: &Lane, figures: &Figures| figures.cpu_seconds();
    let requirements = [
        race.ratio("time, ledger on / off", &with, &without, time, Bound::AtMost(1.05)),
        race.ratio("CPU per change, ledger on / off", &with, &without, cpu, Bound::AtMost(1.05)),
    ];
    Ok(outcome("ledger", &race, requirements))
}

async fn sizes(site: &mut Site, args: &BenchArgs, contestant: Contestant, sizes: &[u64]) -> Result<Race> {
    let mut lanes = Vec::new();
    for messages in sizes {
        let topic = site.topic(*messages, args.partitions, 0).await?;
        lanes.push(Lane { name: lane_name(*messages), contestant, topic, figures: Vec::new() });
    }
    Ok(Race(lanes))
}

fn lane_name(messages: u64) -> String {
    if messages == 1 { "one change".to_owned() } else { format!("{messages} changes") }
}

fn lane_messages(topic: &Topic) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of messages")]
    let messages = topic.content.messages as f64;
    messages
}

fn precise(count: usize) -> f64 {
    u32::try_from(count.max(1)).map_or(f64::MAX, f64::from)
}

fn outcome<const N: usize>(name: &str, race: &Race, requirements: [Option<Requirement>; N]) -> Outcome {
    let rounds = race.0.iter().map(|lane| {
        let value = json!({ "contestant": lane.contestant.to_string(), "topic": lane.topic, "figures": lane.figures });
        (lane.name.clone(), value)
    });
    Outcome {
        name: name.to_owned(),
        conditions: conditions(race),
        columns: COLUMNS.to_vec(),
        lines: race.lines(),
        requirements: requirements.into_iter().flatten().collect(),
        rounds: Value::Object(rounds.collect()),
    }
}

fn conditions(race: &Race) -> String {
    let Some(Lane { topic, figures, .. }) = race.0.iter().max_by_key(|lane| lane.topic.content.messages)
    else {
        return String::new();
    };
    let content = topic.content;
    let times = match topic.months {
        0 => "event times as in life".to_owned(),
        months => format!("event times over {months} months"),
    };
    format!(
        "{} changes of {} bytes on average ({} on the broker's disk), {} rows, {} partitions, {times}; {} rounds in turns, \
         median (least–greatest)",
        content.messages,
        content.bytes / content.messages.max(1),
        topic.stored_bytes / content.messages.max(1),
        content.rows,
        topic.partitions,
        figures.len()
    )
}
