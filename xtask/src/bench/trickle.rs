//! A trickle over few and over many partitions: how many inserts it makes, and how fresh the table stays.
//!
//! Freshness is measured from outside: from the moment the helper hands a message to its producer (a little before the
//! broker appends it) until a query finds its row. Inserts are counted by ClickHouse (`InsertQuery` of `system.events`).
//!
//! Invariant: figures include the pause between two looks, so they are too large by up to that, never too small.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use super::args::BenchArgs;
use super::nova::Worker;
use super::report::{Bound, Outcome, Requirement};
use super::site::{Content, Site};
use super::spread::{Spread, quantile};
use super::table::{self, TABLE};
use crate::installation::clickhouse_rows;
use crate::say;

const PARTITIONS: [u16; 2] = [12, 96];
const RATE: u32 = 20;
const SECONDS: u32 = 15;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const VISIBLE_WITHIN: Duration = Duration::from_secs(30);

/// What one trickle came to.
#[derive(Debug, Clone, Copy, Serialize)]
struct Figures {
    inserts_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// A message, by its producer.
struct Sent {
    partition: i64,
    offset: i64,
    at_us: u64,
}

/// What the table had at some moment: the last offset of each partition.
struct Look {
    at_us: u64,
    offsets: BTreeMap<i64, i64>,
}

pub(super) async fn measure(site: &mut Site, args: &BenchArgs) -> Result<Outcome> {
    let mut figures: BTreeMap<u16, Vec<Figures>> = BTreeMap::new();
    for round in 1..=args.rounds {
        for partitions in PARTITIONS {
            let found = once(site, partitions).await?;
            say(&format!("round {round} of {}: {partitions} partitions: {found:?}", args.rounds));
            figures.entry(partitions).or_default().push(found);
        }
    }
    Ok(outcome(&figures, args.rounds))
}

async fn once(site: &mut Site, partitions: u16) -> Result<Figures> {
    let name = site.new_name();
    let topic = format!("cdc.likes-{name}");
    site.create_topic(&topic, partitions).await?;
    table::create(site, &name).await?;
    let worker = Worker::start(site, &topic, &name, 0, &site.nova, &[])?;
    worker.ready().await?;
    let inserts_before = inserts(site).await?;
    let mut trickle = site.helper("trickle", &topic, partitions)?;
    trickle.args(["--messages", &(RATE * SECONDS).to_string(), "--rate", &RATE.to_string()]);
    let child = trickle.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("the bench's helper")?;
    let (output, looks) = tokio::try_join!(
        async { child.wait_with_output().await.context("the bench's helper") },
        looks(site, &name)
    )?;
    ensure!(output.status.success(), "the bench's helper failed ({})", output.status);
    let (sent, content) = parse(&String::from_utf8_lossy(&output.stdout))?;
    let inserts = inserts(site).await? - inserts_before;
    let mut waits = waits(&sent, &looks)?;
    waits.sort_by(f64::total_cmp);
    let process = worker.process;
    process.kill(Signal::SIGTERM)?;
    ensure!(process.wait_ended(Duration::from_secs(30)), "nova did not end within 30 s of SIGTERM");
    table::judge(site, &name, &content).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of inserts")]
    let inserts = inserts as f64;
    Ok(Figures {
        inserts_per_second: inserts / lasted(&sent, &looks),
        p50_ms: quantile(&waits, 0.5).context("no message was sent")?,
        p99_ms: quantile(&waits, 0.99).context("no message was sent")?,
    })
}

async fn inserts(site: &Site) -> Result<i64> {
    let sql = "SELECT sum(value) FROM system.events WHERE event = 'InsertQuery'";
    Ok(table::numbers(site, sql).await?.first().copied().unwrap_or_default())
}

/// Looks at the table until it has every message.
async fn looks(site: &Site, database: &str) -> Result<Vec<Look>> {
    let sql = format!(
        "SELECT kafka_partition, max(kafka_offset), count() FROM {database}.{TABLE} GROUP BY 1 ORDER BY 1"
    );
    let messages = i64::from(RATE * SECONDS);
    let (mut found, mut clock) = (Vec::new(), interval(LOOK_EVERY));
    let deadline = Instant::now() + Duration::from_secs(SECONDS.into()) + VISIBLE_WITHIN;
    loop {
        clock.tick().await;
        let rows = clickhouse_rows(site.clickhouse()?, &sql).await?;
        let mut offsets = BTreeMap::new();
        for row in rows {
            let numbers = row.iter().map(|cell| cell.parse()).collect::<Result<Vec<i64>, _>>();
            let numbers = numbers.with_context(|| format!("{sql} answered {row:?}"))?;
            if let [partition, offset, _] = numbers.as_slice() {
                offsets.insert(*partition, *offset);
            }
        }
        // Offsets begin at 0 and have no gaps: the producer makes no transactions.
        let visible: i64 = offsets.values().map(|offset| offset + 1).sum();
        found.push(Look { at_us: now_us(), offsets });
        if visible >= messages {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "{visible} of {messages} messages are visible");
    }
}

/// Seconds from the first message to the look that found the last.
fn lasted(sent: &[Sent], looks: &[Look]) -> f64 {
    let begun = sent.iter().map(|sent| sent.at_us).min().unwrap_or_default();
    let ended = looks.last().map_or(begun, |look| look.at_us);
    Duration::from_micros(ended.saturating_sub(begun)).as_secs_f64().max(f64::EPSILON)
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or_default()
}

/// Milliseconds from being sent to the first look that found it, for each message.
fn waits(sent: &[Sent], looks: &[Look]) -> Result<Vec<f64>> {
    let wait = |sent: &Sent| {
        let has = |look: &Look| look.offsets.get(&sent.partition).is_some_and(|last| *last >= sent.offset);
        // What a look found all later looks find.
        let first = looks.get(looks.partition_point(|look| !has(look)));
        let first = first.with_context(|| format!("[{}]@{} was never seen", sent.partition, sent.offset))?;
        let micros = u32::try_from(first.at_us.saturating_sub(sent.at_us)).unwrap_or(u32::MAX);
        Ok(f64::from(micros) / 1e3)
    };
    sent.iter().map(wait).collect()
}

/// The helper's lines: partition, offset, microseconds since 1970 of each message; then what they must become.
fn parse(text: &str) -> Result<(Vec<Sent>, Content)> {
    let (lines, last) = text.trim_end().rsplit_once('\n').context("the bench's helper told too little")?;
    let sent = lines.lines().map(|line| {
        let mut fields = line.split('\t');
        let mut next = || fields.next()?.parse::<u64>().ok();
        let sent = (|| {
            let (partition, offset) = (i64::try_from(next()?).ok()?, i64::try_from(next()?).ok()?);
            Some(Sent { partition, offset, at_us: next()? })
        })();
        sent.with_context(|| format!("the bench's helper told `{line}`"))
    });
    let sent = sent.collect::<Result<Vec<_>>>()?;
    Ok((sent, serde_json::from_str(last).context("what the topic holds")?))
}

fn outcome(figures: &BTreeMap<u16, Vec<Figures>>, rounds: u32) -> Outcome {
    let name = |partitions: &u16| format!("{partitions} partitions");
    let all =
        |figures: &[Figures], figure: fn(&Figures) -> f64| figures.iter().map(figure).collect::<Vec<_>>();
    let cell = |figures: &[Figures], figure: fn(&Figures) -> f64| {
        Spread::of(all(figures, figure)).map_or_else(String::new, |spread| spread.to_string())
    };
    let lines = figures.iter().map(|(partitions, figures)| {
        let cells = [|f: &Figures| f.inserts_per_second, |f: &Figures| f.p50_ms, |f: &Figures| f.p99_ms];
        (name(partitions), cells.map(|figure| cell(figures, figure)).to_vec())
    });
    let requirements = figures.iter().flat_map(|(partitions, figures)| {
        let name = name(partitions);
        let inserts = all(figures, |figures| figures.inserts_per_second);
        let p99 = all(figures, |figures| figures.p99_ms);
        [
            Requirement::new(format!("inserts per second, {name}"), inserts, Bound::AtMost(1.5)),
            Requirement::new(format!("Kafka to visible, p99 ms, {name}"), p99, Bound::AtMost(700.0)),
        ]
    });
    let each = figures.iter().map(|(partitions, figures)| (name(partitions), json!(figures)));
    Outcome {
        name: "trickle".to_owned(),
        conditions: format!(
            "{RATE} changes/s for {SECONDS} s, spread evenly over the partitions; {rounds} rounds in turns, median \
             (least–greatest)"
        ),
        columns: vec!["inserts/s into the table", "Kafka to visible, p50 ms", "p99 ms"],
        lines: lines.collect(),
        requirements: requirements.flatten().collect(),
        rounds: Value::Object(each.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_first_look_that_finds_the_message() {
        let (sent, content) = parse(
            "0\t0\t1000\n1\t0\t2000\n0\t1\t9000\n{\"messages\":3,\"bytes\":1,\"rows\":3,\"state\":3}\n",
        )
        .unwrap();
        assert_eq!((sent.len(), content.rows), (3, 3));
        let look = |at_us, offsets: &[(i64, i64)]| Look { at_us, offsets: offsets.iter().copied().collect() };
        let looks = [look(1_500, &[]), look(5_000, &[(0, 0)]), look(12_000, &[(0, 1), (1, 0)])];
        assert_eq!(waits(&sent, &looks).unwrap(), [4.0, 10.0, 3.0]);
        assert!((lasted(&sent, &looks) - 0.011).abs() < 1e-9);
        let error = waits(&sent, &looks[..2]).unwrap_err().to_string();
        assert_eq!(error, "[1]@0 was never seen");
        assert!(parse("0\tx\t1\n{}").is_err());
    }
}
