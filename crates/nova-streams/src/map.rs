//! One change → rows of ±1, so that `sum(sign)` is PostgreSQL's state.
//!
//! Insert and snapshot read: +1. Delete: −1 with the before image. Update: −1 old and +1 new if a mapped column
//! changed, else a counted skip. An unchanged-TOAST placeholder is "absent" and never becomes a value.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use nova_debezium::{Change, Field, Op, Row as SourceRow};
use nova_envelope::EventEnvelope;
use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use crate::convert::{ConvertError, convert};
use crate::plan::{FieldPlan, Lookup, Plan};
use crate::{Cell, Format, Mapping, OnMessage, Row, event, source_key};

/// Which message a change came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
}

/// What a change became.
#[derive(Debug, PartialEq)]
pub enum Mapped<'a> {
    /// Rows, in order; at least one.
    Rows(Vec<Row<'a>>),
    /// Nothing, for a reason that is counted.
    Skipped(SkipReason),
}

/// Why a message became no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// The marker that follows a delete for Kafka's log compaction.
    Tombstone,
    /// Debezium's heartbeat.
    Heartbeat,
    /// Debezium's BEGIN or END of a transaction.
    TransactionMarker,
    /// A logical message (`pg_logical_emit_message`).
    LogicalMessage,
    /// A TRUNCATE, where the stream says `on_truncate = "skip"`.
    Truncate,
    /// An update that changed no mapped column.
    Unchanged,
    /// A change that the table has from an earlier message: the source emitted it again.
    Repeated,
    /// A snapshot's reading of a row whose state the table has.
    AlreadyThere,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Tombstone,
        Self::Heartbeat,
        Self::TransactionMarker,
        Self::LogicalMessage,
        Self::Truncate,
        Self::Unchanged,
        Self::Repeated,
        Self::AlreadyThere,
    ];

    /// Its name in metrics and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Heartbeat => "heartbeat",
            Self::TransactionMarker => "transaction_marker",
            Self::LogicalMessage => "logical_message",
            Self::Truncate => "truncate",
            Self::Unchanged => "unchanged",
            Self::Repeated => "repeated",
            Self::AlreadyThere => "already_there",
        }
    }
}

/// Why a change cannot become rows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct MapError {
    /// What kind of problem.
    pub kind: MapErrorKind,
    /// Where in the message, for example `after.created_at`.
    pub path: String,
    /// Names the thing, what was found and what was expected.
    pub message: String,
}

/// Kinds of problems in mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapErrorKind {
    /// A value that does not fit its column; the message alone is to blame.
    Value,
    /// The message carries another table than the stream declares.
    WrongTable,
    /// A change that has no rows by its nature, and the stream says to stop: TRUNCATE, logical message.
    Stop,
    /// The before image is missing: the table lacks REPLICA IDENTITY FULL.
    NoBeforeImage,
}

/// The image of a row within its change.
#[derive(Clone, Copy)]
enum Image {
    Before,
    After,
}

/// What every row of a change shares.
struct Context<'c, 'a> {
    change: &'c Change<'a>,
    event_id: Uuid,
    time: DateTime<Utc>,
    lineage: Lineage<'a>,
}

