//! One pass over a record's value: every part that any of Debezium's messages has, whichever message it is.
//!
//! Invariant: column values are skipped, not parsed; nothing here recurses with the input (unknown parts and column
//! values are skipped by `serde_json`'s iterative scanner).

mod blocks;
pub(crate) mod direct;
mod source;

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    Field, Row, Source, TransactionPosition,
    field::{Part, Place},
    schema::{self, RowSchema},
};
use blocks::{Collections, Position, Raw};

/// Where the parser is, for the error of a message that stops it.
pub(crate) struct Trace {
    /// Whether the parts stand under `payload`.
    pub(crate) wrapped: Cell<bool>,
    /// The part begun last; empty at the top.
    pub(crate) part: Cell<&'static str>,
    /// What that part has to be.
    pub(crate) expected: Cell<&'static str>,
    /// The column whose value stopped the parser.
    pub(crate) column: RefCell<String>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            wrapped: Cell::new(false),
            part: Cell::new(""),
            expected: Cell::new("an object"),
            column: RefCell::default(),
        }
    }

    fn at(&self, part: &'static str, expected: &'static str) {
        self.part.set(part);
        self.expected.set(expected);
    }
}

/// The parts of a message, as far as it has them.
#[derive(Default)]
pub(crate) struct Shape<'a> {
    pub(crate) schema: Option<Arc<RowSchema>>,
    /// The value, or the payload, is JSON null.
    pub(crate) null: bool,
    pub(crate) op: Option<Text<'a>>,
    pub(crate) before: Option<Row<'a>>,
    pub(crate) after: Option<Row<'a>>,
    pub(crate) source: Option<source::RawSource<'a>>,
    pub(crate) transaction: Option<TransactionPosition<'a>>,
    pub(crate) message: Option<(Cow<'a, str>, Option<&'a RawValue>)>,
    pub(crate) status: Option<Text<'a>>,
    /// Not read before the message is known to be a transaction's: tables have columns of this name, and a flattened
    /// row should be refused for what it is.
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) event_count: Option<u64>,
    pub(crate) data_collections: Vec<(Cow<'a, str>, u64)>,
    pub(crate) ts_ms: Option<i64>,
}

/// Reads a value's parts into the shape; the payload's too if there is one.
pub(crate) struct ShapeSeed<'s, 'a> {
    pub(crate) shape: &'s mut Shape<'a>,
    pub(crate) trace: &'s Trace,
}

impl<'de> DeserializeSeed<'de> for ShapeSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.shape.null = true;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { shape, trace } = self;
        while let Some(Text(key)) = map.next_key()? {
            match key.as_ref() {
                "schema" if !trace.wrapped.get() => {
                    shape.schema = map.next_value::<Option<&'de RawValue>>()?.map(schema::of);
                }
                "payload" if !trace.wrapped.get() => {
                    trace.wrapped.set(true);
                    trace.at("", "an object");
                    map.next_value_seed(ShapeSeed { shape: &mut *shape, trace })?;
                }
                part => shape.part(part, &mut map, trace)?,
            }
        }
        Ok(())
    }
}

impl<'de> Shape<'de> {
    fn part<A: MapAccess<'de>>(&mut self, part: &str, map: &mut A, trace: &Trace) -> Result<(), A::Error> {
        const TEXT: &str = "a string";
        match part {
            "before" => self.before = map.next_value_seed(RowSeed { part: Part::Before, trace })?,
            "after" => self.after = map.next_value_seed(RowSeed { part: Part::After, trace })?,
            "source" => {
                trace.at("source", "an object");
                self.source = Some(map.next_value_seed(source::SourceSeed { trace })?);
            }
            "transaction" => {
                trace.at("transaction", "null or an object of `id`, `total_order`, `data_collection_order`");
                self.transaction = map.next_value::<Option<Position<'de>>>()?.map(Into::into);
            }
            "message" => {
                trace.at("message", "an object of `prefix` and `content`");
                let raw: Option<Raw<'de>> = map.next_value()?;
                self.message = raw.map(|raw| (raw.prefix.0, raw.content));
            }
            "op" => {
                trace.at("op", TEXT);
                self.op = map.next_value()?;
            }
            "status" => {
                trace.at("status", TEXT);
                self.status = map.next_value()?;
            }
            "id" => self.id = map.next_value()?,
            "event_count" => {
                trace.at("event_count", "null or an unsigned integer");
                self.event_count = map.next_value()?;
            }
            "data_collections" => {
                trace.at("data_collections", "null or objects of `data_collection` and `event_count`");
                self.data_collections = map.next_value::<Collections<'de>>()?.0;
            }
            "ts_ms" => {
                trace.at("ts_ms", "null or an integer");
                self.ts_ms = map.next_value()?;
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A string, borrowed unless it holds an escape.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

struct RowSeed<'t> {
    part: Part,
    trace: &'t Trace,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Option<Row<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.trace.at(self.part.name(), "null or an object of columns");
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Option<Row<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null or an object of columns")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let place = Place { part: self.part, wrapped: self.trace.wrapped.get() };
        let mut fields = Vec::with_capacity(12);
        while let Some(Text(name)) = map.next_key()? {
            match map.next_value::<&'de RawValue>() {
                Ok(raw) => fields.push(Field::new(name, raw.get(), place)),
                Err(error) => {
                    self.trace.column.replace(name.into_owned());
                    return Err(error);
                }
            }
        }
        Ok(Some(Row::new(fields)))
    }
}

impl<'a> Shape<'a> {
    /// The source block, if there is one, with its commit time checked.
    pub(crate) fn take_source(&mut self) -> Option<Result<Source<'a>, source::SourceProblem>> {
        self.source.take().map(source::RawSource::check)
    }
}
