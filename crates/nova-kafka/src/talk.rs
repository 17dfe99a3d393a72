//! The conversation as it is shared: librdkafka's callback writes questions down, the pipeline hears and answers.
//!
//! Invariants: a question that is open has been heard or will wake who listens; the answer leaves before the next
//! question can be taken for it; whoever speaks as a member holds the turn, so a commit that waits for its
//! coordinator cannot outlive the generation it was made in. `talk_tests.rs` lets random schedules look for a
//! violation.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use nova_pipeline::{ErrorKind, PipelineError};
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::conversation::{Conversation, Question};

/// In unit tests the lock is one whose schedule the test decides.
#[cfg(test)]
use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard};

/// A [`Conversation`] between threads.
#[derive(Default)]
pub(crate) struct Talk {
    conversation: Mutex<Conversation>,
    asked: Notify,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Talk {
    /// Waits until nobody else speaks to the group as this member; the guard goes with the blocking call.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Takes a question and wakes who listens. `false`: librdkafka may have its own answer at once.
    pub(crate) fn ask(&self, question: Question) -> bool {
        // In this order: who is woken must find the question.
        let open = self.lock().ask(question);
        if open {
            self.asked.notify_one();
        }
        open
    }

    /// The open question, told once.
    pub(crate) fn hear(&self) -> Option<Question> {
        self.lock().hear()
    }

    /// Ends when a question may have come since the last call.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Answers an open assignment: reading begins at these (partition, offset).
    ///
    /// # Errors
    /// `Unknown` when `positions` answers no open assignment, else what `answer` ends in.
    pub(crate) fn start(
        &self,
        positions: &[(i32, i64)],
        answer: impl FnOnce() -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        let question = self.lock().start(positions).map_err(out_of_turn)?;
        self.answered(question, answer)
    }

    /// Answers an open revocation or loss. The partitions are not this member's any more, whatever comes of it.
    ///
    /// # Errors
    /// `Unknown` when `partitions` answers no open revocation, else what `answer` ends in.
    pub(crate) fn release(
        &self,
        partitions: &[i32],
        answer: impl FnOnce() -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        let question = self.lock().release(partitions).map_err(out_of_turn)?;
        self.answered(question, answer)
    }

    /// The next question may come before `answer` returns, so this one is off the table already. After a failure
    /// librdkafka still waits, asks nothing, and gets its answer from the farewell.
    fn answered(
        &self,
        question: Question,
        answer: impl FnOnce() -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        answer().inspect_err(|_| self.lock().reopen(question))
    }

    /// The first of these partitions that is not this member's to commit.
    pub(crate) fn not_granted(&self, partitions: impl IntoIterator<Item = i32>) -> Option<i32> {
        self.lock().not_granted(partitions)
    }

    /// Where reading began, per partition.
    pub(crate) fn starts(&self) -> BTreeMap<i32, i64> {
        self.lock().starts()
    }

    /// From now on nothing is asked any more; answers what was still open.
    pub(crate) fn close(&self) -> Option<Question> {
        self.lock().close()
    }

    fn lock(&self) -> MutexGuard<'_, Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn out_of_turn(why: String) -> PipelineError {
    PipelineError::new(ErrorKind::Unknown, why)
}

#[cfg(test)]
#[path = "talk_tests.rs"]
mod tests;
