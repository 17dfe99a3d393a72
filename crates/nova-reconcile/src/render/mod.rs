//! Reports for people and programs: text for a terminal, JSON, one HTML page.
//!
//! Invariant: all three are made of the [`Report`] alone, so a report that was kept as JSON can be shown again.

mod differences;
pub(crate) mod fold;
mod history;
mod html;
mod payload;
mod queries;
mod style;
mod text;
mod words;

pub use history::{history_json, history_text};
pub use html::html;
pub use style::Style;
pub use text::text;

use crate::Report;

/// The report as JSON, `schemas/reports/reconcile/v1.json`, with a line feed at its end.
#[must_use]
pub fn json(report: &Report) -> String {
    pretty(report)
}

fn pretty(value: &impl serde::Serialize) -> String {
    // Maps with keys other than text are the only thing that fails, and there are none.
    let mut text =
        serde_json::to_string_pretty(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text.push('\n');
    text
}
