//! ClickHouse's block framing, which `decompress=1` and `compress=1` ask for.
//!
//! A block is 16 bytes CityHash128 v1.0.2 of all that follows, 1 byte method (0x82 LZ4, 0x02 none), 4 bytes
//! little-endian size of header and payload (that is, without the checksum), 4 bytes size of the plain data, payload.
//! Source: <https://clickhouse.com/docs/native-protocol/compression>.
//!
//! Invariant: no byte of a block is handed on before its checksum has been verified, and memory is bounded by
//! [`MAX_BLOCK_BYTES`] for each request.

use bytes::{Buf, Bytes, BytesMut};

use crate::exception::Exception;

const CHECKSUM: usize = 16;
const HEADER: usize = 9;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;

/// Largest block accepted, compressed or plain. Clients send about 1 MiB.
pub(crate) const MAX_BLOCK_BYTES: usize = 64 << 20;
/// Plain size of the blocks written, ClickHouse's `max_compress_block_size`.
const WRITE_BLOCK_BYTES: usize = 1 << 20;

/// Turns framed bytes, in pieces of any size, into plain ones.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pending: BytesMut,
}

impl Decoder {
    /// Adds received bytes.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
    }

    /// The next block's plain data, if one is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Exception> {
        let Some(&header) = self.pending.get(CHECKSUM..).and_then(<[u8]>::first_chunk::<HEADER>) else {
            return Ok(None);
        };
        let [method, a, b, c, d, e, f, g, h] = header;
        let framed = block_size(u32::from_le_bytes([a, b, c, d]), HEADER)?;
        let plain = block_size(u32::from_le_bytes([e, f, g, h]), 0)?;
        if self.pending.len() < CHECKSUM + framed {
            self.pending.reserve(CHECKSUM + framed - self.pending.len());
            return Ok(None);
        }
        let expected = self.pending.get_u128_le();
        let mut block = self.pending.split_to(framed);
        let actual = checksum(&block);
        if expected != actual {
            let message = format!(
                "Checksum doesn't match: corrupted data. Reference: {expected:032x}. Actual: {actual:032x}"
            );
            return Err(Exception::new(Exception::CHECKSUM_DOESNT_MATCH, message));
        }
        block.advance(HEADER);
        match method {
            METHOD_NONE if block.len() == plain => Ok(Some(block.freeze())),
            METHOD_LZ4 => match lz4_flex::block::decompress(&block, plain) {
                Ok(data) if data.len() == plain => Ok(Some(data.into())),
                Ok(_) => Err(cannot_decompress("the LZ4 block is shorter than its header says")),
                Err(error) => Err(cannot_decompress(&error.to_string())),
            },
            METHOD_NONE => Err(cannot_decompress("an uncompressed block's two sizes differ")),
            METHOD_ZSTD => Err(unknown_method("ZSTD (0x90) is not available here: compress with LZ4")),
            other => Err(unknown_method(&format!("Unknown compression method: 0x{other:02x}"))),
        }
    }

    /// Checks that the input did not end inside a block.
    pub(crate) fn finish(&self) -> Result<(), Exception> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let message = format!(
            "Cannot read all data: the body ends inside a compressed block, after {} bytes of it",
            self.pending.len()
        );
        Err(Exception::new(Exception::CANNOT_READ_ALL_DATA, message))
    }
}

fn block_size(size: u32, least: usize) -> Result<usize, Exception> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if (least..=MAX_BLOCK_BYTES).contains(&size) {
        return Ok(size);
    }
    Err(cannot_decompress(&format!(
        "a block of {size} bytes is announced, between {least} and {MAX_BLOCK_BYTES} are accepted; is the body framed for decompress=1?"
    )))
}

fn cannot_decompress(message: &str) -> Exception {
    Exception::new(Exception::CANNOT_DECOMPRESS, format_args!("Cannot decompress: {message}"))
}

fn unknown_method(message: &str) -> Exception {
    Exception::new(Exception::UNKNOWN_COMPRESSION_METHOD, message)
}

/// ClickHouse writes the hash's first (low) half first.
fn checksum(block: &[u8]) -> u128 {
    cityhash_rs::cityhash_102_128(block).rotate_right(64)
}

/// Frames `plain` as LZ4 blocks.
pub(crate) fn encode(plain: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    for data in plain.chunks(WRITE_BLOCK_BYTES) {
        let packed = lz4_flex::block::compress(data);
        let mut block = Vec::with_capacity(HEADER + packed.len());
        block.push(METHOD_LZ4);
        for size in [HEADER + packed.len(), data.len()] {
            // Both are far below 4 GiB: at most 1 MiB of plain data goes into a block.
            block.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        }
        block.extend_from_slice(&packed);
        out.extend_from_slice(&checksum(&block).to_le_bytes());
        out.extend_from_slice(&block);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::{Decoder, METHOD_NONE, METHOD_ZSTD, checksum, encode};

    fn decode(framed: &[u8], piece: usize) -> Result<Vec<u8>, u32> {
        let mut decoder = Decoder::default();
        let mut plain = Vec::new();
        for chunk in framed.chunks(piece) {
            decoder.push(chunk);
            while let Some(data) = decoder.next().map_err(|e| e.code)? {
                plain.extend_from_slice(&data);
            }
        }
        decoder.finish().map_err(|e| e.code)?;
        Ok(plain)
    }

    fn block(method: u8, payload: &[u8], plain: u32) -> Vec<u8> {
        let mut block = vec![method];
        block.extend(u32::try_from(9 + payload.len()).unwrap().to_le_bytes());
        block.extend(plain.to_le_bytes());
        block.extend(payload);
        [checksum(&block).to_le_bytes().as_slice(), &block].concat()
    }

    #[test]
    fn round_trip_in_any_pieces() {
        let plain: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let framed = encode(&plain);
        for piece in [1000, 1 << 20, framed.len()] {
            assert!(decode(&framed, piece).unwrap() == plain, "{piece}");
        }
        assert_eq!(decode(&block(METHOD_NONE, b"abc", 3), 1), Ok(b"abc".to_vec()));
    }

    #[test]
    fn damage_is_found() {
        let mut framed = encode(b"hello hello hello hello").to_vec();
        *framed.last_mut().unwrap() ^= 1;
        assert_eq!(decode(&framed, 7), Err(40));
        assert_eq!(decode(&framed[..framed.len() - 1], 7), Err(33));
        assert_eq!(decode(&block(METHOD_NONE, b"abc", 4), 99), Err(271));
        assert_eq!(decode(&block(METHOD_ZSTD, b"abc", 4), 99), Err(89));
        assert_eq!(decode(b"SELECT 1, this is no framed body at all", 99), Err(271));
    }
}
