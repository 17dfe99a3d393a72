//! What stands beside a committed offset: how far the source had come, and the batch that was announced; compact,
//! versioned, below Kafka's limit.
//!
//! Form, version 2: `n2 <position>`, and while a batch is open
//! `n2 <position> <created ms> <mapping, hex> <partition>:<start>+<length>,…`, for example
//! `n2 16e3600.16e36a8.2fe.0.0 1700000000000 9f3c 0:100+150,3:40+50`. The position is that of the partition at the
//! committed offset. Text whose first word this release does not read ([`super::form`]) is refused, since guessing at an
//! intent could lose or double its batch.

use thiserror::Error;

use super::Ranges;
use super::form::release;
use crate::Position;

/// Kafka's default for `offset.metadata.max.bytes`.
const LIMIT_BYTES: usize = 4096;

/// A batch that was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// When it was announced, by the worker's clock, in milliseconds since 1970. For people; nothing is decided by it.
    pub created_ms: i64,
    /// The fingerprint of the mapping that made its rows.
    pub mapping: u64,
    /// Its ranges.
    pub ranges: Ranges,
}

/// An intent that cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IntentError {
    /// Too many partitions for one batch.
    #[error(
        "its description takes {bytes} bytes, and Kafka stores {LIMIT_BYTES} beside an offset; run more members, so \
         that each owns fewer partitions"
    )]
    TooLarge {
        /// What it would take.
        bytes: usize,
    },
    /// Written by another version, or by another program.
    #[error(
        "`{0}` is of no form that this version knows; run the version of nova that wrote it, or the one before that, \
         until it has taken the partitions over"
    )]
    Unknown(String),
}

impl Intent {
    /// The open batch that the metadata of a committed offset names, if any; empty metadata is somebody else's and names
    /// none.
    ///
    /// # Errors
    /// [`IntentError::Unknown`].
    pub fn decode(metadata: &str) -> Result<Option<Self>, IntentError> {
        Ok(Metadata::decode(metadata)?.and_then(|metadata| metadata.intent))
    }

    fn parse<'t>(mut words: impl Iterator<Item = &'t str>) -> Option<Self> {
        let created_ms = words.next()?.parse().ok()?;
        let mapping = u64::from_str_radix(words.next()?, 16).ok()?;
        let ranges = words.next()?.split(',').map(range).collect::<Option<Ranges>>()?;
        words.next().is_none().then_some(Self { created_ms, mapping, ranges })
    }

    /// The intent's part of the metadata, the same beside every offset of its batch.
    pub(super) fn text(&self) -> String {
        let ranges: Vec<String> = self
            .ranges
            .iter()
            .map(|(partition, range)| format!("{partition}:{}+{}", range.start, range.end - range.start))
            .collect();
        format!(" {} {:x} {}", self.created_ms, self.mapping, ranges.join(","))
    }
}

/// What Nova stores beside a committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// How far the source had come in this partition at the committed offset.
    pub(crate) position: Position,
    /// The batch that begins there.
    pub(crate) intent: Option<Intent>,
}

impl Metadata {
    /// The text beside an offset where no batch is open.
    pub(crate) fn closed(position: &Position) -> String {
        format!("{} {position}", release().writes)
    }

    /// Whether the text is of the form that this release writes.
    pub(super) fn is_ours(text: &str) -> bool {
        text.split(' ').next() == Some(release().writes)
    }

    /// The text beside the start of a batch; `intent` is [`Intent::text`].
    pub(super) fn open(position: &Position, intent: &str) -> Result<String, IntentError> {
        let text = format!("{} {position}{intent}", release().writes);
        if text.len() < LIMIT_BYTES { Ok(text) } else { Err(IntentError::TooLarge { bytes: text.len() }) }
    }

