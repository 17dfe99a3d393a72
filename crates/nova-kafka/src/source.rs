//! One topic, read as a member of a consumer group, with rdkafka.
//!
//! Invariant: librdkafka is asked one blocking thing at a time (the turn of [`Talk`](crate::talk::Talk)). So no commit
//! can be under way while an assignment is answered, not even one whose caller has given up: librdkafka sends a commit
//! that waited for its coordinator with the generation of that moment, and only the open question keeps the old one
//! alive. For the same reason the farewell is the last thing said: by `close` in its turn, or by the last holder.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use nova_pipeline::{
    Committed, ErrorKind, OffsetCommit, PipelineError, Ranges, Source, SourceEvent, SourceMessage, StartAt,
    Watermarks,
};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;

use crate::commit::commit;
use crate::context::{MemberContext, answer};
use crate::conversation::Question;
use crate::diagnosis::{self, Suspicion};
use crate::errors::{code_of, failed, fatal, kind_of};
use crate::lag;
use crate::membership::{Member, Membership};
use crate::message::KafkaMessage;
use crate::options::{GroupProtocol, KafkaConnection, KafkaOptions, misconfigured};
use crate::reach::explained;
use crate::reread::{Demand, reread};

/// How long a broker may take to answer a question about topics and offsets.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

type Event<'a> = Result<SourceEvent<KafkaMessage<BorrowedMessage<'a>>>, PipelineError>;

/// A topic, read as a member of a consumer group.
///
/// [`Source::close`] gives everything back; dropping waits for the broker's answer to the farewell, which takes
/// milliseconds then, and longer without a close before. The partitions of a member with an instance id are kept for
/// it instead, until the session timeout has passed.
pub struct KafkaSource {
    member: Arc<Membership>,
    /// Its seat in the group outlives it.
    keeps_seat: bool,
    connection: KafkaConnection,
    topic: String,
    paused: Arc<AtomicBool>,
    suspicion: Mutex<Option<Suspicion>>,
}

impl KafkaSource {
    /// Joins the group. Returns when a broker has answered that the topic exists.
    ///
    /// # Errors
    /// `Misconfigured` for a setting or a missing topic, `AccessDenied`, `Untrusted`, and `Unavailable` when no broker
    /// answers within 10 s.
    pub async fn connect(options: &KafkaOptions) -> Result<Self, PipelineError> {
        let doing = format!("connecting to Kafka at {}", options.connection.brokers);
        let config = options.config()?;
        let member: Member =
            config.create_with_context(MemberContext::default()).map_err(|error| failed(&doing, &error))?;
        let source = Self {
            member: Arc::new(Membership { member, topic: options.topic.clone() }),
            keeps_seat: options.is_static() && options.group_protocol == GroupProtocol::Classic,
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
            return Err(explained(&config, error).await);
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
        let turn = self.member.context().conversation().turn().await;
        let member = Arc::clone(&self.member);
        let answering = tokio::task::spawn_blocking(move || {
            let result = question(&member);
            // In this order, so that whoever has the next turn holds the only reference.
            drop(member);
            drop(turn);
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
                // Untrusted: another broker may be right, and this one after its next start.
                ErrorKind::Unavailable | ErrorKind::Untrusted | ErrorKind::Overloaded | ErrorKind::Fenced => {
                }
                _ => return Some(Err(failed(&doing, error))),
            },
            None => return Some(Err(failed(&doing, error))),
        }
        None
    }

    /// `None`: it heals by itself, or is to be looked into.
    fn event<'a>(&self, received: KafkaResult<BorrowedMessage<'a>>) -> Option<Event<'a>> {
        match received {
            Ok(message) => Some(Ok(SourceEvent::Message(KafkaMessage(message)))),
            Err(error) => self.sort(&error).map(|sorted| sorted.map(SourceEvent::EndOfPartition)),
        }
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

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        lag::list(&self.topic, partitions.iter().copied())
    }
}

impl Source for KafkaSource {
    type Message<'a> = KafkaMessage<BorrowedMessage<'a>>;

    fn topic(&self) -> &str {
        &self.topic
    }

    async fn next(&self) -> Event<'_> {
        let context = self.member.context();
        loop {
            if let Some(question) = context.conversation().hear() {
                return Ok(asking(question));
            }
            self.examine().await?;
            // A question arrives inside the poll of `recv`, which does not end for it: hence the second branch.
            let received = tokio::select! {
                biased;
                received = self.member.recv() => received,
                () = context.conversation().asked() => continue,
            };
            if let Some(event) = self.event(received) {
                return event;
            }
        }
    }

    /// A complaint of librdkafka that is to be looked into ends a burst; `next` looks.
    fn ready(&self) -> impl Iterator<Item = Event<'_>> {
        // One for the whole burst: `recv` makes one for each message, under two locks.
        let mut messages = self.member.stream();
        std::iter::from_fn(move || {
            if let Some(question) = self.member.context().conversation().hear() {
                return Some(Ok(asking(question)));
            }
            self.event(messages.next().now_or_never()??)
        })
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
        let positions: Vec<(i32, i64)> = positions.iter().map(|at| (at.partition, at.offset)).collect();
        let paused = Arc::clone(&self.paused);
        self.ask(move |member| {
            member
                .context()
                .conversation()
                .start(&positions, || answer(member, true, &list).map_err(|error| failed(&doing, &error)))?;
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
            member
                .context()
                .conversation()
                .release(&partitions, || answer(member, false, &list).map_err(|error| failed(&doing, &error)))
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
        reread(&self.connection, &self.topic, ranges, Demand::AllThatWasRead, visit).await
    }

    async fn close(&self) -> Result<(), PipelineError> {
        // Calls that were given up may still be under way; none may come after the farewell.
        let _turn = self.member.context().conversation().turn().await;
        self.member.say_farewell();
        // To unsubscribe would give the seat up (KIP-345). The new protocol knows a leave that keeps it (KIP-848).
        if self.keeps_seat {
            return Ok(());
        }
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

fn asking<M>(question: Question) -> SourceEvent<M> {
    match question {
        Question::Assigned(partitions) => SourceEvent::Assigned(partitions),
        Question::Revoked(partitions) => SourceEvent::Revoked(partitions),
        Question::Lost(partitions) => SourceEvent::Lost(partitions),
    }
}
