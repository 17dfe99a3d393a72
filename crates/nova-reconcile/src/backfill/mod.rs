//! Backfill: rows of PostgreSQL that ClickHouse lacks, in bulk, as of a snapshot, beside the live stream.
//!
//! Invariant: a row is written only for a key of which ClickHouse has no state, as of a snapshot that slot and group have
//! passed. Live traffic changes nothing about that ([`crate::repair`] says why), so what the stream delivers meanwhile is
//! neither lost nor doubled; `docs/backfill.md` has the whole argument.

mod check;
mod fill;
mod range;
mod rows;
mod run;
mod source;
mod window;

pub use check::group as check_group;
pub use fill::{Filled, Named};
pub use range::Range;
pub use run::{Backfill, Driver, FillOptions, Plan, Sample};
pub use window::Window;
