//! A batch as it stands in the metadata of committed offsets: compact, versioned, below Kafka's limit.
//!
//! Form, version 1: `n1 <created ms> <mapping, hex> <partition>:<start>+<length>,…`, for example
//! `n1 1700000000000 9f3c 0:100+150,3:40+50`. A newer version begins with another first word; it is refused, since
//! guessing at an intent could lose or double its batch.

use thiserror::Error;

use super::Ranges;

/// Kafka's default for `offset.metadata.max.bytes`.
const LIMIT_BYTES: usize = 4096;
const VERSION: &str = "n1";

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
        "`{0}` is no intent that this version knows; run the version of nova that wrote it until it has drained"
    )]
    Unknown(String),
}

impl Intent {
    /// The text for the metadata.
    ///
    /// # Errors
    /// [`IntentError::TooLarge`].
    pub fn encode(&self) -> Result<String, IntentError> {
        let ranges: Vec<String> = self
            .ranges
            .iter()
            .map(|(partition, range)| format!("{partition}:{}+{}", range.start, range.end - range.start))
            .collect();
        let text = format!("{VERSION} {} {:x} {}", self.created_ms, self.mapping, ranges.join(","));
        if text.len() < LIMIT_BYTES { Ok(text) } else { Err(IntentError::TooLarge { bytes: text.len() }) }
    }

    /// Reads the text back.
    ///
    /// # Errors
    /// [`IntentError::Unknown`].
    pub fn decode(text: &str) -> Result<Self, IntentError> {
        Self::parse(text).ok_or_else(|| IntentError::Unknown(text.chars().take(80).collect()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let created_ms = words.next()?.parse().ok()?;
        let mapping = u64::from_str_radix(words.next()?, 16).ok()?;
        let ranges = words.next()?.split(',').map(range).collect::<Option<Ranges>>()?;
        words.next().is_none().then_some(Self { created_ms, mapping, ranges })
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

    use super::*;

    fn intent(partitions: i32) -> Intent {
        let ranges = (0..partitions).map(|partition| (partition, 1_000_000_000..1_000_100_000)).collect();
        Intent { created_ms: 1_700_000_000_000, mapping: u64::MAX, ranges }
    }

    #[test]
    fn the_form_is_what_other_versions_read() {
        let ranges = [(0, 100..250), (3, 40..90)].into_iter().collect();
        let intent = Intent { created_ms: 1_700_000_000_000, mapping: 0x9f3c, ranges };
        let text = "n1 1700000000000 9f3c 0:100+150,3:40+50";
        assert_eq!(intent.encode().as_deref(), Ok(text));
        assert_eq!(Intent::decode(text), Ok(intent));
    }

    #[test]
    fn a_hundred_partitions_fit_and_too_many_are_refused_with_a_cure() {
        assert!(intent(100).encode().is_ok());
        let error = intent(1_000).encode().unwrap_err().to_string();
        assert!(error.contains("4096") && error.contains("more members"), "{error}");
    }

    #[test]
    fn what_is_no_intent_is_refused() {
        for text in
            ["n2 0 0 0:0+1", "n1", "n1 0 0 ", "n1 0 0 0:0+0", "n1 0 0 -1:0+1", "n1 0 0 0:5", "n1 0 0 0:0+1 x"]
        {
            assert!(Intent::decode(text).is_err(), "{text}");
        }
        assert!(Intent::decode(&format!("n1 0 0 0:{}+{}", i64::MAX, i64::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            created_ms in 0i64..i64::MAX, mapping: u64,
            ranges in prop::collection::btree_map(0i32..10_000, (0i64..1 << 60, 1i64..1 << 60), 1..60),
        ) {
            let ranges = ranges.into_iter().map(|(partition, (start, length))| (partition, start..start + length));
            let intent = Intent { created_ms, mapping, ranges: ranges.collect() };
            prop_assert_eq!(Intent::decode(&intent.encode().unwrap()), Ok(intent));
        }

        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = Intent::decode(&text);
        }
    }
}
