//! The dead-letter topic, read to its end as of the start, and the messages that letters are about.
//!
//! Invariant: reading touches no consumer group. Letters are handed on one by one, so memory does not grow with the topic.

use std::collections::BTreeMap;

use nova_pipeline::{DeadLetter, ErrorKind, PipelineError, Ranges, SourceMessage, Watermarks};

use crate::lag::{observe, offsets_by_time, partitions, watermarks};
use crate::options::KafkaConnection;
use crate::reread::{Demand, reread};
use crate::stored_letter::{ForeignMessage, StoredLetter, sha256};

/// Hands every message that the dead-letter topic holds now to `visit`, in order within a partition: as a letter, or as
/// one that is none. A letter that was written twice comes twice.
///
/// # Errors
/// What `visit` answers; `Misconfigured` for a missing topic, `AccessDenied`, `Unavailable`; `OffsetGap` when retention
/// takes letters away while they are read.
pub async fn read_letters(
    connection: &KafkaConnection,
    topic: &str,
    visit: &mut (dyn FnMut(Result<StoredLetter, ForeignMessage>) -> Result<(), PipelineError> + Send),
) -> Result<(), PipelineError> {
    let ranges: Ranges = held(connection, topic)
        .await?
        .into_iter()
        .map(|held| (held.partition, held.low..held.high))
        .collect();
    reread(connection, topic, &ranges, Demand::WhatIsThere, &mut |message| visit(StoredLetter::read(message)))
        .await
}

/// The same for what came at `since_ms` (milliseconds since 1970) or later, and of that for the newest `most` offsets of each
/// partition alone. Says whether that was all.
///
/// # Errors
/// As [`read_letters`].
pub async fn read_recent_letters(
    connection: &KafkaConnection,
    topic: &str,
    since_ms: i64,
    most: i64,
    visit: &mut (dyn FnMut(Result<StoredLetter, ForeignMessage>) -> Result<(), PipelineError> + Send),
) -> Result<bool, PipelineError> {
    let begins: BTreeMap<i32, i64> =
        offsets_by_time(connection, topic, since_ms).await?.into_iter().collect();
    let mut all = true;
    let mut ranges = Vec::new();
    for held in held(connection, topic).await? {
        let begin = begins.get(&held.partition).copied().unwrap_or(held.low).max(held.low);
        let from = begin.max(held.high - most);
        all &= from == begin;
        if from < held.high {
            ranges.push((held.partition, from..held.high));
        }
    }
    let ranges = ranges.into_iter().collect();
    reread(connection, topic, &ranges, Demand::WhatIsThere, &mut |message| {
        visit(StoredLetter::read(message))
    })
    .await?;
    Ok(all)
}

/// What the topic holds now, by partition, where it holds anything.
async fn held(connection: &KafkaConnection, topic: &str) -> Result<Vec<Watermarks>, PipelineError> {
    let of = topic.to_owned();
    let held = observe(connection, "nova.letters".to_owned(), topic.to_owned(), move |consumer| {
        let held = (0..partitions(consumer, &of)?).map(|partition| watermarks(consumer, &of, partition));
        held.collect::<Result<Vec<_>, _>>()
    })
    .await?;
    Ok(held.into_iter().filter(|held| held.low < held.high).collect())
}

/// The message that a letter is about, as its own topic has it: for a letter that does not hold it whole.
///
/// # Errors
/// `OffsetGap` where the topic has it no more, or another message in its place; `Misconfigured` for a missing topic,
/// `AccessDenied`, `Unavailable`.
pub async fn original(
    connection: &KafkaConnection,
    stored: &StoredLetter,
) -> Result<DeadLetter, PipelineError> {
    let letter = &stored.letter;
    let place = stored.place();
    let gap = |what: &str| PipelineError::new(ErrorKind::OffsetGap, format!("{place}: {what}"));
    let range: Ranges =
        [(letter.partition, letter.offset..letter.offset.saturating_add(1))].into_iter().collect();
    let mut found = None;
    let mut keep = |message: &dyn SourceMessage| {
        found = Some(whole(letter, message));
        Ok(())
    };
    match reread(connection, &letter.topic, &range, Demand::WhatIsThere, &mut keep).await {
        Err(error) if error.kind == ErrorKind::OffsetGap => {}
        read => read?,
    }
    let found = found
        .ok_or_else(|| gap("the letter does not hold the whole message, and its topic holds it no more"))?;
    if sha256(found.value.as_deref()) != stored.value_sha256() {
        return Err(gap(
            "the letter does not hold the whole message, and its topic has another one at this offset: it was deleted and made again",
        ));
    }
    Ok(found)
}

fn whole(letter: &DeadLetter, message: &dyn SourceMessage) -> DeadLetter {
    DeadLetter {
        key: message.key().map(<[u8]>::to_vec),
        value: message.value().map(<[u8]>::to_vec),
        headers: message.headers(),
        ..letter.clone()
    }
}
