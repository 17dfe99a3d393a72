//! The identity of a change: a UUIDv5 of its position in PostgreSQL.
//!
//! Invariant: the same change always gets the same id, so nothing enters that depends on when or how it was
//! delivered (`sequence.last_commit_lsn`, the connector's own clock). A connector that starts in the middle of a
//! transaction counts its changes anew: `total_order` enters only where nothing else tells rows apart.

use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

use crate::{Change, Row};

/// The namespace of all event ids made from source positions.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x8d9c_04f5_6c0e_4a7e_9b1d_5f3e_2a61_c7b4);

pub(crate) fn event_id(change: &Change<'_>, key: Option<&[u8]>) -> Uuid {
    let source = &change.source;
    let mut name = Name(Vec::with_capacity(160));
    name.part(source.server.as_bytes());
    name.part(source.schema.as_bytes());
    name.part(source.table.as_bytes());
    // Incremental snapshots have no LSN of the row, only that of their window.
    name.number(source.lsn.or(source.sequence.lsn));
    name.number(source.tx_id);
    name.part(&[u8::try_from(change.op.code()).unwrap_or_default()]);
    match (key, &change.transaction) {
        // One record of the write-ahead log holds a row's key once.
        (Some(key), _) => name.part(key),
        (None, Some(position)) => name.number(Some(position.total_order)),
        (None, None) => [&change.before, &change.after].into_iter().for_each(|row| name.row(row.as_ref())),
    }
    uuid_v5(&NAMESPACE, &name.0)
}

/// As [`Uuid::new_v5`], by a SHA-1 that uses the processor's instructions for it where there are some.
fn uuid_v5(namespace: &Uuid, name: &[u8]) -> Uuid {
    let digest = Sha1::new_with_prefix(namespace).chain_update(name).finalize();
    let first = digest.first_chunk().copied().unwrap_or_default();
    Builder::from_sha1_bytes(first).into_uuid()
}

/// A name whose parts cannot run into each other.
struct Name(Vec<u8>);

impl Name {
    fn part(&mut self, bytes: &[u8]) {
        // Four bytes: so that the usual name and the namespace fit two blocks of SHA-1.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: Option<u64>) {
        self.0.push(u8::from(number.is_some()));
        self.0.extend_from_slice(&number.unwrap_or_default().to_be_bytes());
    }

    fn row(&mut self, row: Option<&Row<'_>>) {
        let fields = row.map(Row::fields).unwrap_or_default();
        self.number(row.map(|_| fields.len() as u64));
        for field in fields {
            self.part(field.name().as_bytes());
            self.part(field.raw().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_uuid_crate() {
        for length in [0, 1, 38, 39, 40, 47, 48, 49, 111, 112, 300] {
            let name: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            assert_eq!(uuid_v5(&NAMESPACE, &name), Uuid::new_v5(&NAMESPACE, &name), "{length}");
        }
    }
}
