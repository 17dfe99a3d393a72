//! Wrong designs, for tests only: whoever checks the pipeline must see each of them.
//!
//! Chosen by the environment variable `NOVA_MUTANT` for a process, or by [`Mutant::choose`] for a thread.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::timeout;

use crate::ledger::Metadata;
use crate::{
    Committed, DeadLetter, DeadLetters, OffsetCommit, PipelineError, Position, Ranges, Source, Standing,
};

/// A wrong design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Offsets move past a batch before it is inserted.
    CommitBeforeInsert,
    /// Every attempt has a token of its own.
    RandomToken,
    /// A batch left open is not formed again; its messages are read anew, into other batches.
    BoundariesNotKept,
    /// Revoked partitions are handed back while their messages are in hand.
    RevokeWithoutDrain,
    /// What is in hand of lost partitions is kept.
    KeptAfterLoss,
    /// A dead letter counts as written before the broker has acknowledged it.
    LetterOnlyEnqueued,
    /// After an ambiguous answer the insert is repeated, and its answer believed.
    LineageNotAsked,
    /// Whatever the source emits counts as emitted for the first time.
    RepeatsNotDoubted,
}

thread_local! {
    static CHOSEN: Cell<Option<Mutant>> = Cell::new(std::env::var("NOVA_MUTANT").ok().and_then(|name| Mutant::named(&name)));
}

impl Mutant {
    pub(crate) const ALL: [Self; 8] = [
        Self::CommitBeforeInsert,
        Self::RandomToken,
        Self::BoundariesNotKept,
        Self::RevokeWithoutDrain,
        Self::KeptAfterLoss,
        Self::LetterOnlyEnqueued,
        Self::LineageNotAsked,
        Self::RepeatsNotDoubted,
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name)
    }

    /// Chooses what this thread runs.
    #[cfg(test)]
    pub(crate) fn choose(mutant: Option<Self>) {
        CHOSEN.set(mutant);
    }

    pub(crate) fn is_chosen(self) -> bool {
        CHOSEN.get() == Some(self)
    }
}

pub(crate) async fn commit_before_insert(source: &impl Source, ranges: &Ranges) -> Result<(), PipelineError> {
    if !Mutant::CommitBeforeInsert.is_chosen() {
        return Ok(());
    }
    let moved = ranges.iter().map(|(partition, range)| OffsetCommit {
        partition,
        offset: range.end,
        metadata: Metadata::closed(&Position::default()),
    });
    source.commit(&moved.collect::<Vec<_>>()).await
}

pub(crate) fn random_token() -> Option<String> {
    Mutant::RandomToken.is_chosen().then(|| {
        let number = RandomState::new().hash_one(0_u8);
        format!("{number:032x}")
    })
}

pub(crate) fn without_boundaries(mut committed: Vec<Committed>) -> Vec<Committed> {
    if Mutant::BoundariesNotKept.is_chosen() {
        for committed in &mut committed {
            if let Ok(Some(Metadata { position, .. })) = Metadata::decode(&committed.metadata) {
                committed.metadata = Metadata::closed(&position);
            }
        }
    }
    committed
}

pub(crate) fn never_doubted(standing: Standing) -> Standing {
    match standing {
        Standing::Doubtful if Mutant::RepeatsNotDoubted.is_chosen() => Standing::New,
        standing => standing,
    }
}

pub(crate) async fn only_enqueued(dead_letters: &impl DeadLetters, letters: &[DeadLetter]) -> bool {
    let chosen = Mutant::LetterOnlyEnqueued.is_chosen();
    if chosen {
        let _ = timeout(Duration::ZERO, dead_letters.write(letters)).await;
    }
    chosen
}
