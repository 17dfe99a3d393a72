//! What librdkafka calls back: questions of the group, errors, logs.
//!
//! Invariant: a callback never blocks and never answers for the pipeline; it hands the question to [`Talk`].

use std::sync::{Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;

use crate::conversation::Question;
use crate::talk::Talk;

/// Logs and errors of librdkafka go to `tracing` under the target `librdkafka`; librdkafka redacts its secrets.
pub(crate) struct Logs;

impl ClientContext for Logs {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward(level, facility, message);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        complain(&error, reason);
    }
}

impl ConsumerContext for Logs {}

/// The callbacks of a member of a consumer group.
#[derive(Default)]
pub(crate) struct MemberContext {
    conversation: Talk,
    last_error: Mutex<String>,
}

impl MemberContext {
    pub(crate) fn conversation(&self) -> &Talk {
        &self.conversation
    }

    /// The last error librdkafka complained of, in its words, for messages to people.
    pub(crate) fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward(level, facility, message);
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(Code::PartitionEOF) {
            return;
        }
        complain(&error, reason);
        // That all brokers are down says less than why the last one is.
        if code != Some(Code::AllBrokersDown) {
            reason.clone_into(&mut self.last_error.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let question = if assigned {
            Question::Assigned(partitions)
        } else if consumer.assignment_lost() {
            Question::Lost(partitions)
        } else {
            Question::Revoked(partitions)
        };
        tracing::info!(?question, "the consumer group asks");
        if self.conversation().ask(question) {
            return;
        }
        if let Err(error) = answer(consumer, assigned, list) {
            tracing::warn!(%error, "librdkafka refused an answer to a rebalance");
        }
    }
}

/// Gives librdkafka the answer it waits for, in the form its protocol wants.
pub(crate) fn answer<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    assigned: bool,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match (consumer.rebalance_protocol(), assigned) {
        (RebalanceProtocol::Cooperative, true) => consumer.incremental_assign(list),
        (RebalanceProtocol::Cooperative, false) => consumer.incremental_unassign(list),
        (_, true) => consumer.assign(list),
        (_, false) => consumer.unassign(),
    }
}

fn forward(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // Lost and refused connections come to `complain` as well, in the same words.
    if facility == "FAIL" {
        return tracing::debug!(target: "librdkafka", facility, "{message}");
    }
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{message}")
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

fn complain(error: &KafkaError, reason: &str) {
    // Where a reader that stands at the end is asked to say so; it hears of it by `poll`, too.
    if error.rdkafka_error_code() == Some(Code::PartitionEOF) {
        return;
    }
    // Several times a second from every client while a broker is away; why it is away comes by itself, with a pause.
    if error.rdkafka_error_code() == Some(Code::AllBrokersDown) {
        return tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
    // A warning: librdkafka reconnects by itself; what cannot heal comes out of `next` as an error.
    tracing::warn!(target: "librdkafka", %error, "{reason}");
}
