//! TLS towards the brokers, and the login behind it.
//!
//! Invariant: a password goes only through TLS, to a broker whose certificate and name were verified: what could turn
//! that off is refused in `extra`.

use std::path::PathBuf;

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

/// Settings of librdkafka that [`KafkaTls`] decides about.
const OWNED: &[&str] = &[
    "enable.ssl.certificate.verification",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.endpoint.identification.algorithm",
];

/// Where the kind of login is written, in either of its two spellings.
const MECHANISM: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];

/// How a broker is known, and how it knows us.
#[derive(Debug, Clone, Default)]
pub struct KafkaTls {
    /// PEM file of the CAs that are trusted; the system's when there is none (`ssl.ca.location`).
    pub ca_file: Option<PathBuf>,
    /// Who logs in; `None` where the brokers ask for nobody, or for a client certificate (`ssl.key.location` in `extra`).
    pub login: Option<KafkaLogin>,
}

/// A login by SCRAM-SHA-512 ([KIP-84](https://cwiki.apache.org/confluence/x/lYvMAw)); `sasl.mechanisms` in `extra`
/// names another kind.
#[derive(Debug, Clone)]
pub struct KafkaLogin {
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

impl KafkaTls {
    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", if self.login.is_some() { "sasl_ssl" } else { "ssl" });
        if let Some(path) = &self.ca_file {
            config.set("ssl.ca.location", path.display().to_string());
        }
        if let Some(KafkaLogin { user, password }) = &self.login {
            if MECHANISM.iter().all(|key| config.get(key).is_none()) {
                config.set("sasl.mechanisms", "SCRAM-SHA-512");
            }
            config.set("sasl.username", user).set("sasl.password", password.expose_secret());
        }
    }
}

pub(crate) fn is_owned(key: &str) -> bool {
    OWNED.contains(&key)
}

#[cfg(test)]
mod tests {
    use crate::KafkaConnection;

    use super::*;

    fn connection() -> KafkaConnection {
        let login = KafkaLogin { user: "nova".into(), password: "s".into() };
        let mut connection = KafkaConnection::new("127.0.0.1:1", "test");
        connection.tls = Some(KafkaTls { ca_file: Some("/ca.pem".into()), login: Some(login) });
        connection
    }

    #[test]
    fn a_login_goes_through_tls_by_scram_unless_told_otherwise() {
        let config = connection().config().unwrap();
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("ssl.ca.location"), Some("/ca.pem"));
        assert_eq!(config.get("sasl.mechanisms"), Some("SCRAM-SHA-512"));
        let mut other = connection();
        other.extra.insert("sasl.mechanism".into(), "PLAIN".into());
        assert_eq!(other.config().unwrap().get("sasl.mechanisms"), None);
        let mut anonymous = connection();
        anonymous.tls = Some(KafkaTls::default());
        let config = anonymous.config().unwrap();
        assert_eq!((config.get("security.protocol"), config.get("sasl.mechanisms")), (Some("ssl"), None));
    }

    #[test]
    fn verification_cannot_be_turned_off() {
        for key in OWNED {
            let mut connection = connection();
            connection.extra.insert((*key).into(), "none".into());
            let message = connection.config().unwrap_err().message;
            assert!(message.contains(&format!("`{key}`")), "{message}");
        }
    }
}
