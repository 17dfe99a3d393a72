//! At every sample, whatever was committed was in ClickHouse; and no committed offset ever went back.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::chaos::evidence::Evidence;
use crate::chaos::offsets::Committed;

pub(in crate::chaos) fn check(evidence: &Evidence) -> Check {
    let mut rows: BTreeMap<(String, i64), BTreeSet<(u64, u8)>> = BTreeMap::new();
    for (table, events) in &evidence.rows {
        for event in events {
            let key = (table.topic().to_owned(), i64::from(event.partition));
            rows.entry(key).or_default().insert((event.offset, event.ordinal));
        }
    }
    let mut findings = Vec::new();
    let mut last: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for sample in &evidence.samples {
        let position = &sample.position;
        let before = u64::try_from(position.offset).unwrap_or_default();
        let key = (position.topic.clone(), i64::from(position.partition));
        let must = rows.get(&key).map_or(0, |rows| rows.range(..(before, 0)).count() as u64);
        let at = sample.at.as_secs_f64();
        let previous = last.insert((&position.topic, position.partition), position.offset);
        if let Some(previous) = previous.filter(|previous| *previous > position.offset) {
            let Committed { topic, partition, offset } = position;
            findings.push(format!("at {at:.1} s {topic}[{partition}] went back from {previous} to {offset}"));
        }
        if sample.rows < must {
            findings.push(format!(
                "at {at:.1} s {}[{}] was committed up to {before} with {} of {must} rows in ClickHouse",
                position.topic, position.partition, sample.rows
            ));
        }
    }
    let moments: BTreeSet<_> = evidence.samples.iter().map(|sample| sample.at).collect();
    if moments.is_empty() {
        findings.push("no sample was taken".to_owned());
    }
    let figures = format!("{} samples at {} moments", evidence.samples.len(), moments.len());
    Check::new("committed ≤ durable", figures, &findings)
}
