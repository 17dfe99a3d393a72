//! Messages that cannot become rows: each is put aside, whole, and its stream goes on.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::admin::metric;
use crate::checks::{equal, goes_on};
use crate::topics::{Record, produce, read_all};
use crate::wait::{s, until};
use crate::world::World;

const TOPIC: &str = "cdc.likes";

/// GIVEN poison among real changes / THEN every piece lies in the dead-letter topic as it was, with its reason.
pub(crate) async fn poison(world: &mut World) -> Result<()> {
    world.traffic(1, 100.0).await?;
    equal(world).await?;
    let brokers = world.brokers()?;
    let poison = poison_like(&genuine(&brokers)?)?;
    let kinds: Vec<&str> = poison.iter().map(|(kind, _)| *kind).collect();
    let counted = counts(world, &kinds).await;
    let written = produce(&brokers, TOPIC, poison.into_iter().map(|(_, record)| record).collect()).await?;

    let letters = until("all poison in the dead-letter topic", s(30), async || {
        let letters = read_all(&brokers, "nova.dead-letters")?;
        written.iter().map(|record| letter_of(&letters, record)).collect::<Result<Vec<_>>>()
    })
    .await?;
    for ((record, letter), kind) in written.iter().zip(&letters).zip(&kinds) {
        whole(record, letter, kind).with_context(|| format!("{record:?} became {letter:?}"))?;
    }
    until("the metric counts them", s(10), async || {
        let now = counts(world, &kinds).await;
        for kind in ["malformed", "unmappable"] {
            let sent = kinds.iter().filter(|sent| **sent == kind).count();
            let counted = now(kind) - counted(kind);
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let right = (counted - sent as f64).abs() < 0.5;
            ensure!(right, "{counted} of kind {kind} are counted, {sent} were sent");
        }
        Ok(())
    })
    .await?;
    tombstone(world, &brokers).await?;
    goes_on(world).await
}

/// An insert as Debezium wrote it.
fn genuine(brokers: &str) -> Result<Record> {
    let mut inserts = read_all(brokers, TOPIC)?.into_iter().filter(|record| {
        let value = record.value.as_deref().unwrap_or_default();
        serde_json::from_slice::<Value>(value).is_ok_and(|value| value["op"] == "c")
    });
    inserts.next_back().context("no insert of a like in Kafka")
}

/// The kind that each must be refused with, and the message.
fn poison_like(genuine: &Record) -> Result<Vec<(&'static str, Record)>> {
    let value: Value = serde_json::from_slice(genuine.value.as_deref().unwrap_or_default())?;
    let but = |path: &str, new: Value| -> Result<Vec<u8>> {
        let mut value = value.clone();
        *value.pointer_mut(path).with_context(|| format!("no {path}"))? = new;
        Ok(serde_json::to_vec(&value)?)
    };
    let values = [
        ("malformed", b"no JSON at all \xff\x00".to_vec()),
        ("malformed", b"{\"op\":\"c\",\"after\":{".to_vec()),
        ("malformed", br#"{"hello":"world"}"#.to_vec()),
        ("malformed", but("/op", json!("x"))?),
        ("malformed", but("/source", json!("elsewhere"))?),
        ("unmappable", but("/after/post_id", json!(5))?),
        ("unmappable", but("/after/post_id", json!("no uuid"))?),
        ("unmappable", but("/after/created_at", json!("yesterday"))?),
    ];
    let headers = vec![("trace".to_owned(), Some(vec![0xff, 0x00])), ("empty".to_owned(), None)];
    let record =
        |(kind, value)| (kind, Record { value: Some(value), headers: headers.clone(), ..genuine.clone() });
    Ok(values.into_iter().map(record).collect())
}

fn letter_of(letters: &[Record], record: &Record) -> Result<Record> {
    let place = format!("{TOPIC}/{}/{}", record.partition, record.offset);
    let mut found = letters.iter().filter(|letter| letter.key.as_deref() == Some(place.as_bytes()));
    found.next().cloned().with_context(|| format!("no dead letter {place}"))
}

fn whole(record: &Record, letter: &Record, kind: &str) -> Result<()> {
    ensure!(letter.value == record.value, "the value is not what it was");
    ensure!(letter.headers.starts_with(&record.headers), "the headers are not what they were");
    let original = letter.headers.iter().find(|(key, _)| key == "nova.original.key");
    ensure!(original.map(|(_, key)| key) == Some(&record.key), "the key is not what it was");
    for (name, expected) in [
        ("nova.stream", "likes"),
        ("nova.topic", TOPIC),
        ("nova.partition", &record.partition.to_string()),
        ("nova.offset", &record.offset.to_string()),
        ("nova.error.kind", kind),
    ] {
        let found = letter.header(name);
        ensure!(found.as_deref() == Some(expected), "{name} is {found:?} instead of {expected}");
    }
    ensure!(letter.header("nova.reason").is_some_and(|reason| reason.len() > 10), "no reason is given");
    Ok(())
}

/// Dead letters counted so far, by kind.
async fn counts(world: &World, kinds: &[&'static str]) -> impl Fn(&str) -> f64 + use<> {
    let mut counts = Vec::new();
    for kind in kinds {
        let labels = [("stream", "likes"), ("kind", *kind)];
        let count = metric(&world.worker().admin, "nova_dead_letters_total", &labels).await;
        counts.push((*kind, count.unwrap_or_default()));
    }
    move |kind| counts.iter().find(|(known, _)| *known == kind).map_or(0.0, |(_, count)| *count)
}

/// A message without a value is no poison: it is skipped, and counted.
async fn tombstone(world: &World, brokers: &str) -> Result<()> {
    let labels = [("stream", "likes"), ("reason", "tombstone")];
    let count = async || metric(&world.worker().admin, "component_discarded_events_total", &labels).await;
    let before = count().await.unwrap_or_default();
    let record = Record { key: Some(b"{\"id\":1}".to_vec()), ..Record::default() };
    produce(brokers, TOPIC, vec![record]).await?;
    until("the tombstone is counted", s(10), async || {
        let now = count().await?;
        ensure!(now > before, "{now} tombstones are counted");
        Ok(())
    })
    .await
}
