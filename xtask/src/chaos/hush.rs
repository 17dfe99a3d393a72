//! Holding the application still for a fault that needs it.
//!
//! Invariant: while somebody holds [`Quiet`], no transaction of the application is open and none begins.

use tokio::sync::{Mutex, MutexGuard, Notify};

/// Shared by the application and the faults.
#[derive(Debug, Default)]
pub(super) struct Hush {
    /// Whoever holds it decides: the application writes, a fault keeps it still. Waiters come in order.
    floor: Mutex<()>,
    wanted: Notify,
}

/// The application is still.
pub(super) type Quiet<'a> = MutexGuard<'a, ()>;

impl Hush {
    /// Has the application end its transactions, and holds it.
    pub(super) async fn quiet(&self) -> Quiet<'_> {
        self.wanted.notify_one();
        self.floor.lock().await
    }

    /// The application's own turn.
    pub(super) async fn speak(&self) -> Quiet<'_> {
        self.floor.lock().await
    }

    /// Until somebody wants it to be still.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}
