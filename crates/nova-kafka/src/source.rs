//! One topic, read as a member of a consumer group, with rdkafka.
//!
//! Invariant: librdkafka is asked one blocking thing at a time (the gate). So no commit can be under way while an
//! assignment is answered, not even one whose caller has given up: librdkafka sends a commit that waited for its
//! coordinator with the generation of that moment, and only the open question keeps the old one alive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nova_pipeline::{
    Committed, ErrorKind, OffsetCommit, PipelineError, Ranges, Source, SourceEvent, SourceMessage, StartAt,
    Watermarks,
};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;

use crate::commit::commit;
use crate::context::{MemberContext, answer};
use crate::conversation::Question;
use crate::diagnosis::{self, Suspicion};
use crate::errors::{code_of, failed, fatal, kind_of};
use crate::lag;
use crate::message::KafkaMessage;
use crate::options::{KafkaConnection, KafkaOptions, misconfigured};
use crate::reread::reread;

pub(crate) type Member = StreamConsumer<MemberContext>;

/// How long a broker may take to answer a question about topics and offsets.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A topic, read as a member of a consumer group.
///
/// [`Source::close`] gives everything back; dropping waits for the broker's answer to the farewell, which takes
/// milliseconds then, and longer without a close before.
pub struct KafkaSource {
    member: Arc<Member>,
    gate: Arc<tokio::sync::Mutex<()>>,
    connection: KafkaConnection,
    topic: String,
    paused: Arc<AtomicBool>,
    suspicion: Mutex<Option<Suspicion>>,
}

impl KafkaSource {
    /// Joins the group. Returns when a broker has answered that the topic exists.
    ///
    /// # Errors
    /// `Misconfigured` for a setting or a missing topic, `AccessDenied`, and `Unavailable` when no broker answers
    /// within 10 s.
    pub async fn connect(options: &KafkaOptions) -> Result<Self, PipelineError> {
        let doing = format!("connecting to Kafka at {}", options.connection.brokers);
        let member: Member = options
            .config()?
            .create_with_context(MemberContext::new())
            .map_err(|error| failed(&doing, &error))?;
        let source = Self {
            member: Arc::new(member),
            gate: Arc::default(),
            connection: options.connection.clone(),
            topic: options.topic.clone(),
            paused: Arc::default(),
            suspicion: Mutex::default(),
        };
        let topic = options.topic.clone();
        if let Err(mut error) = source.ask(move |member| lag::partitions(member, &topic)).await {
            if error.kind == ErrorKind::Unavailable {
                // Errors wait on the queue until somebody polls it.
                let listening = async { while source.member.recv().await.is_err() {} };
                let _ = tokio::time::timeout(Duration::from_millis(200), listening).await;
                error.message =
                    format!("{doing}: {}: {}", error.message, source.member.context().last_error());
            }
            return Err(error);
        }
        source
            .member
            .subscribe(&[&source.topic])
            .map_err(|error| failed(&format!("subscribing to {}", source.topic), &error))?;
        Ok(source)
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Member) -> Result<T, PipelineError> + Send + 'static,
    ) -> Result<T, PipelineError> {
        let gate = Arc::clone(&self.gate).lock_owned().await;
        let member = Arc::clone(&self.member);
        let answering = tokio::task::spawn_blocking(move || {
            let result = question(&member);
            // In this order, so that whoever passes the gate next holds the only reference.
            drop(member);
            drop(gate);
            result
        });
        answering.await.unwrap_or_else(|error| {
            Err(PipelineError::new(ErrorKind::Unknown, format!("a call to Kafka: {error}")))
        })
    }

    /// Sorts an error of the consumer's queue: heals by itself (`None`), is an event, or is the caller's.
    fn sort(&self, error: &KafkaError) -> Option<Result<i32, PipelineError>> {
        let doing = format!("reading {}", self.topic);
        match error {
            KafkaError::PartitionEOF(partition) => return Some(Ok(*partition)),
            KafkaError::MessageConsumptionFatal(_) => {
                let why = self.member.client().fatal_error();
                let why = why.map(|(code, reason)| fatal(&doing, code, &reason));
                return Some(Err(why.unwrap_or_else(|| failed(&doing, error))));
            }
            _ => {}
        }
        match code_of(error) {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => self.suspect(Suspicion::OffsetGap),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => self.suspect(Suspicion::TopicMissing),
            Some(code) => match kind_of(code) {
                // Fenced: the question about the lost partitions follows.
                ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::Fenced => {}
                _ => return Some(Err(failed(&doing, error))),
            },
            None => return Some(Err(failed(&doing, error))),
        }
        None
    }

    fn suspect(&self, suspicion: Suspicion) {
        *self.suspicion.lock().unwrap_or_else(PoisonError::into_inner) = Some(suspicion);
    }

    /// Looks into what librdkafka complained of. A confirmed suspicion stays: the topic goes nowhere without help.
    async fn examine(&self) -> Result<(), PipelineError> {
        let suspicion = *self.suspicion.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(suspicion) = suspicion else { return Ok(()) };
        let topic = self.topic.clone();
        self.ask(move |member| diagnosis::examine(member, &topic, suspicion)).await?;
        *self.suspicion.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    /// Answers what is open, and lets librdkafka have its own answers from now on.
    fn say_farewell(&self) {
        let question = self.member.context().conversation().close();
        let answered = match &question {
            None => return,
            Some(Question::Assigned(_)) => answer(&*self.member, true, &TopicPartitionList::new()),
            Some(Question::Revoked(partitions) | Question::Lost(partitions)) => {
                answer(&*self.member, false, &self.list(partitions))
            }
        };
        if let Err(error) = answered {
            tracing::warn!(%error, ?question, "librdkafka refused the last answer");
        }
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        lag::list(&self.topic, partitions.iter().copied())
    }
}

