//! `nova backfill --through debezium`: an incremental snapshot, asked for by a row of the signal table, and watched until
//! the connector has read all of it and the stream has written what ClickHouse lacked.
//!
//! How far it is, the connector says in its offsets: as long as it reads tables, they are named there. Source:
//! <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-incremental-snapshots>.
//!
//! Invariant: a command that is given again while the connector reads the table does not ask for it a second time.

use std::time::Duration;

use chrono::DateTime;
use nova_reconcile::{Scope, routes};
use nova_streams::Stream;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::BackfillArgs;
use super::signal::{MAX_DATA, Signals};
use crate::bar::Bar;
use crate::cli::Output;
use crate::config::Config;
use crate::connector::{Connect, Reading, SIGNAL_TABLE};
use crate::exit::{Exit, Failure, Outcome};
use crate::reconcile::{Told, reconciler};

const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long the connector may take to pass the signal.
const PASSED_WITHIN: Duration = Duration::from_secs(120);
/// A connector that has passed the signal and shows nothing of it may still be about to write down where it is.
const BEGINS_WITHIN: Duration = Duration::from_secs(30);

/// Asks for the snapshot and watches it, or stops it.
pub(super) async fn run(args: &BackfillArgs, config: &Config, stream: &Stream) -> Outcome {
    let connect = Connect::new(&config.connect.url)?;
    check_connector(&connect, config).await?;
    let mut signals = Signals::open(config).await?;
    let work = Work { args, config, stream, connect };
    let filter = work.filter();
    let rows = signals.plan(stream, &filter).await?;
    let data = work.data(&filter)?;
    if !args.execute {
        work.show_plan(rows, &filter);
        return Ok(());
    }
    if args.stop {
        signals.send("stop-snapshot", &data).await?;
        println!("{}: the connector is asked to stop reading {}", stream.name, stream.source);
        return Ok(());
    }
    tokio::select! {
        done = work.follow(&mut signals, &data) => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(
            Exit::Interrupted,
            "interrupted; the connector goes on reading",
        )
        .with_cure(format!(
            "The same command watches it again; `nova backfill --stream {} --through debezium --stop --execute` stops it.",
            stream.name
        ))),
    }
}

async fn check_connector(connect: &Connect, config: &Config) -> Outcome {
    let name = &config.connect.connector;
    let status = connect.status(name).await?.ok_or_else(|| {
        Failure::new(Exit::Failure, format!("connector {name} is not registered"))
            .with_cure("Run `nova connector apply`.")
    })?;
    status.verdict(name, config)?;
    let settings = connect.config(name).await?.unwrap_or_default();
    if settings.get("signal.data.collection").map(String::as_str) == Some(SIGNAL_TABLE) {
        return Ok(());
    }
    let message = format!("connector {name} does not read signals from {SIGNAL_TABLE}");
    Err(Failure::new(Exit::Failure, message).with_cure("Run `nova connector apply`."))
}

struct Work<'a> {
    args: &'a BackfillArgs,
    config: &'a Config,
    stream: &'a Stream,
    connect: Connect,
}

