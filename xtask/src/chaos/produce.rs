//! One record to one partition, spoken to Kafka by hand, because this crate links no Kafka client.
//!
//! Source: Produce version 3 and the record batch of magic 2 (<https://kafka.apache.org/protocol#The_Messages_Produce>,
//! <https://kafka.apache.org/documentation/#recordbatch>). Invariant: `Ok` carries the offset that the broker gave;
//! after an error the record may be there or not.

use anyhow::{Context, Result, ensure};

use super::wire::{Rest, exchange};

const TIMEOUT_MS: i32 = 3_000;

/// What is written.
#[derive(Debug, Clone)]
pub(super) struct NewRecord<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    /// One header: name and value.
    pub(super) header: (&'a str, &'a str),
}

/// Writes it with `acks=all` and answers its offset.
///
/// # Errors
/// A broker that is away or refuses.
pub(super) async fn produce(broker: &str, record: &NewRecord<'_>) -> Result<u64> {
    let request = request(record, chrono::Utc::now().timestamp_millis())?;
    offset_in(&exchange(broker, &request).await?)
}

/// Correlation, topics, name, partitions, index, error, offset.
fn offset_in(answer: &[u8]) -> Result<u64> {
    let mut rest = Rest(answer);
    ensure!(rest.i32()? == 1 && rest.i32()? == 1, "an answer to another request");
    let topic = rest.text()?;
    ensure!(rest.i32()? == 1, "an answer for other partitions");
    let (partition, error, offset) = (rest.i32()?, rest.i16()?, rest.i64()?);
    ensure!(error == 0, "{topic}[{partition}]: Kafka's error {error}");
    u64::try_from(offset).context("a negative offset")
}

fn request(record: &NewRecord<'_>, time_ms: i64) -> Result<Vec<u8>> {
    let batch = batch(record, time_ms)?;
    let mut request = vec![0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff];
    // No transaction, acks=all.
    request.extend([0xff, 0xff, 0xff, 0xff]);
    request.extend(TIMEOUT_MS.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(record.topic.len())?.to_be_bytes());
    request.extend(record.topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(record.partition.to_be_bytes());
    request.extend(i32::try_from(batch.len())?.to_be_bytes());
    request.extend(batch);
    Ok(request)
}

/// A batch of one record, neither idempotent nor transactional.
fn batch(record: &NewRecord<'_>, time_ms: i64) -> Result<Vec<u8>> {
    // Attributes of the batch, its last offset delta.
    let mut checked = vec![0, 0, 0, 0, 0, 0];
    checked.extend(time_ms.to_be_bytes());
    checked.extend(time_ms.to_be_bytes());
    // Producer id, epoch and sequence: none.
    checked.extend([0xff; 14]);
    checked.extend(1_i32.to_be_bytes());
    let (name, value) = record.header;
    // Attributes, timestamp delta, offset delta.
    let mut body = vec![0, 0, 0];
    bytes(&mut body, record.key)?;
    bytes(&mut body, Some(record.value))?;
    varint(&mut body, 1);
    bytes(&mut body, Some(name.as_bytes()))?;
    bytes(&mut body, Some(value.as_bytes()))?;
    varint(&mut checked, i64::try_from(body.len())?);
    checked.extend(body);

    let mut batch = vec![0; 8];
    // Leader epoch (unknown), magic and checksum count, too.
    batch.extend(i32::try_from(checked.len() + 9)?.to_be_bytes());
    batch.extend([0xff, 0xff, 0xff, 0xff, 2]);
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    Ok(batch)
}

/// Length and bytes; −1 for null.
fn bytes(to: &mut Vec<u8>, value: Option<&[u8]>) -> Result<()> {
    varint(to, value.map_or(Ok(-1), |value| i64::try_from(value.len()))?);
    to.extend(value.unwrap_or_default());
    Ok(())
}

/// Zigzag, seven bits a byte, the lowest first.
fn varint(to: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if rest == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_are_written_as_kafka_reads_them() {
        let written = |value| {
            let mut to = Vec::new();
            varint(&mut to, value);
            to
        };
        assert_eq!(written(0), [0]);
        assert_eq!(written(-1), [1]);
        assert_eq!(written(1), [2]);
        assert_eq!(written(150), [0xac, 0x02]);
    }

    #[test]
    fn an_answer_carries_the_offset_or_the_error() {
        let mut answer = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 3, 0, 0];
        answer.extend(42_i64.to_be_bytes());
        assert_eq!(offset_in(&answer).unwrap(), 42);
        answer[20] = 6;
        assert!(offset_in(&answer).unwrap_err().to_string().contains("t[3]: Kafka's error 6"));
    }
}
