//! A model of everything around the pipeline, in memory and in simulated time, to search for histories in which a row
//! is lost, doubled or invented.
//!
//! The code under test is the real one: [`Run`](crate::run::Run), `Delivery`, `Ledger`. Modelled are the consumer group
//! ([`group`]), the topic ([`topic`]) and what a connector writes into it ([`story`]), a MergeTree with its de-duplication log ([`table`]), the clients that reach them
//! ([`member`], [`sink`], [`letters`]) and the processes that run the code ([`process`]). Whatever a client asks of a
//! server is an *effect*; effects are numbered, and a case says which fault meets which of them ([`fault`]). So a
//! history is a pure function of its [`Case`], and can be run again.
//!
//! Checked at every step: a committed offset is never past what is durable and never goes back; no row is there twice,
//! and no change by two messages; nothing is committed for a partition that was handed back. Checked at the end, after
//! healing: everything was consumed, each change is its rows, each poisoned message a letter, and the sum of all rows
//! of each key is its state in PostgreSQL.

mod case;
mod check;
mod exhaustive;
mod fault;
mod group;
mod letters;
mod limits;
mod meddling;
mod member;
#[cfg(feature = "mutants")]
mod mutants;
mod process;
mod random;
mod regressions;
mod sink;
mod story;
mod table;
mod topic;
mod upgrade;
mod world;

pub(crate) use case::Case;
pub(crate) use fault::{At, Break, Fault, Order, When};
pub(crate) use story::Twist;
