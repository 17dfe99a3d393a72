//! The conversation about who reads what: the group asks, the pipeline answers.
//!
//! Invariant: at most one question is open, its answer names exactly the partitions it asked about, and only
//! partitions that this member was given and has not lost or handed back may be committed.
//!
//! librdkafka (2.12, `rdkafka_cgrp.c`) puts the question on the consumer's queue and waits in the join state
//! WAIT_ASSIGN_CALL or WAIT_UNASSIGN_CALL until `*assign`/`*unassign` is called, from any thread and at any time,
//! in the eager, the cooperative and the KIP-848 protocol. Meanwhile heartbeats go on, all partitions of the member
//! are paused, and no other question comes. A partial answer would count as a whole one, hence the exact match.

use std::collections::{BTreeMap, BTreeSet};

/// What the group asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Take these partitions.
    Assigned(Vec<i32>),
    /// Hand these partitions back.
    Revoked(Vec<i32>),
    /// These partitions are gone; say that it is understood.
    Lost(Vec<i32>),
}

impl Question {
    pub(crate) fn partitions(&self) -> &[i32] {
        match self {
            Self::Assigned(partitions) | Self::Revoked(partitions) | Self::Lost(partitions) => partitions,
        }
    }
}

/// What is open, and what has been agreed.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    open: Option<Question>,
    heard: bool,
    closing: bool,
    granted: BTreeSet<i32>,
    started: BTreeMap<i32, i64>,
}

impl Conversation {
    /// Takes a question. `false`: it needs no answer from the pipeline, librdkafka may have its own at once.
    pub(crate) fn ask(&mut self, question: Question) -> bool {
        if self.closing || question.partitions().is_empty() {
            return false;
        }
        match &question {
            Question::Assigned(partitions) => self.granted.extend(partitions),
            Question::Lost(partitions) => self.granted.retain(|partition| !partitions.contains(partition)),
            Question::Revoked(_) => {}
        }
        self.open = Some(question);
        self.heard = false;
        true
    }

    /// The open question, told once.
    pub(crate) fn hear(&mut self) -> Option<Question> {
        if self.heard {
            return None;
        }
        let question = self.open.clone()?;
        self.heard = true;
        Some(question)
    }

    /// Answers an open [`Question::Assigned`], which it takes off the table: reading begins at these offsets.
    pub(crate) fn start(&mut self, positions: &[(i32, i64)]) -> Result<Question, String> {
        let partitions: Vec<i32> = positions.iter().map(|(partition, _)| *partition).collect();
        match self.open.take() {
            Some(Question::Assigned(asked)) if same(&asked, &partitions) => {
                self.started.extend(positions.iter().copied());
                Ok(Question::Assigned(asked))
            }
            open => self.refuse(open, |open| {
                format!("start of {partitions:?} answers no assignment (open: {open:?})")
            }),
        }
    }

    /// Answers an open [`Question::Revoked`] or [`Question::Lost`], which it takes off the table: these partitions
    /// are back with the group.
    pub(crate) fn release(&mut self, partitions: &[i32]) -> Result<Question, String> {
        match self.open.take() {
            Some(question @ (Question::Revoked(_) | Question::Lost(_)))
                if same(question.partitions(), partitions) =>
            {
                self.granted.retain(|partition| !partitions.contains(partition));
                self.started.retain(|partition, _| !partitions.contains(partition));
                Ok(question)
            }
            open => self.refuse(open, |open| {
                format!("release of {partitions:?} answers no revocation (open: {open:?})")
            }),
        }
    }

    fn refuse(
        &mut self,
        open: Option<Question>,
        why: impl FnOnce(&Option<Question>) -> String,
    ) -> Result<Question, String> {
        self.open = open;
        Err(why(&self.open))
    }

    /// librdkafka refused the answer to `question`, so it still waits for one.
    pub(crate) fn reopen(&mut self, question: Question) {
        self.open.get_or_insert(question);
    }

    /// The first of these partitions that is not this member's to commit.
    pub(crate) fn not_granted(&self, partitions: impl IntoIterator<Item = i32>) -> Option<i32> {
        partitions.into_iter().find(|partition| !self.granted.contains(partition))
    }

    /// Where reading began, per partition.
    pub(crate) fn starts(&self) -> BTreeMap<i32, i64> {
        self.started.clone()
    }

    /// From now on nothing is asked any more; answers what was still open.
    pub(crate) fn close(&mut self) -> Option<Question> {
        self.closing = true;
        self.open.take()
    }
}

fn same(asked: &[i32], answered: &[i32]) -> bool {
    asked.len() == answered.len() && asked.iter().collect::<BTreeSet<_>>() == answered.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_told_once_and_stays_open_until_answered_exactly() {
        let mut talk = Conversation::default();
        assert!(talk.ask(Question::Assigned(vec![0, 2])));
        assert_eq!(talk.hear(), Some(Question::Assigned(vec![0, 2])));
        assert_eq!(talk.hear(), None);
        assert!(talk.start(&[(0, 5)]).is_err());
        assert!(talk.release(&[0, 2]).is_err());
        assert_eq!(talk.start(&[(2, 7), (0, 5)]), Ok(Question::Assigned(vec![0, 2])));
        assert!(talk.start(&[(2, 7), (0, 5)]).is_err());
        assert_eq!(talk.starts(), BTreeMap::from([(0, 5), (2, 7)]));
    }

    #[test]
    fn commits_are_for_partitions_given_and_neither_lost_nor_released() {
        let mut talk = Conversation::default();
        talk.ask(Question::Assigned(vec![0, 1, 2]));
        assert_eq!(talk.not_granted([0, 1, 2]), None, "recovery commits before it starts to read");
        talk.start(&[(0, 0), (1, 0), (2, 0)]).unwrap();
        talk.ask(Question::Revoked(vec![1]));
        assert_eq!(talk.not_granted([1]), None, "the drain commits before it releases");
        talk.release(&[1]).unwrap();
        assert_eq!(talk.not_granted([0, 1]), Some(1));
        talk.ask(Question::Lost(vec![0, 2]));
        assert_eq!(talk.not_granted([0]), Some(0), "lost at once, before the release");
    }

    #[test]
    fn a_refused_answer_leaves_the_question_to_the_farewell() {
        let mut talk = Conversation::default();
        talk.ask(Question::Assigned(vec![1]));
        talk.hear();
        let question = talk.start(&[(1, 0)]).unwrap();
        talk.reopen(question);
        assert_eq!(talk.hear(), None, "it has been told");
        assert_eq!(talk.close(), Some(Question::Assigned(vec![1])));
    }

    #[test]
    fn empty_and_closing_questions_are_not_the_pipelines() {
        let mut talk = Conversation::default();
        assert!(!talk.ask(Question::Assigned(vec![])));
        assert!(talk.ask(Question::Revoked(vec![3])));
        assert_eq!(talk.close(), Some(Question::Revoked(vec![3])));
        assert!(!talk.ask(Question::Revoked(vec![3])));
        assert_eq!(talk.hear(), None);
    }
}
