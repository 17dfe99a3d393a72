//! What consumer groups have committed, asked from Kafka itself.
//!
//! Invariant: asking changes nothing: one OffsetFetch (version 2, all topics of the group), no membership. Spoken by
//! hand, because this crate links no Kafka client.

use anyhow::{Result, ensure};

use super::wire::{Rest, exchange};

/// A group's committed offset in one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Committed {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Everything that `group` has committed, by partition.
///
/// Request: int32 size, int16 key 9, int16 version 2, int32 correlation, nullable client id, group, all topics (-1).
/// Response: int32 size, int32 correlation, topics with partitions (int32 index, int64 offset, metadata, int16 error),
/// int16 error (<https://kafka.apache.org/protocol#The_Messages_OffsetFetch>).
///
/// # Errors
/// A broker that is away or refuses.
pub(super) async fn committed(broker: &str, group: &str) -> Result<Vec<Committed>> {
    let mut request = vec![0, 9, 0, 2, 0, 0, 0, 1, 0xff, 0xff];
    request.extend(i16::try_from(group.len())?.to_be_bytes());
    request.extend(group.as_bytes());
    request.extend((-1_i32).to_be_bytes());
    parse(&exchange(broker, &request).await?)
}

fn parse(answer: &[u8]) -> Result<Vec<Committed>> {
    let mut rest = Rest(answer);
    ensure!(rest.i32()? == 1, "an answer to another request");
    let mut found = Vec::new();
    for _ in 0..rest.i32()? {
        let topic = rest.text()?;
        for _ in 0..rest.i32()? {
            let (partition, offset) = (rest.i32()?, rest.i64()?);
            rest.text()?;
            let error = rest.i16()?;
            ensure!(error == 0, "{topic}[{partition}]: Kafka's error {error}");
            if offset >= 0 {
                found.push(Committed { topic: topic.clone(), partition, offset });
            }
        }
    }
    let error = rest.i16()?;
    ensure!(error == 0, "Kafka's error {error}");
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_answer_and_refuses_a_cut_one() {
        let mut answer = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2];
        answer.extend([0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, b'm', b'm', 0, 0]);
        answer.extend([0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
        answer.extend([0, 0]);
        let found = Committed { topic: "t".to_owned(), partition: 3, offset: 9 };
        assert_eq!(parse(&answer).unwrap(), [found]);
        answer.pop();
        assert!(parse(&answer).unwrap_err().to_string().contains("ends early"));
    }
}
