//! How Kafka is reached, and how a topic is read.
//!
//! Invariant: the settings that Nova's promises rest on (no automatic commits, no automatic offset reset,
//! committed data only) cannot be overridden: they are refused in `extra`, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use nova_pipeline::{ErrorKind, PipelineError};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::security::{KafkaTls, is_owned};

/// Settings of librdkafka that Nova sets itself or that would break a promise.
const OWNED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "batch.num.messages",
    "bootstrap.servers",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.max.bytes",
    "fetch.queue.backoff.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "heartbeat.interval.ms",
    "isolation.level",
    "log.queue",
    "max.poll.interval.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "queued.max.messages.kbytes",
    "request.required.acks",
    "session.timeout.ms",
    "transactional.id",
];

/// How the brokers are reached; the same for readers, dead letters and administration.
#[derive(Clone, Default)]
pub struct KafkaConnection {
    /// `host:port`, several separated by commas (`bootstrap.servers`).
    pub brokers: String,
    /// Shown in the broker's logs and quotas (`client.id`).
    pub client_id: String,
    /// TLS, and the login behind it; `None` sends everything in clear.
    pub tls: Option<KafkaTls>,
    /// Further settings of librdkafka, for example `ssl.key.location`
    /// (<https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>).
    pub extra: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaConnection {
    /// Without the values in `extra`: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConnection")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("tls", &self.tls)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl KafkaConnection {
    /// A plain connection.
    pub fn new(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), client_id: client_id.into(), tls: None, extra: BTreeMap::new() }
    }

    pub(crate) fn config(&self) -> Result<ClientConfig, PipelineError> {
        if self.brokers.trim().is_empty() {
            return Err(misconfigured("Kafka's `brokers` is empty; name at least one host:port"));
        }
        let mut config = ClientConfig::new();
        for (key, value) in &self.extra {
            if OWNED.contains(&key.as_str()) || is_owned(key) {
                return Err(misconfigured(format!(
                    "`{key}` is set by Nova and cannot be given in `extra`; remove it"
                )));
            }
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        if let Some(tls) = &self.tls {
            tls.apply(&mut config);
        }
        // rdkafka would ask the `log` crate, which nobody has set up. More comes only with `debug` in `extra`.
        config.set_log_level(RDKafkaLogLevel::Debug);
        Ok(config)
    }
}

/// The protocol by which partitions are shared in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    /// Assigned by one of the members, cooperative-sticky (KIP-429).
    #[default]
    Classic,
    /// Assigned by the broker (KIP-848; Kafka 4.0 or newer).
    Consumer,
}

/// How a topic is read.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// How the brokers are reached.
    pub connection: KafkaConnection,
    /// The consumer group.
    pub group_id: String,
    /// The topic.
    pub topic: String,
    /// Who shares out the partitions.
    pub group_protocol: GroupProtocol,
    /// A fixed name for this member: its partitions wait for it over a restart (KIP-345). No two members that live at
    /// the same time may have the same.
    pub group_instance_id: Option<String>,
    /// Without a heartbeat for this long the group gives the partitions away. The broker decides it when
    /// [`GroupProtocol::Consumer`] is used (`group.consumer.session.timeout.ms`).
    pub session_timeout: Duration,
    /// Without a call of `next` for this long the member leaves the group. A release may take as long.
    pub max_poll_interval: Duration,
    /// Fetched messages wait in at most this much memory (`queued.max.messages.kbytes`), plus one answer per broker.
    pub queue_kbytes: u32,
    /// The most one broker answers to one fetch, in bytes (`fetch.max.bytes`; never below one message).
    pub fetch_max_bytes: u32,
}

