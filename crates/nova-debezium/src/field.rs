//! One column of a row image (or one element of an array): a name and its undecoded JSON text.
//!
//! Invariant: a value is converted exactly or not at all; what does not fit is a [`ValueError`] naming the column.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    BytesEncoding, FieldSchema, Found, TimeUnit, ValueError, ValueErrorKind,
    schema::SchemaRef,
    value::{self, Outcome, Problem},
};

/// Where in the message a field stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) part: Part,
    pub(crate) wrapped: bool,
}

/// The part of a message that holds fields.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Before,
    After,
    Message,
    /// The message itself: no part of it.
    Document,
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Message => "message",
            Self::Document => "",
        }
    }
}

/// A column of a row image.
///
/// Conversions take what Debezium writes for the PostgreSQL types in every handling mode. NULL and the placeholder
/// of an unchanged TOAST value are errors to all of them.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    name: Cow<'a, str>,
    raw: &'a str,
    place: Place,
    pub(crate) schema: SchemaRef,
}

impl<'a> Field<'a> {
    pub(crate) fn new(name: Cow<'a, str>, raw: &'a str, place: Place) -> Self {
        Self { name, raw, place, schema: SchemaRef::None }
    }

    /// The column's name; `tags[3]` for an element.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as JSON text.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// What the embedded schema says about the column, if there is one.
    #[must_use]
    pub fn schema(&self) -> Option<&FieldSchema> {
        self.schema.get(&self.name)
    }

