//! The offset ranges of one batch, by partition of one topic, and the batch's name made of them.

use std::collections::BTreeMap;
use std::ops::Range;

use sha2::{Digest, Sha256};

/// Half-open offset ranges, by partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<i32, Range<i64>>);

impl Ranges {
    /// Extends the partition's range by the message at `offset`; offsets arrive in ascending order, with gaps.
    pub fn extend(&mut self, partition: i32, offset: i64) {
        let end = offset.saturating_add(1);
        self.0.entry(partition).and_modify(|range| range.end = end).or_insert(offset..end);
    }

    /// The ranges, by partition.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Range<i64>)> {
        self.0.iter().map(|(partition, range)| (*partition, range))
    }

    /// The start of the partition's range: the offset of its first message.
    #[must_use]
    pub fn start(&self, partition: i32) -> Option<i64> {
        self.0.get(&partition).map(|range| range.start)
    }

    /// The end of the partition's range: the offset after its last message.
    #[must_use]
    pub fn end(&self, partition: i32) -> Option<i64> {
        self.0.get(&partition).map(|range| range.end)
    }

    /// The ranges as places of a topic, for people: `cdc.likes[0]@100..250, cdc.likes[3]@40..90`; of many, the first.
    #[must_use]
    pub fn places(&self, topic: &str) -> String {
        const SHOWN: usize = 3;
        let place = |(partition, range): (&i32, &Range<i64>)| {
            format!("{topic}[{partition}]@{}..{}", range.start, range.end)
        };
        let shown: Vec<String> = self.0.iter().take(SHOWN).map(place).collect();
        match self.0.len().saturating_sub(SHOWN) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }

    /// Whether the message belongs to the batch.
    #[must_use]
    pub fn contains(&self, partition: i32, offset: i64) -> bool {
        self.0.get(&partition).is_some_and(|range| range.contains(&offset))
    }

    /// Whether there is nothing in the batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The batch's name for ClickHouse's de-duplication: a digest of topic, table and ranges, the same whenever the
    /// same batch is formed again. 32 hexadecimal digits.
    #[must_use]
    pub fn token(&self, topic: &str, table: &str) -> String {
        let mut digest = Sha256::new();
        for part in [topic, table] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        for (partition, range) in &self.0 {
            digest.update(partition.to_be_bytes());
            digest.update(range.start.to_be_bytes());
            digest.update(range.end.to_be_bytes());
        }
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromIterator<(i32, Range<i64>)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (i32, Range<i64>)>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_topic_table_and_ranges() {
        let mut one = Ranges::default();
        one.extend(0, 1);
        let mut two = one.clone();
        assert_eq!(one.token("t", "x"), two.token("t", "x"));
        two.extend(0, 2);
        assert_ne!(one.token("t", "x"), two.token("t", "x"));
        assert_ne!(one.token("t", "x"), one.token("t", "y"));
        assert_ne!(one.token("tx", ""), one.token("t", "x"));
    }
}
