//! Kafka against ClickHouse, offset by offset: the mapping runs again over the topic, and what it makes is compared with
//! the rows that carry the lineage of each message.
//!
//! Invariant: every offset of the range is counted once: as rows that are all there, once and equal; as a skip with its
//! reason; as a dead letter that is in its topic; as no message at all; or as a finding. Nothing is written, and the
//! consumer group does not notice.

mod judge;
#[cfg(test)]
mod judge_tests;
mod letters;
mod listing;
mod plan;
mod report;
#[cfg(test)]
mod report_tests;
mod run;
mod text;

pub use letters::Letters;
pub use plan::{AuditPlan, AuditScope, Bound};
pub use report::{
    AUDIT_VERSION, AlteredColumn, AuditReport, AuditVerdict, Counts, Finding, FindingKind, PartitionAudit,
    StreamAudit,
};
pub use run::{Audited, audit};
pub use text::text;
