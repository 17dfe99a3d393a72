//! `[kafka]`: where the brokers are, how they are spoken to, and how topics are read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nova_kafka::{KafkaConnection, KafkaLogin, KafkaTls};
use serde::{Deserialize, Serialize};

use super::Secret;

/// Kafka.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port,…`.
    pub brokers: String,
    /// Whether the brokers are spoken to in TLS, and with a login.
    pub security: KafkaSecurity,
    /// PEM file of the CAs that are trusted in TLS; the system's when there is none.
    #[serde(deserialize_with = "super::security::optional_path")]
    pub ca_file: Option<PathBuf>,
    /// Who logs in (SCRAM-SHA-512).
    pub user: String,
    /// The user's password.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub password: Secret,
    /// A file that holds the password instead.
    pub password_file: Option<PathBuf>,
    /// Consumer groups are named `<group_prefix>-<stream>`.
    pub group_prefix: String,
    /// `classic` or `consumer` (KIP-848).
    pub group_protocol: GroupProtocol,
    /// Static membership: this process's instance id; unique among the members of a group.
    pub instance_id: Option<String>,
    /// How long a silent member stays in the group.
    #[serde(with = "humantime_serde")]
    pub session_timeout: Duration,
    /// Bytes that the client fetches in advance, per stream.
    pub fetch_buffer_bytes: u32,
    /// Where poison goes; empty halts the stream instead.
    pub dead_letter_topic: String,
    /// Further settings of librdkafka as they are.
    pub librdkafka: BTreeMap<String, String>,
}

/// The brokers' listener, in Kafka's own words (`security.protocol`). There is no login without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KafkaSecurity {
    /// In clear, and nobody logs in.
    Plaintext,
    /// TLS.
    Ssl,
    /// TLS, and a login by SCRAM-SHA-512.
    SaslSsl,
}

/// How the members of a group agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupProtocol {
    /// Join, sync, heartbeat; every broker speaks it.
    Classic,
    /// KIP-848, brokers from 4.0.
    Consumer,
}

impl KafkaConfig {
    /// How the brokers are reached.
    pub fn connection(&self) -> KafkaConnection {
        let login = || KafkaLogin { user: self.user.clone(), password: self.password.to_secret_string() };
        let login = match self.security {
            KafkaSecurity::Plaintext | KafkaSecurity::Ssl => None,
            KafkaSecurity::SaslSsl => Some(login()),
        };
        let mut connection = KafkaConnection::new(&self.brokers, "nova");
        connection.tls = (self.security != KafkaSecurity::Plaintext)
            .then(|| KafkaTls { ca_file: self.ca_file.clone(), login });
        connection.extra.clone_from(&self.librdkafka);
        connection
    }
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            security: KafkaSecurity::Plaintext,
            ca_file: None,
            user: String::new(),
            password: Secret::default(),
            password_file: None,
            group_prefix: "nova".to_owned(),
            group_protocol: GroupProtocol::Classic,
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            fetch_buffer_bytes: 32 << 20,
            dead_letter_topic: "nova.dead-letters".to_owned(),
            librdkafka: BTreeMap::new(),
        }
    }
}
