//! Which faults come when: decided by the seed alone.
//!
//! Invariant: the order of faults, their targets and lengths follow from seed and list; only the moments depend on
//! how fast the machine heals. Each kind comes once before any comes twice. In the last third faults come in twos
//! and threes at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::sleep;

use super::faults::{Draw, Fault};
use super::site::Site;

const TARGETS: usize = 1 << 16;

/// The seeded source of faults.
pub(super) struct Nemesis {
    rng: StdRng,
    kinds: Vec<Fault>,
    /// Kinds of this round that have not come yet.
    deck: Vec<Fault>,
    seed: u64,
    /// How often each kind was drawn.
    drawn: BTreeMap<Fault, u64>,
}

impl Nemesis {
    pub(super) fn new(seed: u64, kinds: &[Fault]) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            kinds: kinds.to_vec(),
            deck: Vec::new(),
            seed,
            drawn: BTreeMap::new(),
        }
    }

    /// Injects faults for so long; then everything runs again.
    ///
    /// # Errors
    /// When something does not come back.
    pub(super) async fn rage(mut self, site: &Site, lasts: Duration) -> Result<u64> {
        let mut injected = 0;
        let mixtures_from = lasts * 2 / 3;
        loop {
            let pause = Duration::from_millis(self.rng.random_range(500..2_500));
            sleep(pause).await;
            site.keep().await?;
            let now = site.timeline.now();
            if now >= lasts {
                return Ok(injected);
            }
            let draws = self.next(now >= mixtures_from);
            injected += draws.len() as u64;
            try_join_all(draws.into_iter().map(|draw| draw.inflict(site))).await?;
        }
    }

    /// The next fault, or a mixture of different ones.
    fn next(&mut self, mixture: bool) -> Vec<Draw> {
        let count = if mixture { self.rng.random_range(2..=3).min(self.kinds.len()) } else { 1 };
        let mut draws: Vec<Draw> = Vec::new();
        while draws.len() < count {
            if self.deck.is_empty() {
                self.deck = self.kinds.clone();
            }
            let fault = self.deck.swap_remove(self.rng.random_range(0..self.deck.len()));
            if fault.comes_alone() && !draws.is_empty() {
                self.deck.push(fault);
                return draws;
            }
            if draws.iter().all(|draw| draw.fault != fault) {
                let (target, length) = (self.rng.random_range(0..TARGETS), self.rng.random_range(0..=1000));
                let before = self.drawn.entry(fault).or_default();
                let turn = self.seed.wrapping_add(*before);
                *before += 1;
                draws.push(Draw { fault, target, length, turn });
            }
            if fault.comes_alone() {
                return draws;
            }
        }
        draws
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Fault; 3] = [Fault::NovaKill, Fault::KafkaKill, Fault::ClickHouseStop];

    #[test]
    fn the_seed_decides_and_every_kind_has_its_turn() {
        let draw = |seed| {
            let mut nemesis = Nemesis::new(seed, &KINDS);
            (0..30).map(|_| nemesis.next(false)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for round in draw(1).chunks(KINDS.len()) {
            assert!(KINDS.iter().all(|kind| round.iter().flatten().any(|draw| draw.fault == *kind)));
        }
    }

    #[test]
    fn a_mixture_has_different_kinds_and_one_kind_is_no_mixture() {
        let mut nemesis = Nemesis::new(1, &KINDS);
        for _ in 0..30 {
            let draws = nemesis.next(true);
            assert!(draws.len() >= 2);
            for (index, draw) in draws.iter().enumerate() {
                assert!(draws.iter().skip(index + 1).all(|other| other.fault != draw.fault));
            }
        }
        assert_eq!(Nemesis::new(1, &[Fault::NovaKill]).next(true).len(), 1);
    }

    #[test]
    fn what_comes_alone_is_in_no_mixture_and_has_its_turn() {
        let kinds = [Fault::NovaKill, Fault::KafkaKill, Fault::SnapshotAgain];
        let mut nemesis = Nemesis::new(1, &kinds);
        let rounds: Vec<Vec<Fault>> =
            (0..30).map(|_| nemesis.next(true).iter().map(|draw| draw.fault).collect()).collect();
        let alone = rounds.iter().filter(|faults| faults.contains(&Fault::SnapshotAgain));
        assert!(alone.clone().all(|faults| faults.len() == 1) && alone.count() >= 10);
    }
}
