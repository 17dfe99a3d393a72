//! Says on stderr what is being waited for: a spinner on a terminal, one plain line elsewhere.

use crate::bar::Bar;

/// Shown until dropped.
pub(super) struct Progress(#[expect(dead_code, reason = "its end clears the line")] Bar);

impl Progress {
    pub(super) fn start(message: String) -> Self {
        let bar = Bar::spinning(message.clone());
        if bar.is_hidden() {
            eprintln!("{message} …");
        }
        Self(bar)
    }
}
