//! Which forms of the metadata a release reads, and which one it writes. A form is told by its first word.
//!
//! The rule that makes a rolling upgrade safe, and a rolling downgrade: the release that brings a new form reads it, and writes
//! the old one still; the release after it writes the new one. So two neighbouring releases understand each other, whichever
//! worker of a group is of which. There is one form today; the next one is rehearsed by tests, and by builds with the
//! feature `next-form`, in which the variable `LEDGER_FORM` says what the process is: `reads-next` or `writes-next`.
//!
//! Invariant: a release reads what it writes; and without the feature nothing but [`SHIPPED`] can be chosen.

/// What a release does with the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Release {
    /// The first words that it understands.
    pub(crate) reads: &'static [&'static str],
    /// The first word that it writes.
    pub(crate) writes: &'static str,
}

/// This release.
pub(crate) const SHIPPED: Release = Release { reads: &["n2"], writes: "n2" };

/// What this process is.
#[cfg(not(any(test, feature = "next-form")))]
pub(super) const fn release() -> Release {
    SHIPPED
}

#[cfg(any(test, feature = "next-form"))]
pub(super) use rehearsal::release;
#[cfg(test)]
pub(crate) use rehearsal::{READS_NEXT, WRITES_NEXT, acting_as};

/// A form that is to come. It says the same as today's, behind another word: what is rehearsed is the rule, not a form.
#[cfg(any(test, feature = "next-form"))]
mod rehearsal {
    use std::cell::Cell;

    use super::{Release, SHIPPED};

    /// The release that brings the next form.
    pub(crate) const READS_NEXT: Release = Release { reads: &["n2", "n3"], writes: "n2" };
    /// The one after it.
    pub(crate) const WRITES_NEXT: Release = Release { writes: "n3", ..READS_NEXT };

    thread_local! {
        static CHOSEN: Cell<Release> = Cell::new(of_process());
    }

    fn of_process() -> Release {
        match std::env::var("LEDGER_FORM").as_deref() {
            Ok("reads-next") => READS_NEXT,
            Ok("writes-next") => WRITES_NEXT,
            _ => SHIPPED,
        }
    }

    pub(in crate::ledger) fn release() -> Release {
        CHOSEN.get()
    }

    /// Does this as that release would.
    #[cfg(test)]
    pub(crate) fn acting_as<T>(release: Release, work: impl FnOnce() -> T) -> T {
        let before = CHOSEN.replace(release);
        let done = work();
        CHOSEN.set(before);
        done
    }
}