    /// Reads the text back; `None` where there is none.
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, IntentError> {
        if text.is_empty() {
            return Ok(None);
        }
        Self::parse(text).map(Some).ok_or_else(|| IntentError::Unknown(text.chars().take(80).collect()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if !release().reads.contains(&words.next()?) {
            return None;
        }
        let position = Position::parse(words.next()?)?;
        let mut words = words.peekable();
        let intent = if words.peek().is_some() { Some(Intent::parse(words)?) } else { None };
        Some(Self { position, intent })
    }
}

/// `3:40+50` → `(3, 40..90)`.
fn range(text: &str) -> Option<(i32, std::ops::Range<i64>)> {
    let (partition, range) = text.split_once(':')?;
    let (start, length) = range.split_once('+')?;
    let (partition, start, length): (i32, i64, i64) =
        (partition.parse().ok()?, start.parse().ok()?, length.parse().ok()?);
    let legal = partition >= 0 && start >= 0 && length > 0;
    legal.then_some((partition, start..start.checked_add(length)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::form::{READS_NEXT, SHIPPED, WRITES_NEXT, acting_as};
    use super::*;

    fn intent(partitions: i32) -> Intent {
        let ranges = (0..partitions).map(|partition| (partition, 1_000_000_000..1_000_100_000)).collect();
        Intent { created_ms: 1_700_000_000_000, mapping: u64::MAX, ranges }
    }

    fn position(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    #[test]
    fn the_form_is_what_other_versions_read() {
        let ranges = [(0, 100..250), (3, 40..90)].into_iter().collect();
        let intent = Intent { created_ms: 1_700_000_000_000, mapping: 0x9f3c, ranges };
        let position = position("16e3600.16e36a8.2fe.0.0");
        let text = "n2 16e3600.16e36a8.2fe.0.0 1700000000000 9f3c 0:100+150,3:40+50";
        assert_eq!(Metadata::open(&position, &intent.text()).as_deref(), Ok(text));
        assert_eq!(Intent::decode(text), Ok(Some(intent.clone())));
        assert_eq!(
            Metadata::decode(text),
            Ok(Some(Metadata { position: position.clone(), intent: Some(intent) }))
        );
        let closed = "n2 16e3600.16e36a8.2fe.0.0";
        assert_eq!(Metadata::closed(&position), closed);
        assert_eq!(Intent::decode(closed), Ok(None));
        assert_eq!(Metadata::decode(closed), Ok(Some(Metadata { position, intent: None })));
        assert_eq!(Metadata::decode(""), Ok(None));
    }

    #[test]
    fn a_hundred_partitions_fit_and_too_many_are_refused_with_a_cure() {
        let f = "ffffffffffffffff";
        let longest = format!("{f}.{f}.{f}.{f}.7{}!{}", &f[1..], format!(".{f}").repeat(8));
        let text = Metadata::open(&position(&longest), &intent(100).text()).unwrap();
        assert!(text.len() > 2_000);
        let error = Metadata::open(&Position::default(), &intent(1_000).text()).unwrap_err().to_string();
        assert!(error.contains("4096") && error.contains("more members"), "{error}");
    }

    #[test]
    fn what_is_no_metadata_of_ours_is_refused() {
        for text in ["n1 0 0 0:0+1", "n3 0.0.-.0.0", "n2", "n2 ", "n2 0.0.-.0.0 ", "n2 0.0.-.0.0 0 0", "x"] {
            assert!(Metadata::decode(text).is_err(), "{text}");
        }
        for ranges in ["", "0:0+0", "-1:0+1", "0:5", "0:0+1 x"] {
            assert!(Metadata::decode(&format!("n2 0.0.-.0.0 0 0 {ranges}")).is_err(), "{ranges}");
        }
        assert!(Metadata::decode(&format!("n2 0.0.-.0.0 0 0 0:{}+{}", i64::MAX, i64::MAX)).is_err());
    }

    #[test]
    fn neighbouring_releases_read_each_other_and_one_that_skips_is_refused() {
        let intent = intent(3);
        for writer in [SHIPPED, READS_NEXT, WRITES_NEXT] {
            let position = position("7.0.-.0.0");
            let open = acting_as(writer, || Metadata::open(&position, &intent.text()).unwrap());
            let closed = acting_as(writer, || Metadata::closed(&position));
            assert!(open.starts_with(writer.writes) && closed.starts_with(writer.writes), "{open}");
            for reader in [SHIPPED, READS_NEXT, WRITES_NEXT] {
                let read = acting_as(reader, || (Intent::decode(&open), Metadata::decode(&closed)));
                if (reader, writer) == (SHIPPED, WRITES_NEXT) {
                    let (error, other) = (read.0.unwrap_err().to_string(), read.1.unwrap_err().to_string());
                    assert!(error.contains("`n3 7.0") && error.contains("the one before"), "{error}");
                    assert!(other.contains("`n3 7.0"), "{other}");
                } else {
                    let closed = Metadata { position: position.clone(), intent: None };
                    assert_eq!(
                        read,
                        (Ok(Some(intent.clone())), Ok(Some(closed))),
                        "{reader:?} of {writer:?}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            created_ms in 0i64..i64::MAX, mapping: u64,
            ranges in prop::collection::btree_map(0i32..10_000, (0i64..1 << 60, 1i64..1 << 60), 1..60),
        ) {
            let ranges = ranges.into_iter().map(|(partition, (start, length))| (partition, start..start + length));
            let intent = Intent { created_ms, mapping, ranges: ranges.collect() };
            let text = Metadata::open(&Position::default(), &intent.text()).unwrap();
            prop_assert_eq!(Intent::decode(&text), Ok(Some(intent)));
        }

        #[test]
        fn never_panics(text in "(n2 )?\\PC{0,80}") {
            let _ = Metadata::decode(&text);
        }
    }
}