impl Mapping {
    /// Maps one change.
    ///
    /// # Errors
    /// See [`MapErrorKind`]; the message names stream, column, path and value.
    pub fn map<'a>(
        &self,
        event: &EventEnvelope<Change<'a>>,
        lineage: Lineage<'a>,
    ) -> Result<Mapped<'a>, MapError> {
        let change = &event.payload;
        if change.op == Op::Message {
            return self.special(self.on_message, SkipReason::LogicalMessage);
        }
        self.check_table(change)?;
        let context = Context { change, event_id: event.event_id, time: event.timestamp, lineage };
        match change.op {
            Op::Truncate => self.special(self.on_truncate, SkipReason::Truncate),
            Op::Message => Ok(Mapped::Skipped(SkipReason::LogicalMessage)),
            Op::Create | Op::Read => Ok(Mapped::Rows(vec![self.row(&context, Image::After, 1, 0)?])),
            Op::Delete => Ok(Mapped::Rows(vec![self.row(&context, Image::Before, -1, 0)?])),
            Op::Update => {
                let old = self.row(&context, Image::Before, -1, 0)?;
                if self.has_same_texts(change) {
                    return Ok(Mapped::Skipped(SkipReason::Unchanged));
                }
                let new = self.row(&context, Image::After, 1, 1)?;
                let changed =
                    old.iter().zip(&new).zip(&self.plans).any(|((old, new), plan)| {
                        matches!(plan, Plan::Field(_) | Plan::SourceKey) && old != new
                    });
                Ok(if changed {
                    Mapped::Rows(vec![old, new])
                } else {
                    Mapped::Skipped(SkipReason::Unchanged)
                })
            }
        }
    }

    /// Whether all mapped and key columns have the same text in both images: then they have the same cells, too.
    fn has_same_texts(&self, change: &Change<'_>) -> bool {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
        let mapped = self.plans.iter().filter_map(|plan| match plan {
            Plan::Field(plan) => Some(&plan.lookup),
            _ => None,
        });
        mapped.chain(&self.key).all(|lookup| match (lookup.find(before), lookup.find(after)) {
            (Some(old), Some(new)) => old.raw() == new.raw(),
            _ => false,
        })
    }

    fn special<'a>(&self, policy: OnMessage, reason: SkipReason) -> Result<Mapped<'a>, MapError> {
        match policy {
            OnMessage::Skip => Ok(Mapped::Skipped(reason)),
            OnMessage::Halt => Err(MapError {
                kind: MapErrorKind::Stop,
                path: "op".to_owned(),
                message: format!(
                    "stream `{}`: a {} of {}.{} cannot become rows, and the stream is declared to stop at it",
                    self.stream,
                    reason.name().replace('_', " "),
                    self.schema,
                    self.table
                ),
            }),
        }
    }

    fn check_table(&self, change: &Change<'_>) -> Result<(), MapError> {
        let source = &change.source;
        if self.format == Format::Envelope {
            // The topic is all that the router leaves of the table.
            return Ok(());
        }
        if source.schema == self.schema && source.table == self.table {
            return Ok(());
        }
        let message = format!(
            "stream `{}` is declared for {}.{}, and the message is a change of {}.{}",
            self.stream, self.schema, self.table, source.schema, source.table
        );
        Err(MapError { kind: MapErrorKind::WrongTable, path: "source.table".to_owned(), message })
    }

    fn row<'a>(
        &self,
        context: &Context<'_, 'a>,
        image: Image,
        sign: i64,
        ordinal: u64,
    ) -> Result<Row<'a>, MapError> {
        let Context { change, event_id, time, lineage } = context;
        let row = self.image(change, image)?;
        let mut cells = Vec::with_capacity(self.plans.len());
        for plan in &self.plans {
            cells.push(match plan {
                Plan::Field(plan) => self.field(plan, change, row, image)?,
                Plan::Constant(cell) => cell.clone(),
                Plan::Time(precision) => Cell::Ticks(event::ticks(time, *precision)),
                Plan::Sign => Cell::Int(sign),
                Plan::EventId => Cell::Uuid(*event_id),
                Plan::SourceKey => Cell::Uuid(self.identity(row, image)?),
                Plan::SourceLsn => Cell::UInt(change.source.lsn.unwrap_or_default()),
                Plan::SourceTx => Cell::UInt(change.source.tx_id.unwrap_or_default()),
                Plan::Topic => Cell::Text(Cow::Borrowed(lineage.topic)),
                Plan::Partition => Cell::UInt(lineage.partition.into()),
                Plan::Offset => Cell::UInt(lineage.offset),
                Plan::Ordinal => Cell::UInt(ordinal),
            });
        }
        Ok(cells)
    }

    fn image<'c, 'a>(&self, change: &'c Change<'a>, image: Image) -> Result<&'c SourceRow<'a>, MapError> {
        match image {
            Image::After => change.after.as_ref().ok_or_else(|| MapError {
                kind: MapErrorKind::Value,
                path: "after".to_owned(),
                message: format!("stream `{}`: the change has no `after` image", self.stream),
            }),
            Image::Before => change.before.as_ref().ok_or_else(|| self.no_before_image()),
        }
    }

    fn no_before_image(&self) -> MapError {
        let Self { stream, schema, table, .. } = self;
        let message = format!(
            "stream `{stream}`: the change lacks the row as it was before; run \
             `ALTER TABLE {schema}.{table} REPLICA IDENTITY FULL`, on every partition, too"
        );
        MapError { kind: MapErrorKind::NoBeforeImage, path: "before".to_owned(), message }
    }

    fn field<'a>(
        &self,
        plan: &FieldPlan,
        change: &Change<'a>,
        row: &SourceRow<'a>,
        image: Image,
    ) -> Result<Cell<'a>, MapError> {
        let field = self.present(&plan.lookup, change, row, image)?;
        match convert(field, &plan.column_type, &plan.source) {
            Ok(cell) => Ok(cell),
            Err(ConvertError::Null) => match (&plan.default, image) {
                (Some(default), _) => Ok(default.clone()),
                (None, Image::After) => Err(self.unfit(plan, image, ConvertError::Null)),
                // Without REPLICA IDENTITY FULL an image before a delete holds the key, and NULL everywhere else.
                (None, Image::Before) => Err(self.no_before_image()),
            },
            Err(error) => Err(self.unfit(plan, image, error)),
        }
    }

    /// The field, looked up in the other image when this one holds only a placeholder for an unchanged TOAST value.
    fn present<'r, 'a>(
        &self,
        lookup: &Lookup,
        change: &'r Change<'a>,
        row: &'r SourceRow<'a>,
        image: Image,
    ) -> Result<&'r Field<'a>, MapError> {
        let problem = |what: &str| MapError {
            kind: MapErrorKind::Value,
            path: self.path(image, lookup),
            message: format!("stream `{}`: field `{}` {what}", self.stream, lookup.name()),
        };
        let field = lookup.find(row).ok_or_else(|| problem("is not in the message"))?;
        if !field.is_unavailable() {
            return Ok(field);
        }
        let other = match image {
            Image::After => change.before.as_ref(),
            Image::Before => change.after.as_ref(),
        };
        other.and_then(|row| lookup.find(row)).filter(|field| !field.is_unavailable()).ok_or_else(|| {
            problem("is an unchanged TOAST value that the message does not carry; set REPLICA IDENTITY FULL")
        })
    }

    fn identity(&self, row: &SourceRow<'_>, image: Image) -> Result<Uuid, MapError> {
        if let [lookup] = self.key.as_slice()
            && let Some(Ok(uuid)) = lookup.find(row).map(Field::uuid)
        {
            return Ok(uuid);
        }
        let mut parts = Vec::with_capacity(self.key.len());
        for lookup in &self.key {
            let problem = |what: String| MapError {
                kind: MapErrorKind::Value,
                path: self.path(image, lookup),
                message: format!("stream `{}`: key field `{}` {what}", self.stream, lookup.name()),
            };
            let field = lookup.find(row).ok_or_else(|| problem("is not in the message".to_owned()))?;
            if field.is_null() {
                return Err(problem("is NULL".to_owned()));
            }
            // A key that is no string (an integer) stands for itself.
            parts.push(field.text().unwrap_or(Cow::Borrowed(field.raw())));
        }
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        Ok(source_key(&parts))
    }

    /// Where in the message a field stands.
    fn path(&self, image: Image, lookup: &Lookup) -> String {
        match self.format {
            Format::Debezium => format!("{}.{}", image.name(), lookup.name()),
            Format::Envelope => lookup.name().to_owned(),
        }
    }

    fn unfit(&self, plan: &FieldPlan, image: Image, error: ConvertError) -> MapError {
        let FieldPlan { column, column_type, .. } = plan;
        let path = self.path(image, &plan.lookup);
        let what = match error {
            ConvertError::Value(error) => error.to_string(),
            ConvertError::OutOfRange => "the value is outside of its range".to_owned(),
            ConvertError::NoMember(length) => format!("the value, {length} characters, is no member of it"),
            ConvertError::Null => "it is not Nullable, and the value is NULL; declare a `default`".to_owned(),
        };
        let message = format!("stream `{}`: column `{column}` {column_type}: {what}", self.stream);
        MapError { kind: MapErrorKind::Value, path, message }
    }
}

impl Image {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}
