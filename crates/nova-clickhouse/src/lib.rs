//! ClickHouse over its HTTP interface: inserts of whole batches, questions about tables, ordered migrations.
//!
//! [`Client`] sends statements and tells failures apart by exception code; [`TableSink`] is the pipeline's
//! [`Sink`](nova_pipeline::Sink) for one table; [`TableInfo`] is what start-up and `doctor` ask of a table;
//! [`Migrator`] brings the DDL of `clickhouse/` into a database; [`rebuild`] exchanges rows that were made anew.
//!
//! Invariant: what a failure means is decided by a number ([`codes`]), never by the words of a message.

mod answer;
mod block_row;
mod client;
#[cfg(test)]
mod client_tests;
mod cluster;
pub mod codes;
mod contradiction;
mod ddl;
mod encoder;
mod error;
mod history;
mod jobs;
mod known;
mod letter_actions;
mod lineage;
mod migrate;
mod migration;
mod native;
mod newest;
pub mod rebuild;
mod replay;
mod resolve;
mod row_binary;
mod schema;
mod sink;
mod spare;
mod sql;
mod stored;
mod taken_back;
mod template;
mod window;

pub use client::{Client, ClientOptions};
pub use cluster::local_table;
pub use ddl::Ddl;
pub use error::ClickHouseError;
pub use jobs::{HEARD_WITHIN, JobKind, JobRow, JobState, Jobs};
pub use known::Known;
pub use letter_actions::{LetterAction, LetterMark, mark_letters, marked_letters};
pub use migrate::{MigrateError, Migrator};
pub use migration::{MIGRATIONS, Migration, TemplateValues};
pub use newest::newest_row_age_ms;
pub use row_binary::RowBinaryBlock;
pub use schema::{TableInfo, check_grant, grants};
pub use sink::TableSink;
pub use sql::{identifier, literal_content};
pub use stored::{PlainRow, StoredRow, ToldTwice};
pub use taken_back::TakenBack;
pub use template::TemplateError;
pub use window::{ReplayHorizon, ShortWindow};
