//! Random schedules of librdkafka's callbacks, the pipeline's answers, given-up commits and the end.
//!
//! The group below does what `conversation.rs` says of librdkafka and what brokers do: one question at a time, the
//! old generation kept until the answer, commits judged by the generation of the moment in which they are sent, and
//! by nothing else. A question that is not heard shows as a deadlock, which shuttle reports with its schedule.

use std::collections::BTreeSet;

use nova_pipeline::PipelineError;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::{check_pct, check_random, future, thread};
use tokio::sync::Notify;

use super::Talk;
use crate::conversation::Question;

const PARTITIONS: i32 = 3;
const QUESTIONS: usize = 6;

#[derive(Default)]
struct State {
    /// What the group counts as this member's.
    owned: BTreeSet<i32>,
    generation: u32,
    /// What this member sends with its commits.
    known_generation: u32,
    unanswered: Option<Question>,
    leaving: bool,
}

/// librdkafka and the broker behind it.
#[derive(Default)]
struct Group {
    state: Mutex<State>,
    changed: Condvar,
    quiet: Notify,
}

impl Group {
    /// Asks one legal question after the other; the last one takes everything back.
    fn ask_on(&self, talk: &Talk) {
        for _ in 0..QUESTIONS {
            let Some(question) = self.next_question() else { return };
            self.ask(talk, question);
        }
        self.quiet.notify_one();
        let mut state = self.state.lock().unwrap();
        while !state.leaving {
            state = self.changed.wait(state).unwrap();
        }
        drop(state);
        if let Some(question) = self.next_question() {
            self.ask(talk, question);
        }
    }

    fn ask(&self, talk: &Talk, question: Question) {
        self.state.lock().unwrap().unanswered = Some(question.clone());
        if !talk.ask(question.clone()) {
            self.answer(&question).unwrap();
        }
        let mut state = self.state.lock().unwrap();
        while state.unanswered.is_some() {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Nothing when the member has left.
    fn next_question(&self) -> Option<Question> {
        let mut state = self.state.lock().unwrap();
        let free: Vec<i32> = (0..PARTITIONS).filter(|p| !state.owned.contains(p)).collect();
        let owned: Vec<i32> = state.owned.iter().copied().collect();
        if state.leaving {
            return (!owned.is_empty()).then_some(Question::Revoked(owned));
        }
        Some(match thread_rng().gen_range(0..4) {
            0 if !owned.is_empty() => {
                // The broker has given them away already; the member's generation is an old one from here on.
                state.generation += 1;
                state.owned.clear();
                Question::Lost(owned)
            }
            1 if !owned.is_empty() => Question::Revoked(some(&owned)),
            _ if free.is_empty() => Question::Revoked(owned),
            _ => {
                let taken = some(&free);
                state.owned.extend(&taken);
                Question::Assigned(taken)
            }
        })
    }

    fn answer(&self, answer: &Question) -> Result<(), PipelineError> {
        let mut state = self.state.lock().unwrap();
        assert_eq!(state.unanswered.as_ref(), Some(answer), "each question is answered once, and exactly");
        state.unanswered = None;
        if let Question::Revoked(partitions) = answer {
            state.generation += 1;
            state.owned.retain(|partition| !partitions.contains(partition));
        }
        state.known_generation = state.generation;
        self.changed.notify_one();
        Ok(())
    }

    /// What a commit comes to. It may wait for the coordinator, and is then sent with the generation of that moment.
    fn commit(&self, talk: &Talk, partitions: &[i32]) {
        if talk.not_granted(partitions.iter().copied()).is_some() {
            return;
        }
        thread::yield_now();
        let state = self.state.lock().unwrap();
        let accepted = state.known_generation == state.generation;
        let foreign = partitions.iter().find(|partition| !state.owned.contains(partition));
        assert!(!accepted || foreign.is_none(), "a commit of {foreign:?} was accepted: {partitions:?}");
    }

    fn leave(&self) {
        self.state.lock().unwrap().leaving = true;
        self.changed.notify_one();
    }
}

fn some(partitions: &[i32]) -> Vec<i32> {
    let count = thread_rng().gen_range(1..=partitions.len());
    let first = thread_rng().gen_range(0..=partitions.len() - count);
    partitions.iter().copied().skip(first).take(count).collect()
}

/// What `Membership` is to the real consumer.
struct Member {
    talk: Arc<Talk>,
    group: Arc<Group>,
}

impl Member {
    fn say_farewell(&self) {
        if let Some(question) = self.talk.close() {
            self.group.answer(&question).unwrap();
        }
    }

    /// A commit that its caller does not wait for.
    async fn commit_and_give_up(self: &Arc<Self>, partitions: Vec<i32>) {
        let turn = self.talk.turn().await;
        let member = Arc::clone(self);
        thread::spawn(move || {
            member.group.commit(&member.talk, &partitions);
            drop(member);
            drop(turn);
        });
    }

    async fn answer(&self, question: Question) {
        let _turn = self.talk.turn().await;
        let answer = || self.group.answer(&question);
        match &question {
            Question::Assigned(partitions) => {
                let positions: Vec<(i32, i64)> = partitions.iter().map(|partition| (*partition, 0)).collect();
                self.talk.start(&positions, answer).unwrap();
            }
            Question::Revoked(partitions) | Question::Lost(partitions) => {
                self.talk.release(partitions, answer).unwrap();
            }
        }
    }

    /// The pipeline: hears and answers, until nobody asks any more or it has had enough. It commits anything at any
    /// time: what it may not is to be refused.
    async fn live(self: &Arc<Self>) {
        while thread_rng().gen_range(0..16) > 0 {
            if thread_rng().gen_bool(0.5) {
                let all: Vec<i32> = (0..PARTITIONS).collect();
                self.commit_and_give_up(some(&all)).await;
            }
            if let Some(question) = self.talk.hear() {
                self.answer(question).await;
                continue;
            }
            thread::yield_now();
            tokio::select! {
                biased;
                () = self.talk.asked() => {}
                () = self.group.quiet.notified() => return,
            }
        }
    }

    async fn close(&self) {
        let _turn = self.talk.turn().await;
        self.say_farewell();
        self.group.leave();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.say_farewell();
        self.group.leave();
    }
}

/// One life of a member; every schedule of it must end, and no assertion above may fail.
fn one_life() {
    let (talk, group) = (Arc::new(Talk::default()), Arc::new(Group::default()));
    let member = Arc::new(Member { talk: Arc::clone(&talk), group: Arc::clone(&group) });
    let asks = thread::spawn(move || group.ask_on(&talk));
    future::block_on(async {
        member.live().await;
        if thread_rng().gen_bool(0.5) {
            member.close().await;
        }
        drop(member);
    });
    asks.join().unwrap();
}

#[test]
fn random_schedules_lose_no_question_and_commit_nothing_that_is_gone() {
    check_random(one_life, 3_000);
}

#[test]
fn schedules_with_few_switches_do_neither() {
    check_pct(one_life, 3_000, 4);
}
