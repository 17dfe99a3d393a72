//! What applications tell about posts: views and shares (likes and comments are table changes).
//!
//! Each type has three versions; `docs/events.md` says what changed between them and why. Documents of all three are
//! read, and become the newest; `schemas/events` holds their JSON Schemas.
//!
//! Invariant: what [`EngagementBuilder`] makes is valid under the schema of [`CURRENT_VERSION`](crate::CURRENT_VERSION).

mod builder;
mod decode;
mod read;
mod versions;

use std::borrow::Cow;

use serde::Serialize;

use crate::{TraceParent, Uuid};

#[cfg(feature = "outbox")]
pub(crate) use builder::check;
pub use builder::{EngagementBuilder, InvalidEvent, MAX_CLOCK_AHEAD};
pub use decode::{decode_engagement, decode_engagement_texts};
pub use versions::{EngagementV1, EngagementV2, Version};

/// The longest dwell time, in milliseconds: a day. More is a stopwatch that nobody stopped.
pub const MAX_DWELL_TIME_MS: u32 = 86_400_000;

/// The `producer` of events that were written before version 3, when they did not name it.
pub const UNKNOWN_PRODUCER: &str = "unknown";

/// What somebody did with a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngagementType {
    /// Looked at it.
    View,
    /// Passed it on.
    Share,
}

impl EngagementType {
    /// All types.
    pub const ALL: [Self; 2] = [Self::View, Self::Share];

    /// Its name on the wire, in the outbox and in ClickHouse's `event_type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Share => "share",
        }
    }
}

/// A view or a share, in the newest version. The strings are borrowed from the document it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngagementEvent<'a> {
    /// What was done.
    pub event_type: EngagementType,
    /// The post.
    pub post_id: Uuid,
    /// Who did it.
    pub user_id: Uuid,
    /// How long the post was looked at, in milliseconds, at most [`MAX_DWELL_TIME_MS`]; 0 where nobody measured.
    pub dwell_time_ms: u32,
    /// The program that wrote the event, `name/version`, 1 to 100 characters of `A-Za-z0-9._/@+-`, the first one of
    /// `A-Za-z0-9`; [`UNKNOWN_PRODUCER`] before version 3.
    pub producer: Cow<'a, str>,
    /// The span in which it came about, when it was traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
}

/// A view or a share in the newest version, as names and JSON texts of its fields, those of [`EngagementTexts::NAMES`] in
/// their order. `id` is the event's id, as the outbox calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngagementTexts<'a>(pub(crate) [(&'static str, &'a str); 7]);

impl<'a> EngagementTexts<'a> {
    /// The fields.
    pub const NAMES: [&'static str; 7] =
        ["id", "event_type", "post_id", "user_id", "dwell_time_ms", "producer", "traceparent"];

    /// Name and JSON text of each field.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, &'a str); 7] {
        self.0
    }
}

impl EngagementEvent<'_> {
    /// The same, independent of the document.
    #[must_use]
    pub fn into_owned(self) -> EngagementEvent<'static> {
        EngagementEvent { producer: Cow::Owned(self.producer.into_owned()), ..self }
    }
}