    /// Whether the value is NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.raw == "null"
    }

    /// Whether the value was not sent because an update left a TOAST value unchanged.
    ///
    /// Knows `unavailable.value.placeholder` at its default, in the forms Debezium gives it: text, binary (base64,
    /// hex), hstore (JSON, map) and the arrays of text, bytes, integers and uuids. A value that equals
    /// the placeholder cannot be told from it.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        value::placeholder::is_placeholder(self.raw)
    }

    /// A `boolean`.
    ///
    /// # Errors
    /// Anything but `true` or `false`.
    pub fn boolean(&self) -> Result<bool, ValueError> {
        const EXPECTED: &str = "a boolean";
        self.read(EXPECTED, |raw| match raw {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Problem::Type),
        })
    }

    /// A `smallint`, `integer`, `bigint` or `oid`.
    ///
    /// # Errors
    /// No number, a fraction, or beyond 128 bits.
    pub fn integer(&self) -> Result<i128, ValueError> {
        self.read("an integer", value::number::integer)
    }

    /// A `real` or `double precision`, or a numeric written as a number.
    ///
    /// # Errors
    /// Neither a number nor one of the strings `NaN`, `Infinity` and `-Infinity`.
    pub fn float(&self) -> Result<f64, ValueError> {
        self.read("a number, \"NaN\", \"Infinity\" or \"-Infinity\"", value::number::float)
    }

    /// A string: text types, enums, json, xml, inet, and whatever else Debezium writes as a string. Borrowed unless the
    /// message holds an escape.
    ///
    /// # Errors
    /// No string, or an escape that is no character.
    pub fn text(&self) -> Result<Cow<'a, str>, ValueError> {
        self.read("a string", value::text)
    }

    /// A `uuid`.
    ///
    /// # Errors
    /// No string in the form `6f1f9d2c-6b1e-4d0e-9c49-0a4b6b1f2d3e`.
    pub fn uuid(&self) -> Result<Uuid, ValueError> {
        // 32 digits and four hyphens hold neither an escape nor a placeholder.
        if let Some(uuid) = value::quoted(self.raw).filter(|text| text.len() == 36).map(Uuid::try_parse)
            && let Ok(uuid) = uuid
        {
            return Ok(uuid);
        }
        self.read("a UUID", |raw| {
            let text = value::text(raw)?;
            if text.len() == 36 {
                Uuid::try_parse(&text).map_err(|_| Problem::Type)
            } else {
                Err(Problem::Type)
            }
        })
    }

    /// A `timestamptz` or `timestamp` in microseconds since 1970. A `timestamp` is taken as UTC, as Debezium does.
    ///
    /// Strings are ISO 8601 (`ZonedTimestamp`, and `time.precision.mode=isostring`). A number's unit is that of its
    /// semantic type, else `unit`.
    ///
    /// # Errors
    /// Another form; a number without a unit; digits below a microsecond; infinity. Debezium writes infinity as several
    /// numbers and dates that PostgreSQL cannot hold, so everything outside 4713 BC to 294276 AD is taken for it.
    pub fn timestamp_micros(&self, unit: Option<TimeUnit>) -> Result<i64, ValueError> {
        if let Some(micros) = value::quoted(self.raw).and_then(value::time::timestamp_from_usual_iso) {
            return Ok(micros);
        }
        self.read("a timestamp", |raw| {
            if value::is_string(raw) {
                return value::time::timestamp_from_iso(&value::text(raw)?);
            }
            let unit = || match self.schema().and_then(FieldSchema::semantic_name) {
                Some(name) => TimeUnit::of_timestamp(name).ok_or(Problem::Semantic),
                None => unit.ok_or(Problem::UnitUnknown),
            };
            value::time::timestamp_from_number(value::number::integer(raw)?, unit()?)
        })
    }

    /// A `date` in days since 1970.
    ///
    /// # Errors
    /// Neither a number of days nor an ISO 8601 date; infinity, see [`Field::timestamp_micros`].
    pub fn date_days(&self) -> Result<i32, ValueError> {
        self.read("a date", |raw| {
            if value::is_string(raw) {
                return value::time::date_from_iso(&value::text(raw)?);
            }
            match self.schema().and_then(FieldSchema::semantic_name) {
                None | Some("io.debezium.time.Date" | "org.apache.kafka.connect.data.Date") => {
                    value::time::date_from_number(value::number::integer(raw)?)
                }
                Some(_) => Err(Problem::Semantic),
            }
        })
    }

    /// A `time` or `timetz` in microseconds since midnight (UTC); `24:00` is 86,400,000,000.
    ///
    /// # Errors
    /// As for [`Field::timestamp_micros`].
    pub fn time_micros(&self, unit: Option<TimeUnit>) -> Result<i64, ValueError> {
        self.read("a time of day", |raw| {
            if value::is_string(raw) {
                return value::time::time_from_iso(&value::text(raw)?);
            }
            let unit = || match self.schema().and_then(FieldSchema::semantic_name) {
                Some(name) => TimeUnit::of_time(name).ok_or(Problem::Semantic),
                None => unit.ok_or(Problem::UnitUnknown),
            };
            value::time::time_from_number(value::number::integer(raw)?, unit()?)
        })
    }

    /// A `numeric` or `money`, multiplied by ten to the power of `scale`.
    ///
    /// Takes `decimal.handling.mode` string, double, and precise (base64 with the schema's scale, numbers with the
    /// converter's `decimal.format=NUMERIC`, `VariableScaleDecimal`).
    ///
    /// # Errors
    /// Another form (`NaN` too), digits beyond `scale`, or beyond 128 bits.
    pub fn decimal(&self, scale: u32) -> Result<i128, ValueError> {
        const EXPECTED: &str =
            "a decimal number (base64 has no scale: set decimal.handling.mode=string or embed schemas)";
        self.read(EXPECTED, |raw| match raw.as_bytes().first() {
            Some(b'{') => value::decimal::variable_scale(raw, scale),
            Some(b'"') => {
                let text = value::text(raw)?;
                match self.schema().filter(|schema| schema.semantic_name() == Some(value::decimal::DECIMAL)) {
                    Some(schema) => {
                        let unscaled = value::bytes::decode(&text, BytesEncoding::Base64)?;
                        value::decimal::binary(&unscaled, schema.scale().ok_or(Problem::Semantic)?, scale)
                    }
                    None => value::decimal::parse(&text, scale),
                }
            }
            _ => value::decimal::parse(raw, scale),
        })
    }

    /// A `bytea`. The encoding is base64 unless declared; a column that the schema calls `bytes` is always base64.
    ///
    /// # Errors
    /// No string, or none in this encoding.
    pub fn bytes(&self, encoding: Option<BytesEncoding>) -> Result<Vec<u8>, ValueError> {
        self.read("bytes in the declared encoding", |raw| {
            let is_bytes = || self.schema().is_some_and(|schema| schema.connect_type() == "bytes");
            let encoding = encoding.filter(|_| !is_bytes()).unwrap_or_default();
            value::bytes::decode(&value::text(raw)?, encoding)
        })
    }

    /// The elements of an array, named `tags[0]`, `tags[1]`, …
    ///
    /// # Errors
    /// No array.
    pub fn elements(&self) -> Result<Vec<Field<'a>>, ValueError> {
        self.read("an array", |raw| {
            let mut parser = serde_json::Deserializer::from_str(raw);
            let values = Vec::<&'a RawValue>::deserialize(&mut parser).map_err(|_| Problem::Type)?;
            let schema = self.schema.items(&self.name);
            let element = |(index, value): (usize, &'a RawValue)| Field {
                name: Cow::Owned(format!("{}[{index}]", self.name)),
                raw: value.get(),
                place: self.place,
                schema: schema.clone(),
            };
            Ok(values.into_iter().enumerate().map(element).collect())
        })
    }

    fn read<T>(
        &self,
        expected: &'static str,
        convert: impl FnOnce(&'a str) -> Outcome<T>,
    ) -> Result<T, ValueError> {
        if self.is_unavailable() {
            return Err(self.failure(expected, Problem::Unavailable));
        }
        convert(self.raw).map_err(|problem| self.failure(expected, problem))
    }

    #[cold]
    fn failure(&self, expected: &'static str, problem: Problem) -> ValueError {
        let found = Found::value(self.raw);
        let semantic =
            || self.schema().and_then(FieldSchema::semantic_name).unwrap_or("a type without a name");
        let kind = match problem {
            Problem::Type if self.is_null() => ValueErrorKind::Null { expected },
            Problem::Type => ValueErrorKind::Type { expected, found },
            Problem::Unavailable => ValueErrorKind::Unavailable,
            Problem::Semantic => ValueErrorKind::Semantic { expected, semantic: Found::name(semantic()) },
            Problem::UnitUnknown => ValueErrorKind::UnitUnknown { found },
            Problem::Infinite => ValueErrorKind::Infinite { found },
            Problem::Overflow => ValueErrorKind::Overflow { expected, found },
            Problem::LostDigits => ValueErrorKind::LostDigits { expected, found },
        };
        let Place { part, wrapped } = self.place;
        let prefix = if wrapped { "payload." } else { "" };
        let point = if part.name().is_empty() { "" } else { "." };
        ValueError { path: format!("{prefix}{}{point}{}", part.name(), Found::name(&self.name)), kind }
    }
}