impl Source for KafkaSource {
    type Message<'a> = KafkaMessage<BorrowedMessage<'a>>;

    fn topic(&self) -> &str {
        &self.topic
    }

    async fn next(&self) -> Result<SourceEvent<KafkaMessage<BorrowedMessage<'_>>>, PipelineError> {
        let context = self.member.context();
        loop {
            let question = context.conversation().hear();
            if let Some(question) = question {
                return Ok(match question {
                    Question::Assigned(partitions) => SourceEvent::Assigned(partitions),
                    Question::Revoked(partitions) => SourceEvent::Revoked(partitions),
                    Question::Lost(partitions) => SourceEvent::Lost(partitions),
                });
            }
            self.examine().await?;
            // A question arrives inside the poll of `recv`, which does not end for it: hence the second branch.
            let received = tokio::select! {
                biased;
                received = self.member.recv() => received,
                () = context.asked.notified() => continue,
            };
            match received {
                Ok(message) => return Ok(SourceEvent::Message(KafkaMessage(message))),
                Err(error) => match self.sort(&error) {
                    Some(Ok(partition)) => return Ok(SourceEvent::EndOfPartition(partition)),
                    Some(Err(error)) => return Err(error),
                    None => {}
                },
            }
        }
    }

    async fn committed(&self) -> Result<Vec<Committed>, PipelineError> {
        let topic = self.topic.clone();
        self.ask(move |member| lag::committed(member, &topic)).await
    }

    async fn watermarks(&self, partitions: &[i32]) -> Result<Vec<Watermarks>, PipelineError> {
        let (topic, partitions) = (self.topic.clone(), partitions.to_vec());
        self.ask(move |member| {
            partitions.iter().map(|partition| lag::watermarks(member, &topic, *partition)).collect()
        })
        .await
    }

    async fn start(&self, positions: &[StartAt]) -> Result<(), PipelineError> {
        let partitions: Vec<i32> = positions.iter().map(|at| at.partition).collect();
        let doing = format!("starting to read {} {partitions:?}", self.topic);
        let mut list = self.list(&partitions);
        for at in positions {
            if at.offset < 0 {
                return Err(misconfigured(format!("{doing}: {} is no offset", at.offset)));
            }
            list.set_partition_offset(&self.topic, at.partition, Offset::Offset(at.offset))
                .map_err(|error| failed(&doing, &error))?;
        }
        let (positions, paused) = (positions.to_vec(), Arc::clone(&self.paused));
        self.ask(move |member| {
            let context = member.context();
            context
                .conversation()
                .may_start(&partitions)
                .map_err(|why| PipelineError::new(ErrorKind::Unknown, why))?;
            answer(member, true, &list).map_err(|error| failed(&doing, &error))?;
            context.conversation().started(positions.iter().map(|at| (at.partition, at.offset)));
            if paused.load(Ordering::SeqCst) {
                member.pause(&list).map_err(|error| failed(&doing, &error))?;
            }
            Ok(())
        })
        .await
    }

    async fn release(&self, partitions: &[i32]) -> Result<(), PipelineError> {
        let (partitions, list) = (partitions.to_vec(), self.list(partitions));
        let doing = format!("handing back {} {partitions:?}", self.topic);
        self.ask(move |member| {
            let context = member.context();
            context
                .conversation()
                .may_release(&partitions)
                .map_err(|why| PipelineError::new(ErrorKind::Unknown, why))?;
            // Not ours any more, whatever comes of the answer; and the next question may follow at once.
            context.conversation().released(&partitions);
            answer(member, false, &list).map_err(|error| failed(&doing, &error))
        })
        .await
    }

    fn pause(&self) -> Result<(), PipelineError> {
        self.paused.store(true, Ordering::SeqCst);
        let pause = || self.member.pause(&self.member.assignment()?);
        pause().map_err(|error| failed(&format!("pausing {}", self.topic), &error))
    }

    fn resume(&self) -> Result<(), PipelineError> {
        self.paused.store(false, Ordering::SeqCst);
        let resume = || self.member.resume(&self.member.assignment()?);
        resume().map_err(|error| failed(&format!("resuming {}", self.topic), &error))
    }

    async fn commit(&self, commits: &[OffsetCommit]) -> Result<(), PipelineError> {
        if commits.is_empty() {
            return Ok(());
        }
        let (topic, commits) = (self.topic.clone(), commits.to_vec());
        self.ask(move |member| commit(member, &topic, &commits)).await
    }

    async fn reread(
        &self,
        ranges: &Ranges,
        visit: &mut (dyn FnMut(&dyn SourceMessage) -> Result<(), PipelineError> + Send),
    ) -> Result<(), PipelineError> {
        reread(&self.connection, &self.topic, ranges, visit).await
    }

    async fn close(&self) -> Result<(), PipelineError> {
        // Calls that were given up may still be under way; none may come after the farewell.
        let _gate = self.gate.lock().await;
        self.say_farewell();
        self.member.unsubscribe();
        // The revocation that follows is answered in a callback, which runs while the queue is polled.
        let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
        let doing = format!("leaving the consumer group of {}", self.topic);
        while self.member.assignment().map_err(|error| failed(&doing, &error))?.count() > 0 {
            let polled = tokio::time::timeout(Duration::from_millis(20), self.member.recv()).await;
            drop(polled);
            if tokio::time::Instant::now() > deadline {
                return Err(PipelineError::new(ErrorKind::Unavailable, format!("{doing}: not done in time")));
            }
        }
        Ok(())
    }
}

impl Drop for KafkaSource {
    /// Nobody will answer the group any more; without this, the consumer would wait for an answer for ever.
    fn drop(&mut self) {
        self.say_farewell();
    }
}
