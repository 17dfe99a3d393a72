//! The small blocks of a message beside its rows: transaction, logical message, transaction summary.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Text;
use crate::TransactionPosition;

/// The `transaction` block.
#[derive(Deserialize)]
pub(super) struct Position<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    total_order: u64,
    data_collection_order: u64,
}

impl<'a> From<Position<'a>> for TransactionPosition<'a> {
    fn from(position: Position<'a>) -> Self {
        let Position { id, total_order, data_collection_order } = position;
        Self { id: id.0, total_order, data_collection_order }
    }
}

/// The `message` block.
#[derive(Deserialize)]
pub(super) struct Raw<'a> {
    #[serde(borrow)]
    pub(super) prefix: Text<'a>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
}

/// The `data_collections` of a transaction's end: null, or a list of tables and counts.
pub(super) struct Collections<'a>(pub(super) Vec<(Cow<'a, str>, u64)>);

impl<'de: 'a, 'a> Deserialize<'de> for Collections<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CollectionsVisitor;
        impl<'de> Visitor<'de> for CollectionsVisitor {
            type Value = Collections<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null or a list")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Collections(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Entry<'a> {
                    #[serde(borrow)]
                    data_collection: Text<'a>,
                    event_count: u64,
                }
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element::<Entry<'de>>()? {
                    entries.push((entry.data_collection.0, entry.event_count));
                }
                Ok(Collections(entries))
            }
        }
        deserializer.deserialize_any(CollectionsVisitor)
    }
}
