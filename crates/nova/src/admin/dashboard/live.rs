//! What open pages are told: one look at everything for all of them, again and again.
//!
//! Invariant: without listeners nothing is asked, and their number is bounded; when the process ends, so do their streams.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::Stream;
use futures_util::stream::unfold;
use nova_worker::HealthBoard;
use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::admin::health::{Worker, workers};
use crate::facts::{Facts, Gatherer};

/// Pages at a time.
const LISTENERS: usize = 32;
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// What a page shows.
#[derive(Debug, Serialize)]
pub(super) struct View {
    /// Of all servers and streams.
    pub(super) facts: Facts,
    /// Of this process.
    pub(super) workers: Vec<Worker>,
}

/// The last view, and who waits for the next.
pub(super) struct Live {
    last: watch::Sender<Arc<str>>,
    seats: Arc<Semaphore>,
    arrived: Notify,
    shutdown: CancellationToken,
}

impl Live {
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        Self {
            last: watch::Sender::new(Arc::from("")),
            seats: Arc::new(Semaphore::new(LISTENERS)),
            arrived: Notify::new(),
            shutdown,
        }
    }

    /// The views from now on; `None` when all seats are taken.
    pub(super) fn listen(&self) -> Option<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        let views = self.last.subscribe();
        self.arrived.notify_one();
        let listener = (views, seat, self.shutdown.clone());
        Some(unfold(
            listener,
            |(mut views, seat, shutdown): (watch::Receiver<Arc<str>>, OwnedSemaphorePermit, _)| async {
                shutdown.run_until_cancelled(views.changed()).await?.ok()?;
                let view = Arc::clone(&views.borrow_and_update());
                Some((Ok(Event::default().data(&*view)), (views, seat, shutdown)))
            },
        ))
    }

    /// Tells everybody who listens what is so now.
    pub(super) fn tell(&self, view: &View) {
        match serde_json::to_string(view) {
            Ok(text) => drop(self.last.send_replace(text.into())),
            Err(error) => tracing::warn!("the dashboard has nothing to show: {error}"),
        }
    }

    /// Looks as long as there are listeners.
    pub(super) async fn look(&self, mut gatherer: Gatherer, boards: &[HealthBoard]) {
        loop {
            while self.last.receiver_count() == 0 {
                self.arrived.notified().await;
            }
            let facts = gatherer.gather().await;
            self.tell(&View { facts, workers: workers(boards) });
            sleep(INTERVAL).await;
        }
    }
}
