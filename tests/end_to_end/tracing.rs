//! Spans: what a collector gets to see of a batch, and what happens without one that listens.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use xtask::installation::clickhouse_number;

use crate::collector::{Collector, Span};
use crate::drift::stream;
use crate::offsets::follows;
use crate::topics::{Record, create, produce};
use crate::wait::{s, until};
use crate::world::{World, ended};

const TOPIC: &str = "traced.follows";
const TABLE: &str = "traced_follows";
/// What the producers' spans are called: `<trace>-<span>`.
const HEADER: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
const PROPERTIES: &str = "1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331";
const FIELD: &str = "2cf7651916cd43dd8448eb211c80319c-d7ad6b7169203331";
const POISON: &str = "3df7651916cd43dd8448eb211c80319c-e7ad6b7169203331";

/// GIVEN messages that name the spans that wrote them, in each of the ways / WHEN a stream with a collector reads them /
/// THEN the collector gets the spans of the conventions, linked to the producers'; WHEN the collector does not answer
/// any more / THEN the stream goes on and ends in order, and says so once.
pub(crate) async fn tracing(world: &mut World) -> Result<()> {
    let follows = follows(world, 6).await?;
    let brokers = world.brokers()?;
    create(&brokers, TOPIC).await?;
    let sql = format!("CREATE TABLE nova.{TABLE} AS nova.user_follow_events");
    world.clickhouse()?.query(&sql).await.context(sql)?;
    let file = world.stack.run_dir.subdir("streams")?.join("traced.toml");
    std::fs::write(&file, stream("traced", TOPIC, "public.follows", TABLE, ""))?;
    let streams = file.display().to_string();

    let written = produce(&brokers, TOPIC, messages(&follows)?).await?;
    let collector = Collector::start().await?;
    runs_to(world, "traced-1", 5, &streams, &collector.endpoint).await?;
    let spans = collector.spans();
    let told: Vec<String> = spans.iter().map(|span| format!("{span:?}")).collect();
    world.note(&told.join("\n"));
    batches(&spans, &written)?;
    stages(&spans)?;

    let deaf = TcpListener::bind("127.0.0.1:0")?;
    produce(&brokers, TOPIC, follows[5..].to_vec()).await?;
    let endpoint = format!("http://{}", deaf.local_addr()?);
    let log = runs_to(world, "traced-2", 6, &streams, &endpoint).await?;
    let complaints = log.matches("spans were not exported").count() + log.matches("spans cannot be").count();
    ensure!(complaints == 1, "{complaints} complaints:\n{log}");
    world.clickhouse()?.query(&format!("DROP TABLE nova.{TABLE} SYNC")).await?;
    Ok(())
}

fn parent(span: &str) -> String {
    format!("00-{span}-01")
}

/// Five that become rows, of which three name their spans, one lies about it and one is silent; and poison with a name.
fn messages(follows: &[Record]) -> Result<Vec<Record>> {
    let header = |name: &str, value: String| (name.to_owned(), Some(value.into_bytes()));
    let with = |at: usize, headers| Record { headers, ..follows[at].clone() };
    let stored = format!("#Sat Nov 21 15:00:00 UTC 2026\ntraceparent={}\n", parent(PROPERTIES));
    let mut value: Value = serde_json::from_slice(follows[2].value.as_deref().unwrap_or_default())?;
    value["after"]["tracingspancontext"] = json!(format!("traceparent={}\n", parent(FIELD)));
    let field = Record { value: Some(serde_json::to_vec(&value)?), ..follows[2].clone() };
    let poison = with(0, vec![header("traceparent", parent(POISON))]);
    Ok(vec![
        with(0, vec![header("traceparent", parent(HEADER)), header("tracestate", "rojo=1".to_owned())]),
        with(1, vec![header("tracingspancontext", stored)]),
        field,
        with(3, vec![header("traceparent", "00-zz".repeat(10_000))]),
        follows[4].clone(),
        Record { value: Some(b"no JSON at all".to_vec()), ..poison },
    ])
}

