//! Where a test can have the process die: the boundaries between what is durable and what is not.
//!
//! Invariant: without the feature `failpoints` none of this does anything, and nothing of the crate `fail` is linked.
//! With it the environment decides: `FAILPOINTS='after-intent=2*off->return'` lets the process pass two intents and
//! kills it, by SIGKILL, after the third; `amid-insert=return(3)` kills it 3 ms into its first insert, unless the
//! insert is done by then (<https://docs.rs/fail>).

use std::future::Future;

/// A boundary that the process can die at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// A batch is about to be announced, and the one before to be committed by the same request.
    BeforeIntent,
    /// A batch is announced, and nothing of it is sent.
    AfterIntent,
    /// The insert is on its way, and not answered.
    AmidInsert,
    /// The insert is answered with success.
    AfterInsert,
    /// A durable batch is about to be committed by a request of its own.
    BeforeCommit,
    /// That commit is answered.
    AfterCommit,
    /// Dead letters are about to be written.
    BeforeLetters,
    /// Dead letters are on their way, and not acknowledged.
    AmidLetters,
    /// Dead letters are acknowledged, and the offset has not moved.
    AfterLetters,
    /// A batch that was left open is formed again, and not settled.
    Reformed,
}

#[cfg(feature = "failpoints")]
impl Boundary {
    /// The fail point's name.
    fn name(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before-intent",
            Self::AfterIntent => "after-intent",
            Self::AmidInsert => "amid-insert",
            Self::AfterInsert => "after-insert",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::BeforeLetters => "before-letters",
            Self::AmidLetters => "amid-letters",
            Self::AfterLetters => "after-letters",
            Self::Reformed => "reformed",
        }
    }

    /// Whether the process is to die here, and with which argument.
    fn chosen(self) -> Option<Option<String>> {
        static CONFIGURED: std::sync::Once = std::sync::Once::new();
        // A scenario ends when it is dropped; this one lasts as long as the process.
        CONFIGURED.call_once(|| std::mem::forget(fail::FailScenario::setup()));
        fail::eval(self.name(), |argument| argument)
    }

    fn die(self) -> ! {
        tracing::warn!(boundary = self.name(), "killed by a fail point");
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        std::process::abort()
    }
}

/// Dies if this boundary is the chosen one.
#[cfg(feature = "failpoints")]
pub fn reach(boundary: Boundary) {
    if boundary.chosen().is_some() {
        boundary.die();
    }
}

/// Does nothing: there are no fail points in this build.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn reach(_boundary: Boundary) {}

/// Does the work; dies amid it if this boundary is the chosen one, so many milliseconds in as its argument says.
#[cfg(feature = "failpoints")]
pub async fn amid<F: Future>(boundary: Boundary, work: F) -> F::Output {
    let Some(argument) = boundary.chosen() else { return work.await };
    let within_ms = argument.and_then(|argument| argument.parse().ok()).unwrap_or_default();
    match tokio::time::timeout(std::time::Duration::from_millis(within_ms), work).await {
        Ok(done) => done,
        Err(_) => boundary.die(),
    }
}

/// Does the work: there are no fail points in this build.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn amid<F: Future>(_boundary: Boundary, work: F) -> F {
    work
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_is_done_in_time_goes_on() {
        fail::cfg("amid-insert", "return(60000)").unwrap();
        assert_eq!(amid(Boundary::AmidInsert, async { 7 }).await, 7);
        fail::cfg("amid-insert", "off").unwrap();
        reach(Boundary::AmidInsert);
        fail::remove("amid-insert");
    }
}
