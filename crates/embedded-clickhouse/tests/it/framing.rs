//! `decompress=1` and `compress=1` against blocks made here, byte by byte, with another hash call than the server's.

use crate::support::{PASSWORD, Server, failure};

fn block(plain: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::block::compress(plain);
    let mut block = vec![0x82];
    block.extend(u32::try_from(packed.len() + 9).unwrap().to_le_bytes());
    block.extend(u32::try_from(plain.len()).unwrap().to_le_bytes());
    block.extend(packed);
    let hash = cityhash_rs::cityhash_102_128(&block);
    let first = u64::try_from(hash >> 64).unwrap();
    let second = u64::try_from(hash & u128::from(u64::MAX)).unwrap();
    [first.to_le_bytes().as_slice(), &second.to_le_bytes(), &block].concat()
}

const INSERT: [(&str, &str); 2] = [("query", "INSERT INTO t FORMAT TSV"), ("decompress", "1")];

#[tokio::test]
async fn framed_bodies_are_verified() {
    let server = Server::start();
    server.sql("CREATE TABLE t (a UInt32) ENGINE = Memory").await;
    let whole = [block(b"1\n2"), block(b"2\n3\n")].concat();
    assert_eq!(server.post(&INSERT, whole.clone()).await.status(), 200);
    assert_eq!(server.sql("SELECT sum(a) FROM t").await, "26\n");
    let mut corrupt = whole.clone();
    *corrupt.last_mut().unwrap() ^= 1;
    assert_eq!(failure(&server.post(&INSERT, corrupt).await), (500, 40));
    assert_eq!(failure(&server.post(&INSERT, whole[..whole.len() - 1].to_vec()).await), (500, 33));
    let mut zstd = block(b"1\n");
    zstd[16] = 0x90;
    assert_eq!(failure(&server.post(&INSERT, zstd).await), (500, 40), "the checksum covers the method");
    assert_eq!(failure(&server.post(&INSERT, "1\n2\n, which is no framed body").await), (500, 271));
    assert_eq!(server.sql("SELECT sum(a) FROM t").await, "26\n");
    // Statement and data in one framed body.
    assert_eq!(server.post(&[("decompress", "1")], block(b"INSERT INTO t VALUES (4)")).await.status(), 200);
    assert_eq!(server.sql("SELECT sum(a) FROM t").await, "30\n");
}

#[tokio::test]
async fn framed_answers_and_errors() {
    let server = Server::start();
    let answer = server.post(&[("compress", "1")], "SELECT 'abc'").await;
    assert_eq!(answer.bytes().await.unwrap(), block(b"abc\n"));
    let request = reqwest::Client::new().post(&server.url).query(&[("compress", "1")]).body("SELECT nosuch");
    let error = request.header("X-ClickHouse-Key", PASSWORD.as_bytes()).send().await.unwrap();
    assert_eq!(failure(&error), (404, 47));
    let body = error.bytes().await.unwrap();
    let size = usize::try_from(u32::from_le_bytes(body[21..25].try_into().unwrap())).unwrap();
    let text = lz4_flex::block::decompress(&body[25..], size).unwrap();
    assert!(text.starts_with(b"Code: 47. "), "{}", String::from_utf8_lossy(&text));
}
