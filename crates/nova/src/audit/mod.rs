//! `nova audit`: Kafka against ClickHouse, offset by offset.
//!
//! Invariant: nothing is changed, and no consumer group notices. What is printed on stdout is the report, whole.

mod lines;
mod progress;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Instant;

use chrono::Utc;
use clap::{Args, ValueEnum};
use nova_clickhouse::{TableInfo, TableSink};
use nova_reconcile::audit::{
    AUDIT_VERSION, AuditPlan, AuditReport, AuditScope, AuditVerdict, Audited, Bound, Letters, audit, text,
};
use nova_reconcile::text_columns;
use nova_streams::{Mapping, Stream, StreamSet};

use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::run::{clickhouse_client, compile, declared, kafka_connection};
use progress::Progress;

/// `nova audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// This stream alone; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub stream: Vec<String>,
    /// Where to begin: `earliest`, an offset, or a time (RFC 3339).
    #[arg(long, value_name = "WHERE", default_value = "earliest")]
    pub from: AuditFrom,
    /// Where to end: `committed`, an offset, or a time (RFC 3339). What lies behind the group's committed offset is not
    /// owed yet, and never audited.
    #[arg(long, value_name = "WHERE", default_value = "committed")]
    pub to: AuditTo,
    /// This partition alone; can be repeated.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Vec<i32>,
    /// Form of the output; `jsonl` is one line for each partition, finding and stream.
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    pub output: Form,
    /// Shows texts of rows instead of their lengths.
    #[arg(long)]
    pub values: bool,
    /// How many findings of a stream to list; all are counted.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    pub max_listed: usize,
}

/// Forms of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON document, by `schemas/reports/audit/v1.json`.
    Json,
    /// One JSON document a line.
    Jsonl,
}

/// Where an audit begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditFrom(Bound);

/// Where an audit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditTo(Bound);

impl FromStr for AuditFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "earliest" { Ok(Self(Bound::Earliest)) } else { bound("earliest", text).map(Self) }
    }
}

impl FromStr for AuditTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "committed" { Ok(Self(Bound::Committed)) } else { bound("committed", text).map(Self) }
    }
}

fn bound(word: &str, text: &str) -> Result<Bound, String> {
    match (text.parse(), chrono::DateTime::parse_from_rfc3339(text)) {
        (Ok(offset), _) if offset >= 0 => Ok(Bound::Offset(offset)),
        (_, Ok(time)) => Ok(Bound::Time(time.timestamp_millis())),
        _ => Err(format!(
            "it is neither `{word}`, nor an offset such as 4711, nor a time by RFC 3339 such as 2026-01-31T06:00:00Z"
        )),
    }
}

/// A stream with its table.
struct Ends {
    mapping: Mapping,
    sink: TableSink,
}

/// Runs `nova audit`.
pub async fn run(args: &AuditArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let chosen: Vec<&Stream> = if args.stream.is_empty() {
        streams.iter().collect()
    } else {
        args.stream.iter().map(|name| declared(name, streams)).collect::<Result<_, _>>()?
    };
    let (started_ms, begun) = (Utc::now().timestamp_millis(), Instant::now());
    let connection = kafka_connection(config);
    let scope = AuditScope { from: args.from.0, to: args.to.0, partitions: args.partition.clone() };
    let (mut ends, mut plans) = (BTreeMap::new(), BTreeMap::new());
    for stream in chosen {
        let group = config.group(&stream.name);
        ends.insert(stream.name.as_str(), connect(stream, config).await?);
        plans
            .insert(stream.name.as_str(), AuditPlan::make(&connection, &group, &stream.topic, &scope).await?);
    }
    let by_stream = plans.iter().map(|(stream, plan)| (*stream, plan)).collect();
    let letters = Letters::read(&connection, &config.kafka.dead_letter_topic, &by_stream).await?;
    let progress = Progress::start(plans.values().map(AuditPlan::offsets).sum());
    let mut report = AuditReport {
        version: AUDIT_VERSION,
        started_ms,
        finished_ms: started_ms,
        nova_version: env!("CARGO_PKG_VERSION").to_owned(),
        streams: Vec::new(),
    };
    for (stream, plan) in plans {
        let Some(Ends { mapping, sink }) = ends.get(stream) else { continue };
        let audited = Audited { connection: &connection, mapping, sink };
        let mut found =
            audit(&audited, plan, &letters, args.max_listed, &mut |done| progress.add(done)).await?;
        if !args.values {
            found.leave_out_texts(&text_columns(mapping.columns()));
        }
        report.streams.push(found);
    }
    report.finished_ms = Utc::now().timestamp_millis();
    progress.finish(begun.elapsed());
    print(args.output, &report)?;
    conclude(&report)
}

async fn connect(stream: &Stream, config: &Config) -> Result<Ends, Failure> {
    let client = clickhouse_client(&config.clickhouse)?;
    let table = TableInfo::read(&client, &stream.table).await?;
    let mapping = compile(stream, &table)?;
    let sink = TableSink::new(client, &table, mapping.columns());
    let sink = sink?;
    Ok(Ends { mapping, sink })
}

fn print(form: Form, report: &AuditReport) -> Outcome {
    let unwritable = |error: serde_json::Error| Failure::new(Exit::Failure, error.to_string());
    match form {
        Form::Text => print!("{}", text(report)),
        Form::Json => println!("{}", serde_json::to_string_pretty(report).map_err(unwritable)?),
        Form::Jsonl => lines::lines(report).map_err(unwritable)?.iter().for_each(|line| println!("{line}")),
    }
    Ok(())
}

fn conclude(report: &AuditReport) -> Outcome {
    let which = |verdict| {
        let streams = report.streams.iter().filter(|stream| stream.verdict == verdict);
        streams.map(|stream| stream.stream.as_str()).collect::<Vec<_>>().join(", ")
    };
    match report.verdict() {
        AuditVerdict::Agrees => Ok(()),
        AuditVerdict::Findings => {
            let found: u64 = report.streams.iter().map(nova_reconcile::audit::StreamAudit::found).sum();
            let message = format!("{found} findings in: {}", which(AuditVerdict::Findings));
            let cure = "docs/audit.md says what each kind means; `nova reconcile` tells whether the states are right.";
            Err(Failure::new(Exit::Differences, message).with_cure(cure))
        }
        AuditVerdict::Incomplete => {
            let message = format!("not all could be audited of: {}", which(AuditVerdict::Incomplete));
            Err(Failure::new(Exit::Partial, message).with_cure("The report says where and why."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_words_offsets_or_times() {
        assert_eq!("earliest".parse(), Ok(AuditFrom(Bound::Earliest)));
        assert_eq!("committed".parse(), Ok(AuditTo(Bound::Committed)));
        assert_eq!("41".parse(), Ok(AuditFrom(Bound::Offset(41))));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(AuditTo(Bound::Time(1_000))));
        for wrong in ["committed", "-1", "yesterday", ""] {
            let error = wrong.parse::<AuditFrom>().unwrap_err();
            assert!(error.contains("`earliest`") && error.contains("RFC 3339"), "{wrong}: {error}");
        }
        assert!("earliest".parse::<AuditTo>().is_err());
    }
}
