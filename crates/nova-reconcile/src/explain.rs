//! Which differences a dead letter explains: the key's latest message is in the dead-letter topic and not in the table.
//!
//! Invariant: a letter explains a difference only if no row of the key comes from it or from a later message.

use std::collections::{HashMap, HashSet};

use nova_kafka::{KafkaConnection, read_letters};
use nova_pipeline::{DeadLetter, SourceMessage as _};
use nova_streams::{Format, Stream, source_key};
use serde_json::Value;
use uuid::Uuid;

use crate::ReconcileError;
use crate::report::{Difference, Explanation, StreamReport, Verdict};

/// The latest letter of each of these keys.
type Letters = HashMap<Uuid, (i32, i64, String)>;

/// Looks the report's differences up in the dead-letter topic.
///
/// # Errors
/// The topic cannot be read.
pub(crate) async fn explain(
    kafka: &KafkaConnection,
    dead_letter_topic: &str,
    stream: &Stream,
    report: &mut StreamReport,
) -> Result<(), ReconcileError> {
    if report.differences.is_empty() {
        return Ok(());
    }
    let wanted: HashSet<Uuid> = report.differences.iter().map(|difference| difference.source_key).collect();
    let mut letters = Letters::new();
    read_letters(kafka, dead_letter_topic, &mut |found| {
        if let Ok(stored) = found
            && stored.letter.topic == stream.topic
            && let Some(key) = key_of(stream, &stored.letter).filter(|key| wanted.contains(key))
        {
            let DeadLetter { partition, offset, reason, .. } = stored.letter;
            let latest = letters.entry(key).or_insert((partition, offset, String::new()));
            if offset >= latest.1 {
                *latest = (partition, offset, reason);
            }
        }
        Ok(())
    })
    .await?;
    let mut explained = 0;
    for difference in &mut report.differences {
        difference.explained = explanation(&stream.topic, difference, &letters);
        if difference.explained.is_some() {
            explained += 1;
            if let Some(window) = report.windows.get_mut(difference.window) {
                window.tally.explained += 1;
            }
        }
    }
    report.tally.explained = explained;
    if explained == report.tally.total() {
        report.verdict = Verdict::Explained;
    }
    Ok(())
}

fn explanation(topic: &str, difference: &Difference, letters: &Letters) -> Option<Explanation> {
    let (partition, offset, reason) = letters.get(&difference.source_key)?;
    let place = format!("{topic}/{partition}/");
    let is_later = difference.clickhouse.iter().flat_map(|state| &state.messages).all(|message| {
        message.strip_prefix(&place).and_then(|row| row.parse::<i64>().ok()).is_none_or(|row| row < *offset)
    });
    is_later.then(|| Explanation { message: format!("{place}{offset}"), reason: reason.clone() })
}

/// The identity of the row that a letter's message is about: from the message's key, of an event from the document, or
/// else from the header that has the outbox's.
fn key_of(stream: &Stream, letter: &DeadLetter) -> Option<Uuid> {
    if stream.format == Format::Envelope {
        let document: Option<Value> =
            letter.value.as_deref().and_then(|value| serde_json::from_slice(value).ok());
        let own = document.as_ref().and_then(|document| document.get("event_id")?.as_str());
        let own = own.filter(|id| id.len() == 36).and_then(|id| Uuid::try_parse(id).ok());
        let header = || {
            let text = std::str::from_utf8(letter.header("id")?).ok()?;
            Uuid::try_parse(text.trim_matches('"')).ok()
        };
        return own.or_else(header);
    }
    let key: Value = serde_json::from_slice(letter.key.as_deref()?).ok()?;
    let fields = key.get("payload").unwrap_or(&key);
    let text = |name: &String| match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let parts: Vec<String> = stream.key.iter().map(text).collect::<Option<_>>()?;
    Some(source_key(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DifferenceKind, TableRow};

    #[test]
    fn only_a_letter_that_is_later_than_every_row_explains() {
        let key = Uuid::from_u128(7);
        let letters = Letters::from([(key, (3, 40, "no time".to_owned()))]);
        let difference = |messages: &[&str]| Difference {
            kind: DifferenceKind::Different,
            window: 0,
            source_key: key,
            key: Vec::new(),
            postgres: None,
            clickhouse: vec![TableRow {
                sum: 1,
                columns: Vec::new(),
                messages: messages.iter().map(|text| (*text).to_owned()).collect(),
            }],
            explained: None,
        };
        let found = |messages: &[&str]| explanation("cdc.likes", &difference(messages), &letters);
        assert_eq!(found(&["cdc.likes/3/39"]).unwrap().message, "cdc.likes/3/40");
        assert_eq!(found(&["cdc.likes/3/39", "cdc.likes/3/41"]), None);
        assert_eq!(found(&["cdc.likes/3/40"]), None, "the letter was retried");
    }
}
