//! A row's identity as one UUID, the same for every change of the row.
//!
//! Invariant: the identity depends on the key's values alone, so that reconcile can compute it from PostgreSQL.

use uuid::Uuid;

/// Namespace of identities that are not UUIDs themselves (RFC 9562, version 5).
const SOURCE_KEY_NAMESPACE: Uuid = Uuid::from_u128(0x6e6f_7661_6364_4c85_a1f0_736f_7572_6365);

/// Separates the parts of a composite key: U+001F, "information separator one".
const SEPARATOR: char = '\u{1f}';

/// The identity of a key: a single UUID is its own identity, anything else becomes a UUIDv5 of its parts' text.
#[must_use]
pub fn source_key(parts: &[&str]) -> Uuid {
    if let [part] = parts
        && let Ok(uuid) = Uuid::try_parse(part)
    {
        return uuid;
    }
    let mut text = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            text.push(SEPARATOR);
        }
        text.push_str(part);
    }
    Uuid::new_v5(&SOURCE_KEY_NAMESPACE, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_uuid_is_its_own_identity() {
        let id = "0190a5b2-7c1d-7e3f-8a4b-5c6d7e8f9a0b";
        assert_eq!(source_key(&[id]).to_string(), id);
    }

    #[test]
    fn composite_keys_keep_order_and_boundaries() {
        assert_ne!(source_key(&["ab", "c"]), source_key(&["a", "bc"]));
        assert_ne!(source_key(&["a", "b"]), source_key(&["b", "a"]));
        assert_eq!(source_key(&["7"]), source_key(&["7"]));
    }

    #[test]
    fn the_identity_is_part_of_the_stored_data_and_never_changes() {
        assert_eq!(source_key(&["1", "2"]).to_string(), "4b08fac5-4550-55a6-a739-5d5e92e4fa14");
    }
}
