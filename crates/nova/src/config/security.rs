//! What settings about TLS and logins must have in common, checked before anything is opened.
//!
//! Invariant: nobody believes that a connection is encrypted, verified or logged in to when it is not: a setting that
//! would have no effect is refused.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::kafka::KafkaSecurity;
use super::{Config, SslMode};

/// Settings that do not go together, with what to do about it.
#[derive(Debug, Error)]
pub enum SecurityError {
    /// A file of certificates cannot be used.
    #[error("{1} = {0}")]
    CaFile(nova_tls::CaFileError, &'static str),
    /// A setting is missing that another one needs.
    #[error("{needs} needs {key}: {cure}")]
    Missing {
        /// The setting that needs it.
        needs: &'static str,
        /// The setting that is missing.
        key: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// A setting that has no effect beside another one.
    #[error("{key} has no effect with {beside}: {cure}")]
    Idle {
        /// The setting without effect.
        key: &'static str,
        /// The other one.
        beside: &'static str,
        /// What to do.
        cure: &'static str,
    },
}

impl Config {
    /// Checks what TLS and logins need.
    pub(super) fn check_security(&self) -> Result<(), SecurityError> {
        self.check_kafka()?;
        self.check_postgres()?;
        let clickhouse = &self.clickhouse;
        if let Some(path) = &clickhouse.ca_file {
            if !clickhouse.url.starts_with("https://") {
                return Err(SecurityError::Idle {
                    key: "clickhouse.ca_file",
                    beside: "an http:// URL",
                    cure: "write https:// and the TLS port (8443) in clickhouse.url, or remove it",
                });
            }
            ca_file("clickhouse.ca_file", path)?;
        }
        Ok(())
    }

    fn check_kafka(&self) -> Result<(), SecurityError> {
        let kafka = &self.kafka;
        let logs_in = kafka.security == KafkaSecurity::SaslSsl;
        let missing =
            |key, cure| SecurityError::Missing { needs: "kafka.security = \"sasl_ssl\"", key, cure };
        if logs_in && kafka.user.is_empty() {
            return Err(missing("kafka.user", "set it to the SCRAM-SHA-512 user"));
        }
        if logs_in && kafka.password.is_empty() {
            return Err(missing("kafka.password", "set kafka.password_file or NOVA_KAFKA_PASSWORD"));
        }
        let login_is_given = !kafka.user.is_empty() || !kafka.password.is_empty();
        if login_is_given && !logs_in {
            return Err(SecurityError::Idle {
                key: "kafka.user or kafka.password",
                beside: "this kafka.security",
                cure: "set kafka.security = \"sasl_ssl\", or remove them",
            });
        }
        match &kafka.ca_file {
            Some(_) if kafka.security == KafkaSecurity::Plaintext => Err(SecurityError::Idle {
                key: "kafka.ca_file",
                beside: "kafka.security = \"plaintext\"",
                cure: "set kafka.security = \"sasl_ssl\" (or \"ssl\"), or remove it",
            }),
            Some(path) => ca_file("kafka.ca_file", path),
            None => Ok(()),
        }
    }

    fn check_postgres(&self) -> Result<(), SecurityError> {
        let postgres = &self.postgres;
        if self.connect.postgres_ca_file.is_some() && postgres.ssl_mode == SslMode::Disable {
            return Err(SecurityError::Idle {
                key: "connect.postgres_ca_file",
                beside: "postgres.ssl_mode = \"disable\"",
                cure: "set postgres.ssl_mode = \"verify-full\", or remove it",
            });
        }
        match (&postgres.ca_file, postgres.ssl_mode) {
            (Some(path), SslMode::VerifyFull) => ca_file("postgres.ca_file", path),
            (None, SslMode::Disable) => Ok(()),
            (None, SslMode::VerifyFull) => Err(SecurityError::Missing {
                needs: "postgres.ssl_mode = \"verify-full\"",
                key: "postgres.ca_file",
                cure: "set it to the certificate of the CA that issued the server's (PEM)",
            }),
            (Some(_), SslMode::Disable) => Err(SecurityError::Idle {
                key: "postgres.ca_file",
                beside: "postgres.ssl_mode = \"disable\"",
                cure: "set postgres.ssl_mode = \"verify-full\", or remove it",
            }),
        }
    }
}

/// A path; an empty one is none, as a variable of the environment can only be emptied.
pub(super) fn optional_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(Option::deserialize(from)?.filter(|path: &PathBuf| !path.as_os_str().is_empty()))
}

fn ca_file(key: &'static str, path: &Path) -> Result<(), SecurityError> {
    nova_tls::read_ca_file(path).map(drop).map_err(|error| SecurityError::CaFile(error, key))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::config::Secret;

    fn refusal(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check_security().unwrap_err().to_string()
    }

    #[test]
    fn settings_that_would_have_no_effect_are_refused_with_the_cure() {
        let ca = || Some(PathBuf::from("/etc/nova/ca.pem"));
        let text = refusal(|config| config.clickhouse.ca_file = ca());
        assert!(text.starts_with("clickhouse.ca_file has no effect") && text.contains("https://"), "{text}");
        let text = refusal(|config| config.kafka.ca_file = ca());
        assert!(text.starts_with("kafka.ca_file has no effect") && text.contains("sasl_ssl"), "{text}");
        let text = refusal(|config| config.kafka.password = Secret::new("x"));
        assert!(text.contains("set kafka.security = \"sasl_ssl\""), "{text}");
        let text = refusal(|config| config.postgres.ca_file = ca());
        assert!(text.contains("postgres.ssl_mode = \"verify-full\""), "{text}");
    }

    #[test]
    fn what_is_missing_is_named_with_the_cure() {
        let text = refusal(|config| config.kafka.security = KafkaSecurity::SaslSsl);
        assert!(text.contains("needs kafka.user"), "{text}");
        let text = refusal(|config| {
            config.kafka.security = KafkaSecurity::SaslSsl;
            config.kafka.user = "nova".into();
        });
        assert!(text.contains("needs kafka.password: set kafka.password_file"), "{text}");
        let text = refusal(|config| config.postgres.ssl_mode = SslMode::VerifyFull);
        assert!(text.contains("needs postgres.ca_file"), "{text}");
    }

    #[test]
    fn a_ca_file_is_read_before_anything_is_opened() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"no certificate").unwrap();
        let text = refusal(|config| {
            config.kafka.security = KafkaSecurity::Ssl;
            config.kafka.ca_file = Some(file.path().to_owned());
        });
        assert!(text.starts_with("kafka.ca_file = /") && text.contains("holds no certificate"), "{text}");
    }
}