/// Runs the stream until the table holds so many rows, then ends it in order, quickly; answers its log.
async fn runs_to(world: &mut World, name: &str, rows: i64, streams: &str, endpoint: &str) -> Result<String> {
    let endpoint = format!("telemetry.otlp_endpoint={endpoint}");
    let args = ["--stream", "traced", "--from-beginning", "--streams", streams];
    let settings = [
        "kafka.group_prefix=traced",
        &endpoint,
        "telemetry.otlp_headers=authorization=Bearer 7",
        "telemetry.resource.deployment.environment.name=test",
    ];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let args: Vec<&str> = args.into_iter().chain(settings).collect();
    let worker = world.installation.run_worker(name, &args).await?;
    let sql = format!("SELECT count() FROM nova.{TABLE}");
    until(&format!("{rows} rows in {TABLE}"), s(30), async || {
        let found = clickhouse_number(world.clickhouse()?, &sql).await?;
        ensure!(found == rows, "{found} rows");
        Ok(())
    })
    .await?;
    let begun = Instant::now();
    let code = ended(&worker.process, Signal::SIGTERM).await?;
    ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
    ensure!(begun.elapsed() < s(15), "it took {:?} to end", begun.elapsed());
    Ok(std::fs::read_to_string(worker.process.log())?)
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn has(span: &Span, expected: &[(&str, &str)]) -> Result<()> {
    for (name, value) in expected {
        let found = span.attributes.get(*name).map(String::as_str);
        ensure!(found == Some(value), "`{}`: {name} is {found:?} instead of {value}", span.name);
    }
    Ok(())
}

/// The spans of batches, together, are linked to the four producers, and to nobody else.
fn batches(spans: &[Span], written: &[Record]) -> Result<()> {
    let batches = named(spans, &format!("process {TOPIC}"));
    let mut links = BTreeMap::new();
    let mut messages = 0;
    for batch in &batches {
        ensure!(batch.kind == SpanKind::Consumer && batch.parent.is_empty(), "{batch:?}");
        ensure!(batch.resource.get("service.name").is_some_and(|name| name == "nova"), "{batch:?}");
        let environment = batch.resource.get("deployment.environment.name").map(String::as_str);
        ensure!(environment == Some("test") && batch.authorization == "Bearer 7", "{batch:?}");
        has(
            batch,
            &[
                ("messaging.system", "kafka"),
                ("messaging.operation.name", "process"),
                ("messaging.operation.type", "process"),
                ("messaging.destination.name", TOPIC),
                ("messaging.consumer.group.name", "traced-traced"),
                ("nova.stream", "traced"),
            ],
        )?;
        let count = batch.attributes.get("messaging.batch.message_count").context("no count")?;
        messages += count.parse::<usize>()?;
        links.extend(batch.links.iter().map(|link| (link.to.as_str(), link)));
    }
    ensure!(messages == written.len(), "{messages} messages are counted");
    ensure!(links.len() == 4, "{links:?}");
    for (to, at, state) in [(HEADER, 0, "rojo=1"), (PROPERTIES, 1, ""), (FIELD, 2, ""), (POISON, 5, "")] {
        let link = links.get(to).with_context(|| format!("no link to {to}"))?;
        ensure!(link.state == state, "{link:?}");
        let offset = link.attributes.get("messaging.kafka.offset").context("no offset")?;
        ensure!(*offset == written[at].offset.to_string(), "{link:?} instead of {}", written[at].offset);
        ensure!(link.attributes["messaging.destination.partition.id"] == "0", "{link:?}");
    }
    Ok(())
}

/// Every stage is a span of its own under its batch; the last commit is linked to the batch that it settles.
fn stages(spans: &[Span]) -> Result<()> {
    let batches = named(spans, &format!("process {TOPIC}"));
    let of_batches = |span: &&Span| batches.iter().any(|batch| batch.id == span.parent);
    let messaging = |operation: &'static str, kind: &'static str| {
        [("messaging.operation.name", operation), ("messaging.operation.type", kind)]
    };
    for (name, kind, attributes) in [
        (format!("poll {TOPIC}"), SpanKind::Client, &messaging("poll", "receive")[..]),
        (format!("announce {TOPIC}"), SpanKind::Client, &messaging("announce", "settle")),
        ("send nova.dead-letters".to_owned(), SpanKind::Producer, &messaging("send", "send")),
        (
            format!("INSERT {TABLE}"),
            SpanKind::Client,
            &[
                ("db.system.name", "clickhouse"),
                ("db.operation.name", "INSERT"),
                ("db.collection.name", TABLE),
            ],
        ),
    ] {
        let found = named(spans, &name);
        ensure!(!found.is_empty() && found.iter().all(of_batches), "`{name}`: {found:?}");
        for span in found {
            ensure!(span.kind == kind, "{span:?}");
            has(span, attributes)?;
        }
    }
    let commits = named(spans, &format!("commit {TOPIC}"));
    let last = commits.last().context("no span of a commit")?;
    has(last, &messaging("commit", "settle"))?;
    let settled = |batch: &&Span| last.links.iter().any(|link| link.to.ends_with(&batch.id));
    ensure!(last.links.len() == 1 && batches.iter().any(settled), "{last:?}");
    Ok(())
}
