//! The `source` block: where in PostgreSQL a change comes from.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Unexpected, Visitor},
};

use super::{Text, Trace};
use crate::{Sequence, Snapshot, Source};

/// The block as found; what every change must have is checked by [`RawSource::check`].
#[derive(Default)]
pub(crate) struct RawSource<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) db: Option<Text<'a>>,
    pub(super) schema: Option<Text<'a>>,
    pub(super) table: Option<Text<'a>>,
    pub(super) ts_us: Option<i64>,
    pub(super) ts_ms: Option<i64>,
    pub(super) snapshot: Snapshot,
    pub(super) tx_id: Option<u64>,
    pub(super) lsn: Option<u64>,
    pub(super) sequence: Sequence,
}

/// A part of the source that every change has, and this one lacks.
pub(crate) struct SourceProblem {
    pub(crate) part: &'static str,
    pub(crate) expected: &'static str,
}

impl<'a> RawSource<'a> {
    pub(super) fn check(self) -> Result<Source<'a>, SourceProblem> {
        let text = |text: Option<Text<'a>>, part| {
            text.map(|text| text.0).ok_or(SourceProblem { part, expected: "a string" })
        };
        let ts_us = self.ts_us.or_else(|| self.ts_ms.and_then(|ms| ms.checked_mul(1_000)));
        Ok(Source {
            server: text(self.name, "source.name")?,
            db: text(self.db, "source.db")?,
            schema: text(self.schema, "source.schema")?,
            table: text(self.table, "source.table")?,
            ts_us: ts_us.ok_or(SourceProblem { part: "source.ts_us", expected: "the commit time" })?,
            snapshot: self.snapshot,
            tx_id: self.tx_id,
            lsn: self.lsn,
            sequence: self.sequence,
        })
    }
}

pub(super) struct SourceSeed<'t> {
    pub(super) trace: &'t Trace,
}

impl<'de> DeserializeSeed<'de> for SourceSeed<'_> {
    type Value = RawSource<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SourceSeed<'_> {
    type Value = RawSource<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        const TEXT: &str = "a string";
        const NUMBER: &str = "null or an unsigned integer";
        let mut source = RawSource::default();
        let at = |part, expected| self.trace.at(part, expected);
        while let Some(Text(key)) = map.next_key()? {
            match key.as_ref() {
                "name" => {
                    at("source.name", TEXT);
                    source.name = map.next_value()?;
                }
                "db" => {
                    at("source.db", TEXT);
                    source.db = map.next_value()?;
                }
                "schema" => {
                    at("source.schema", TEXT);
                    source.schema = map.next_value()?;
                }
                "table" => {
                    at("source.table", TEXT);
                    source.table = map.next_value()?;
                }
                "ts_us" => {
                    at("source.ts_us", "null or an integer");
                    source.ts_us = map.next_value()?;
                }
                "ts_ms" => {
                    at("source.ts_ms", "null or an integer");
                    source.ts_ms = map.next_value()?;
                }
                "snapshot" => {
                    at(
                        "source.snapshot",
                        "null, false, true, first, last, incremental or …_in_data_collection",
                    );
                    source.snapshot =
                        map.next_value::<Option<Parsed<Snapshot>>>()?.map_or_else(Snapshot::default, |p| p.0);
                }
                "txId" => {
                    at("source.txId", NUMBER);
                    source.tx_id = map.next_value()?;
                }
                "lsn" => {
                    at("source.lsn", NUMBER);
                    source.lsn = map.next_value()?;
                }
                "sequence" => {
                    at("source.sequence", "null or a string like [\"12\",\"34\"]");
                    source.sequence =
                        map.next_value::<Option<Parsed<Sequence>>>()?.map_or_else(Sequence::default, |p| p.0);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(source)
    }
}

/// A string that stands for something, parsed without copying it.
struct Parsed<T>(T);

trait FromText: Sized {
    fn from_text(text: &str) -> Option<Self>;
}

impl FromText for Snapshot {
    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl FromText for Sequence {
    /// `["12","34"]`, each of them possibly null.
    fn from_text(text: &str) -> Option<Self> {
        let (first, second) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
        let position = |text: &str| match text.trim() {
            "null" => Some(None),
            quoted => quoted.strip_prefix('"')?.strip_suffix('"')?.parse().ok().map(Some),
        };
        Some(Self { last_commit_lsn: position(first)?, lsn: position(second)? })
    }
}

impl<'de, T: FromText> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ParsedVisitor<T>(std::marker::PhantomData<T>);
        impl<T: FromText> Visitor<'_> for ParsedVisitor<T> {
            type Value = Parsed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::from_text(text).map(Parsed).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(ParsedVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_two_positions_or_nulls() {
        let parse = Sequence::from_text;
        assert_eq!(parse(r#"["12","34"]"#), Some(Sequence { last_commit_lsn: Some(12), lsn: Some(34) }));
        assert_eq!(parse(r#"[null,"34"]"#), Some(Sequence { last_commit_lsn: None, lsn: Some(34) }));
        for wrong in ["", "[]", "[1,2]", r#"["a","1"]"#, r#"["1","2","3"]"#, r#"["-1","2"]"#] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
