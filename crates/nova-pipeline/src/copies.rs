//! Messages of one burst, copied out of the source's buffers into one of their own, so that another thread can form them.
//!
//! Invariant: what is read of a copy is what is read of the message: coordinates, key, value, time and headers.

use std::ops::Range;

use crate::SourceMessage;

/// Messages in the order in which they were read; their memory is used again after [`Copies::clear`].
#[derive(Debug, Default)]
pub(crate) struct Copies {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// One of them.
pub(crate) struct Copy<'a> {
    bytes: &'a [u8],
    place: &'a Place,
}

impl Copies {
    pub(crate) fn push(&mut self, message: &impl SourceMessage) {
        let (key, value) = (self.copy(message.key()), self.copy(message.value()));
        self.places.push(Place {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp_ms(),
            key,
            value,
            headers: message.headers(),
        });
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Option<Range<usize>> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes?);
        Some(start..self.bytes.len())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Copy<'_>> {
        self.places.iter().map(|place| Copy { bytes: &self.bytes, place })
    }

    /// Messages.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes of their keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all of them, and the memory beyond `kept` bytes.
    pub(crate) fn clear(&mut self, kept: usize) {
        self.places.clear();
        self.bytes.clear();
        self.bytes.shrink_to(kept);
    }
}

impl Copy<'_> {
    fn part(&self, range: Option<&Range<usize>>) -> Option<&[u8]> {
        self.bytes.get(range?.clone())
    }
}

impl SourceMessage for Copy<'_> {
    fn partition(&self) -> i32 {
        self.place.partition
    }

    fn offset(&self) -> i64 {
        self.place.offset
    }

    fn key(&self) -> Option<&[u8]> {
        self.part(self.place.key.as_ref())
    }

    fn value(&self) -> Option<&[u8]> {
        self.part(self.place.value.as_ref())
    }

    fn timestamp_ms(&self) -> Option<i64> {
        self.place.timestamp_ms
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.place.headers.iter().find(|(key, _)| key == name)?.1.as_deref()
    }

    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.place.headers.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeMessage;

    #[test]
    fn a_copy_reads_like_the_message_and_a_missing_value_stays_missing() {
        let mut copies = Copies::default();
        let message = |offset, key: Option<&[u8]>, value: Option<&[u8]>| FakeMessage {
            partition: 3,
            offset,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
        };
        let messages = [
            message(7, Some(b"k"), Some(b"value")),
            message(8, None, Some(b"")),
            message(9, Some(b""), None),
        ];
        for _ in 0..2 {
            copies.clear(1 << 10);
            messages.iter().for_each(|message| copies.push(message));
            assert_eq!((copies.len(), copies.bytes()), (3, 6));
            for (copy, message) in copies.iter().zip(&messages) {
                assert_eq!((copy.partition(), copy.offset()), (message.partition(), message.offset()));
                assert_eq!((copy.key(), copy.value()), (message.key(), message.value()));
                assert_eq!((copy.headers(), copy.timestamp_ms()), (message.headers(), None));
                assert_eq!((copy.header("trace"), copy.header("none")), (Some(&b"7"[..]), None));
            }
        }
    }
}