impl KafkaOptions {
    /// Options with the defaults: classic protocol, 45 s, 5 min, 16 MiB queued, 4 MiB per fetch.
    pub fn new(connection: KafkaConnection, group_id: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            connection,
            group_id: group_id.into(),
            topic: topic.into(),
            group_protocol: GroupProtocol::Classic,
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            max_poll_interval: Duration::from_secs(300),
            queue_kbytes: 16 * 1024,
            fetch_max_bytes: 4 * 1024 * 1024,
        }
    }

    pub(crate) fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    /// A member hears of a rebalance with its next heartbeat, and meanwhile its commits are refused; a cooperative
    /// rebalance has two rounds.
    fn heartbeat_interval(&self) -> Duration {
        (self.session_timeout / 10).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    pub(crate) fn config(&self) -> Result<ClientConfig, PipelineError> {
        check_topic(&self.topic)?;
        if self.group_id.is_empty() {
            return Err(misconfigured(format!(
                "the consumer group for {} has no name; set `group_id`",
                self.topic
            )));
        }
        let mut config = reader_config(&self.connection, &self.group_id)?;
        config
            .set("enable.partition.eof", "true")
            .set("max.poll.interval.ms", self.max_poll_interval.as_millis().to_string())
            .set("queued.max.messages.kbytes", self.queue_kbytes.to_string())
            .set("fetch.max.bytes", self.fetch_max_bytes.to_string())
            // A full queue is looked at again after this time; the default, 1 s, starves a fast reader.
            .set("fetch.queue.backoff.ms", "20");
        if let Some(id) = &self.group_instance_id {
            config.set("group.instance.id", id);
        }
        match self.group_protocol {
            GroupProtocol::Classic => config
                .set("group.protocol", "classic")
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
                .set("heartbeat.interval.ms", self.heartbeat_interval().as_millis().to_string()),
            GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
        };
        Ok(config)
    }
}

/// Settings that every reader of a group's offsets shares; nothing is committed and no topic is made by itself.
pub(crate) fn reader_config(
    connection: &KafkaConnection,
    group: &str,
) -> Result<ClientConfig, PipelineError> {
    let mut config = connection.config()?;
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false");
    Ok(config)
}

/// Kafka's rule for topic names: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`.
pub(crate) fn check_topic(topic: &str) -> Result<(), PipelineError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > 249 || topic == "." || topic == ".." || !topic.chars().all(legal) {
        return Err(misconfigured(format!(
            "{topic:?} is no topic name; use 1 to 249 of the characters a-z A-Z 0-9 . _ -"
        )));
    }
    Ok(())
}

pub(crate) fn misconfigured(message: impl Into<String>) -> PipelineError {
    PipelineError::new(ErrorKind::Misconfigured, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::KafkaLogin;

    fn options() -> KafkaOptions {
        KafkaOptions::new(KafkaConnection::new("127.0.0.1:1", "test"), "nova", "cdc.likes")
    }

    #[test]
    fn what_nova_promises_cannot_be_overridden() {
        for key in
            ["enable.auto.commit", "auto.offset.reset", "isolation.level", "partition.assignment.strategy"]
        {
            let mut options = options();
            options.connection.extra.insert(key.into(), "x".into());
            let error = options.config().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Misconfigured);
            assert!(error.message.contains(&format!("`{key}`")), "{}", error.message);
        }
    }

    #[test]
    fn both_protocols_make_a_configuration_that_librdkafka_takes() {
        let mut options = options();
        options.connection.extra.insert("topic.metadata.refresh.interval.ms".into(), "500".into());
        for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
            options.group_protocol = protocol;
            let config = options.config().unwrap();
            assert_eq!(config.get("enable.auto.commit"), Some("false"));
            assert_eq!(config.get("auto.offset.reset"), Some("error"));
            assert_eq!(config.get("isolation.level"), Some("read_committed"));
            let consumer: Result<rdkafka::consumer::BaseConsumer, _> = config.create();
            assert!(consumer.is_ok(), "{:?}", consumer.err());
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let mut connection = KafkaConnection::new("127.0.0.1:1", "test");
        connection.extra.insert("ssl.key.password".into(), "hunter2".into());
        let login = KafkaLogin { user: "nova".into(), password: "hunter3".into() };
        connection.tls = Some(KafkaTls { ca_file: None, login: Some(login) });
        let text = format!("{connection:?}");
        assert!(text.contains("ssl.key.password") && !text.contains("hunter"), "{text}");
    }

    #[test]
    fn topic_names_follow_kafkas_rule() {
        assert!(check_topic("cdc.likes_v2-a").is_ok());
        for bad in ["", ".", "..", "a b", "a/b", "nul\0", &"x".repeat(250)] {
            assert!(check_topic(bad).is_err(), "{bad:?}");
        }
    }
}
