//! The coordinates of a message as they are written on the command line, and as a letter's key: `topic/partition/offset`.

use std::fmt;
use std::str::FromStr;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// Text that names no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not TOPIC/PARTITION/OFFSET of a message, for example cdc.likes/3/42")]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let read = || {
            let (rest, offset) = text.rsplit_once('/')?;
            let (topic, partition) = rest.rsplit_once('/')?;
            let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
            let fits = !topic.is_empty() && !topic.contains('/') && partition >= 0 && offset >= 0;
            fits.then(|| Self { topic: topic.to_owned(), partition, offset })
        };
        read().ok_or_else(|| NoPlace(text.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place { topic: "cdc.likes".to_owned(), partition: 3, offset: 42 };
        assert_eq!("cdc.likes/3/42".parse(), Ok(place.clone()));
        assert_eq!(place.to_string(), "cdc.likes/3/42");
        for text in ["", "cdc.likes", "cdc.likes/3", "/3/4", "a/b/3/4", "t/-1/4", "t/1/-4", "t/1/x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