impl Work<'_> {
    /// PostgreSQL's condition for the rows that are meant; empty for all.
    fn filter(&self) -> String {
        let range = self.args.range();
        let time = format!("\"{}\"", self.stream.time.replace('"', "\"\""));
        let instant = |ms: i64| {
            let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
            format!("timestamptz '{}'", time.format("%Y-%m-%d %H:%M:%S%.3f+00"))
        };
        let parts = [
            range.condition.map(|condition| format!("({condition})")),
            range.since_ms.map(|since| format!("{time} >= {}", instant(since))),
            range.until_ms.map(|until| format!("{time} < {}", instant(until))),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" AND ")
    }

    /// What the signal says.
    fn data(&self, filter: &str) -> Result<String, Failure> {
        let source = &self.stream.source;
        let mut data = json!({ "type": "incremental", "data-collections": [source] });
        if !filter.is_empty() && !self.args.stop {
            data["additional-conditions"] = json!([{ "data-collection": source, "filter": filter }]);
        }
        let data = data.to_string();
        if data.len() <= MAX_DATA {
            return Ok(data);
        }
        let message = format!("the signal has {} bytes, and {SIGNAL_TABLE} takes {MAX_DATA}", data.len());
        Err(Failure::new(Exit::Usage, message).with_cure("Shorten --where."))
    }

    fn show_plan(&self, rows: u64, filter: &str) {
        let Stream { name, source, topic, .. } = self.stream;
        let is_stop = self.args.stop;
        match self.args.output {
            Output::Json => {
                let plan = json!({ "signal": if is_stop { "stop-snapshot" } else { "execute-snapshot" }, "filter": filter, "rows": rows });
                println!("{:#}", json!({ "executed": false, "stream": name, "plan": plan }));
            }
            Output::Table if is_stop => {
                println!(
                    "{name}: the connector would be asked to stop reading {source}\nnothing was done; add --execute"
                );
            }
            Output::Table => {
                let of = if filter.is_empty() { String::new() } else { format!(" WHERE {filter}") };
                println!(
                    "{name}: Debezium would read {source}{of}: about {rows} rows by PostgreSQL's statistics, a chunk at a time \
                     beside the changes, into {topic}; the stream adds what ClickHouse lacks and corrects what differs\n\
                     nothing was done; the same with --execute writes the signal into {SIGNAL_TABLE}"
                );
            }
        }
    }

    async fn follow(&self, signals: &mut Signals, data: &str) -> Outcome {
        let before = signals.chunks().await?;
        let sent = match self.reading().await? {
            Some(reading) if reading.names(&self.stream.source) => {
                eprintln!(
                    "{}: the connector reads {} already; it is not asked again",
                    self.stream.name, self.stream.source
                );
                None
            }
            _ => Some(signals.send("execute-snapshot", data).await?),
        };
        let chunks = self.read(signals, before, sent.map_or(0, |(_, lsn)| lsn)).await?;
        self.written().await?;
        match self.args.output {
            Output::Table => println!(
                "{}: Debezium has read {} in {chunks} chunks, and the stream has written what ClickHouse lacked",
                self.stream.name, self.stream.source
            ),
            Output::Json => {
                let signal = sent.map(|(id, _)| id);
                println!(
                    "{:#}",
                    json!({ "executed": true, "stream": self.stream.name, "signal": signal, "chunks": chunks })
                );
            }
        }
        Ok(())
    }

    /// Waits until the connector has read the table; answers how many chunks it took.
    async fn read(&self, signals: &mut Signals, before: i64, signal_lsn: u64) -> Result<i64, Failure> {
        let bar = Bar::spinning(self.stream.name.as_str());
        let begun = Instant::now();
        let mut passed = None;
        loop {
            let reading = self.reading().await?;
            let chunks = signals.chunks().await? - before;
            let has_passed = reading.as_ref().is_some_and(|reading| reading.lsn >= signal_lsn);
            bar.set_message(format!("{}: {chunks} chunks read", self.stream.name));
            if has_passed {
                let since = *passed.get_or_insert_with(Instant::now);
                let reads = reading.is_some_and(|reading| reading.names(&self.stream.source));
                if !reads && chunks > 0 {
                    return Ok(chunks);
                }
                if !reads && since.elapsed() > BEGINS_WITHIN {
                    let message = format!(
                        "connector {} has passed the signal and read nothing of {}",
                        self.config.connect.connector, self.stream.source
                    );
                    return Err(Failure::new(Exit::Failure, message).with_cure(
                        "Its log says why; `nova doctor` looks at the publication and the signal table.",
                    ));
                }
            } else if begun.elapsed() > PASSED_WITHIN {
                let message = format!(
                    "connector {} has not passed the signal within {} s",
                    self.config.connect.connector,
                    PASSED_WITHIN.as_secs()
                );
                return Err(Failure::new(Exit::Unavailable, message).with_cure(
                    "`nova connector status` says how it is; it will read the signal when it goes on.",
                ));
            }
            sleep(ASK_EVERY).await;
        }
    }

    async fn reading(&self) -> Result<Option<Reading>, Failure> {
        Ok(self.connect.reading(&self.config.connect.connector).await?)
    }

    /// Waits until the stream has passed all that the connector has sent.
    async fn written(&self) -> Outcome {
        let reconciler = reconciler(self.config, Scope::default())?;
        let told = Told::start();
        let routes = routes(&[(self.stream, self.config.group(&self.stream.name))]);
        let snapshot = reconciler.snapshot(&routes, &|progress| told.tell(progress)).await?;
        snapshot.close().await;
        Ok(())
    }
}
