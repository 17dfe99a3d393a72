//! Windows that differ, split by the lowest bits of the rows' hashes.
//!
//! Equal rows have equal hashes, so they fall into the same bucket on both sides and cancel out; a row that differs makes
//! at most two buckets differ, the one of each side's version. So one pass finds some tens of rows around each
//! difference, whether the rows of a window are spread over a day or share one millisecond.

use std::collections::{BTreeMap, BTreeSet};

use crate::sums::Sum;

/// Rows that a bucket should have.
const BUCKET_ROWS: i64 = 32;
/// Buckets of one window at most.
const BUCKETS: i64 = 65_536;
/// Groups of one question at most, for the servers' memory and ours.
const GROUPS: i64 = 262_144;

/// A bucket of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) window: i64,
    pub(crate) bucket: i64,
}

/// Windows and how they are split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buckets {
    /// Ascending, at least one.
    pub(crate) windows: Vec<i64>,
    /// The bits of a hash that name the bucket.
    pub(crate) mask: i64,
}

impl Buckets {
    /// Splits windows, given with the rows that they have on the side that has more; in groups that one question can
    /// ask for.
    pub(crate) fn split(windows: &[(i64, i64)]) -> Vec<Self> {
        let mut split: Vec<Self> = Vec::new();
        for (window, rows) in windows {
            let wanted = (rows / BUCKET_ROWS).clamp(1, BUCKETS);
            let mask = wanted.cast_unsigned().next_power_of_two().cast_signed() - 1;
            match split.last_mut() {
                Some(last) if (last.mask.max(mask) + 1) * (last.len() + 1) <= GROUPS => {
                    last.mask = last.mask.max(mask);
                    last.windows.push(*window);
                }
                _ => split.push(Self { windows: vec![*window], mask }),
            }
        }
        split
    }

    pub(crate) fn first(&self) -> i64 {
        self.windows.first().copied().unwrap_or_default()
    }

    pub(crate) fn last(&self) -> i64 {
        self.windows.last().copied().unwrap_or_default()
    }

    /// One number for a place.
    pub(crate) fn code(&self, place: Place) -> i64 {
        place.window * (self.mask + 1) + place.bucket
    }

    fn len(&self) -> i64 {
        i64::try_from(self.windows.len()).unwrap_or(i64::MAX)
    }
}

/// The places where the two sides differ, with both.
pub(crate) fn differing(
    postgres: &BTreeMap<Place, Sum>,
    clickhouse: &BTreeMap<Place, Sum>,
) -> Vec<(Place, Sum, Sum)> {
    let places: BTreeSet<&Place> = postgres.keys().chain(clickhouse.keys()).collect();
    let of = |sums: &BTreeMap<Place, Sum>, place: &Place| sums.get(place).copied().unwrap_or_default();
    places
        .into_iter()
        .map(|place| (*place, of(postgres, place), of(clickhouse, place)))
        .filter(|(_, postgres, clickhouse)| postgres != clickhouse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_split_once_and_no_question_asks_for_too_many_groups() {
        let windows: Vec<(i64, i64)> = (0..1_000).map(|window| (window, window * window * 40)).collect();
        let split = Buckets::split(&windows);
        let all: Vec<i64> = split.iter().flat_map(|buckets| buckets.windows.clone()).collect();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        for buckets in &split {
            assert!((buckets.mask + 1) * buckets.len() <= GROUPS, "{buckets:?}");
            assert_eq!((buckets.mask + 1).count_ones(), 1);
        }
    }

    #[test]
    fn only_places_that_differ_are_looked_at() {
        let place = |bucket| Place { window: 7, bucket };
        let sum = |rows, checksum| Sum { rows, checksum };
        let postgres = BTreeMap::from([(place(0), sum(1, 5)), (place(1), sum(2, 6)), (place(2), sum(1, 1))]);
        let clickhouse =
            BTreeMap::from([(place(0), sum(1, 5)), (place(1), sum(2, 7)), (place(3), sum(0, 9))]);
        let found: Vec<i64> =
            differing(&postgres, &clickhouse).iter().map(|(place, ..)| place.bucket).collect();
        assert_eq!(found, [1, 2, 3]);
    }
}
