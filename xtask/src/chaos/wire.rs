//! Requests to Kafka, spoken by hand, because this crate links no Kafka client: a size and the bytes, both ways
//! (<https://kafka.apache.org/protocol#protocol_common>).
//!
//! Invariant: an answer that ends early or is too long is an error; nothing is read beyond it.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer beyond this is none of ours.
const MOST_BYTES: usize = 1 << 20;

/// Sends a request over a connection of its own and answers what comes back, correlation included.
///
/// # Errors
/// A broker that is away, or an answer that is too long.
pub(super) async fn exchange(broker: &str, request: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(broker).await?;
    stream.write_i32(i32::try_from(request.len())?).await?;
    stream.write_all(request).await?;
    let size = usize::try_from(stream.read_i32().await?).context("a negative size")?;
    ensure!(size <= MOST_BYTES, "an answer of {size} bytes");
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// What is left of an answer to read.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().context("Kafka's answer ends early")?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    /// A nullable string; empty for null.
    pub(super) fn text(&mut self) -> Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or_default();
        let (bytes, rest): (&'a [u8], &'a [u8]) =
            self.0.split_at_checked(length).context("Kafka's answer ends early")?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
