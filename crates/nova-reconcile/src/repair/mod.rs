//! Repair: differences become rows of ±1, through the same sink as everything else.
//!
//! Invariant: a plan has one effect, however often it is applied, wherever it is killed, and whatever is written beside
//! it. `docs/repair.md` says why.

mod apply;
#[cfg(test)]
mod apply_tests;
mod cell;
#[cfg(test)]
mod cell_tests;
mod ledger;
mod net;
mod plan;
#[cfg(test)]
mod plan_tests;
mod rows;

pub use apply::{Application, Applied, ApplyError, LeftOut, Look};
pub use cell::CellTextError;
pub use ledger::{Author, Phase, Recorded, record, recorded};
pub use plan::{Entry, PLAN_VERSION, Plan, PlanError, PlannedRow, Selection, StreamPlan};
pub use rows::RowError;
