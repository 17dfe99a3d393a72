//! A table's rows of one range of messages, made anew beside the table and then exchanged with it, month by month.
//!
//! ```text
//! filled     the range's rows, by today's mapping, written by the pipeline through a sink of the shadow
//! assembled  one partition at a time: `filled`'s part of it, and carried over what else the table has of it
//! asked      a view: the table as it will be. Who fills asks it, so that doubts are settled by what will be there
//! ```
//!
//! [`Shadow`] makes and drops them; [`Shadow::differing`], [`Shadow::fewer`] and [`Shadow::contradictory`] compare;
//! [`exchange_all`] is the order of copy, exchange and healing beside live writes.
//! `docs/decisions/0008-a-partition-is-exchanged-and-healed.md` says why it loses nothing.
//!
//! Invariant: the table itself is changed by one statement for each partition, which readers see whole or not at all.
//! Everything before it works on tables of the rebuild's own and can be thrown away and done again.

mod as_delivered;
mod carry;
mod compare;
mod exchange;
mod frontier;
mod shadow;
mod steps;
mod views;

pub use as_delivered::AsDelivered;
pub use compare::{Contradictory, Difference, Digest, Fewer, FewerAt, TypeSum};
pub use frontier::Frontier;
pub use shadow::{Month, Scope, Shadow};
pub use steps::{Exchanged, Live, Step, exchange_all, heal_first};
pub use views::{View, views_over};
