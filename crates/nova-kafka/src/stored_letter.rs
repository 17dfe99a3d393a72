//! A dead letter as it is read back: the inverse of `letter.rs`.
//!
//! Invariant: whatever the original headers are called, Nova's own are told from them: its block begins with the *last*
//! `nova.stream`, since the original ones come first. A message that does not say which message it is about is no letter.

use std::fmt::Write;

use nova_pipeline::{DeadLetter, ErrorKind, SourceMessage};
use sha2::{Digest, Sha256};

/// A letter, and where it lies in the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLetter {
    /// Its partition in the dead-letter topic.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The message that was put aside, and why. `value` is what is left of it, if it was cut.
    pub letter: DeadLetter,
    /// When it was written, in milliseconds since 1970: `nova.time`, or the time that Kafka has.
    pub time_ms: Option<i64>,
    /// The version of Nova that wrote it; empty if it does not say.
    pub version: String,
    /// What is known of a value that was too large for the topic.
    pub cut: Option<Cut>,
    /// Headers that every letter has today, and this one has not.
    pub lacks: Vec<&'static str>,
}

/// What is known of a value of which the letter holds the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The value's length in bytes; 0 if the letter does not say.
    pub length: u64,
    /// The whole value's SHA-256, in hexadecimal; empty if the letter does not say.
    pub sha256: String,
}

/// A message of the dead-letter topic that is no letter of Nova's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignMessage {
    /// Its partition in the dead-letter topic.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// What it lacks.
    pub reason: String,
}

type Headers = Vec<(String, Option<Vec<u8>>)>;

impl StoredLetter {
    /// Reads a message of the dead-letter topic.
    ///
    /// # Errors
    /// A message that does not name topic, partition and offset of another, by its headers or by its key.
    pub fn read(message: &dyn SourceMessage) -> Result<Self, ForeignMessage> {
        let (original, own) = split(message.headers());
        let own = Own(own);
        let (partition, offset) = (message.partition(), message.offset());
        let Some(place) = own.place().or_else(|| place_of(message.key()?)) else {
            let reason = match message.value() {
                None => "a tombstone: it marks a key for Kafka's log compaction",
                Some(_) => {
                    "neither its headers (nova.topic, nova.partition, nova.offset) nor its key (topic/partition/offset) name a message"
                }
            };
            return Err(ForeignMessage { partition, offset, reason: reason.to_owned() });
        };
        let lacks = REQUIRED.into_iter().filter(|name| own.get(name).is_none()).collect();
        let letter = DeadLetter {
            stream: own.text("nova.stream"),
            topic: place.0,
            partition: place.1,
            offset: place.2,
            key: own.get("nova.original.key").cloned().flatten(),
            value: message.value().map(<[u8]>::to_vec),
            headers: original,
            kind: ErrorKind::named(&own.text("nova.error.kind")).unwrap_or(ErrorKind::Unknown),
            reason: own.text("nova.reason"),
            path: own.text("nova.path"),
        };
        let cut = own.get("nova.truncated").map(|_| Cut {
            length: own.text("nova.value.length").parse().unwrap_or(0),
            sha256: own.text("nova.value.sha256"),
        });
        let time_ms = own.time_ms().or_else(|| message.timestamp_ms());
        Ok(Self { partition, offset, letter, time_ms, version: own.text("nova.version"), cut, lacks })
    }

    /// SHA-256 of the whole original value (of nothing, if it had none), in hexadecimal. With stream and coordinates it
    /// tells letters apart: one that was written twice is the same, one of a topic that was made again is another.
    #[must_use]
    pub fn value_sha256(&self) -> String {
        match &self.cut {
            Some(cut) => cut.sha256.clone(),
            None => sha256(self.letter.value.as_deref()),
        }
    }

    /// `topic/partition/offset` of the message that was put aside.
    #[must_use]
    pub fn place(&self) -> String {
        crate::letter::key(&self.letter)
    }

    /// Whether key and value of the message are in the letter, whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.cut.is_none() && !self.lacks.contains(&"nova.original.key")
    }
}

/// The headers of every letter.
const REQUIRED: [&str; 10] = [
    "nova.stream",
    "nova.topic",
    "nova.partition",
    "nova.offset",
    "nova.error.kind",
    "nova.reason",
    "nova.path",
    "nova.original.key",
    "nova.time",
    "nova.version",
];

/// The original headers, and Nova's.
fn split(mut headers: Headers) -> (Headers, Headers) {
    let last = headers.iter().rposition(|(name, _)| name == "nova.stream");
    // A letter without a stream: whatever is called so at the end.
    let tail = || headers.iter().rposition(|(name, _)| !name.starts_with("nova.")).map_or(0, |at| at + 1);
    let at = last.unwrap_or_else(tail);
    let own = headers.split_off(at);
    (headers, own)
}

/// Nova's headers, by name.
struct Own(Headers);

impl Own {
    fn get(&self, name: &str) -> Option<&Option<Vec<u8>>> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> String {
        let value = self.get(name).and_then(Option::as_deref).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    }

    fn place(&self) -> Option<(String, i32, i64)> {
        let topic = self.text("nova.topic");
        let (partition, offset) = (self.text("nova.partition"), self.text("nova.offset"));
        checked(topic, partition.parse().ok()?, offset.parse().ok()?)
    }

    fn time_ms(&self) -> Option<i64> {
        let time = humantime::parse_rfc3339(&self.text("nova.time")).ok()?;
        i64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
    }
}

/// `topic/partition/offset`.
fn place_of(key: &[u8]) -> Option<(String, i32, i64)> {
    let mut parts = str::from_utf8(key).ok()?.split('/');
    let place = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    if parts.next().is_some() {
        return None;
    }
    checked(place.0.to_owned(), place.1, place.2)
}

fn checked(topic: String, partition: i32, offset: i64) -> Option<(String, i32, i64)> {
    (!topic.is_empty() && partition >= 0 && offset >= 0).then_some((topic, partition, offset))
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(value: Option<&[u8]>) -> String {
    let digest = Sha256::digest(value.unwrap_or_default());
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "stored_letter_tests.rs"]
mod tests;
