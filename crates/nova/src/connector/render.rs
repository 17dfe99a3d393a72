//! The connector's settings, from the configuration and the declared streams.
//!
//! Invariant: the same configuration renders to the same settings, key by key, and a secret in them is never shown.

use std::collections::BTreeMap;

use super::routing::{Routing, SIGNAL_TABLE};
use super::settings::{DEFAULTS, FIXED, check_extra, is_secret};
use crate::config::{Config, HIDDEN, SslMode};
use crate::exit::Failure;

/// The settings of one connector, secrets included.
pub struct Rendered(BTreeMap<String, String>);

impl Rendered {
    /// Puts the settings together.
    ///
    /// # Errors
    /// A key in `connect.extra` that Nova sets itself.
    pub fn of(config: &Config, routing: &Routing) -> Result<Self, Failure> {
        let (connect, postgres) = (&config.connect, &config.postgres);
        let host = if connect.postgres_host.is_empty() { &postgres.host } else { &connect.postgres_host };
        let mut settings: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        for (key, value) in &connect.extra {
            check_extra(key)?;
            settings.insert(key.clone(), value.clone());
        }
        let derived = [
            ("slot.name", connect.slot.clone()),
            ("publication.name", connect.publication.clone()),
            ("database.hostname", host.clone()),
            ("database.port", postgres.port.to_string()),
            ("database.dbname", postgres.database.clone()),
            ("database.user", connect.replication_user.clone()),
            ("database.password", connect.replication_password.expose().to_owned()),
            ("topic.prefix", routing.prefix().to_owned()),
            ("table.include.list", routing.include_list()),
            ("transforms.topic.regex", routing.regex()),
            ("transforms.topic.replacement", routing.replacement()),
            ("signal.data.collection", SIGNAL_TABLE.to_owned()),
            ("heartbeat.interval.ms", connect.heartbeat.as_millis().to_string()),
            ("poll.interval.ms", connect.poll_interval.as_millis().to_string()),
        ];
        let fixed = FIXED.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let outbox = routing.outbox_settings();
        let tls = tls(config);
        settings.extend(
            fixed.chain(derived).chain(outbox).chain(tls).map(|(key, value)| (key.to_owned(), value)),
        );
        Ok(Self(settings))
    }

    /// The settings as Connect takes them, secrets included.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The settings as they may be shown.
    pub fn shown(&self) -> BTreeMap<&str, &str> {
        let hide = |key: &str, value| if is_secret(key) { HIDDEN } else { value };
        self.0.iter().map(|(key, value)| (key.as_str(), hide(key, value.as_str()))).collect()
    }

    /// The keys in which a registered connector's settings differ from these.
    pub fn differences(&self, registered: &BTreeMap<String, String>) -> Vec<String> {
        let missing_or_other = self.0.iter().filter(|(key, value)| registered.get(*key) != Some(value));
        // Connect adds the name to what it was given.
        let extra = registered.iter().filter(|(key, _)| *key != "name" && !self.0.contains_key(*key));
        missing_or_other.chain(extra).map(|(key, _)| key.clone()).collect()
    }

    /// A server's message without any secret that it may quote.
    pub fn scrub(&self, message: &str) -> String {
        let secrets = self.0.iter().filter(|(key, value)| is_secret(key) && !value.is_empty());
        secrets.fold(message.to_owned(), |text, (_, secret)| text.replace(secret.as_str(), HIDDEN))
    }
}

/// How Debezium knows PostgreSQL; nothing where `[postgres]` is spoken to in clear.
fn tls(config: &Config) -> Vec<(&'static str, String)> {
    let (connect, postgres) = (&config.connect, &config.postgres);
    match (postgres.ssl_mode, connect.postgres_ca_file.as_ref().or(postgres.ca_file.as_ref())) {
        (SslMode::VerifyFull, Some(path)) => vec![
            ("database.sslmode", "verify-full".to_owned()),
            ("database.sslrootcert", path.display().to_string()),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::routing::tests::streams;
    use super::*;
    use crate::config::Secret;

    fn config() -> Config {
        let mut config = Config::default();
        config.connect.replication_password = Secret::new("hunter2");
        config
    }

    fn routing() -> Routing {
        let declared = [("likes", "public.likes", "cdc.likes"), ("posts", "public.posts", "cdc.posts")];
        Routing::of(&streams(&declared)).unwrap()
    }

    #[test]
    fn the_whole_configuration_is_as_reviewed() {
        let rendered = Rendered::of(&config(), &routing()).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/connector.json")).unwrap();
        assert_eq!(serde_json::to_value(rendered.shown()).unwrap(), expected);
        assert_eq!(rendered.settings()["database.password"], "hunter2");
    }

    #[test]
    fn debezium_verifies_postgresql_as_nova_does() {
        let mut config = config();
        config.postgres.ssl_mode = SslMode::VerifyFull;
        config.postgres.ca_file = Some("/nova/ca.pem".into());
        let rendered = Rendered::of(&config, &routing()).unwrap();
        assert_eq!(rendered.settings()["database.sslmode"], "verify-full");
        assert_eq!(rendered.settings()["database.sslrootcert"], "/nova/ca.pem");
        config.connect.postgres_ca_file = Some("/connect/ca.pem".into());
        let rendered = Rendered::of(&config, &routing()).unwrap();
        assert_eq!(rendered.settings()["database.sslrootcert"], "/connect/ca.pem");
    }

    #[test]
    fn an_outbox_adds_its_router_and_nothing_else() {
        let streams = nova_streams::StreamSet::load("../../config/streams.toml".as_ref()).unwrap();
        let rendered = Rendered::of(&config(), &Routing::of(&streams).unwrap()).unwrap();
        let without = Rendered::of(&config(), &routing()).unwrap();
        let added: BTreeMap<&str, &str> = rendered
            .settings()
            .iter()
            .filter(|(key, _)| *key == "transforms" || !without.settings().contains_key(*key))
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/outbox.json")).unwrap();
        assert_eq!(serde_json::to_value(added).unwrap(), expected);
    }

    #[test]
    fn extra_adds_and_replaces_what_is_the_users() {
        let mut config = config();
        config.connect.postgres_host = "db.internal".into();
        config.connect.extra.insert("snapshot.mode".into(), "no_data".into());
        config.connect.extra.insert("producer.override.sasl.jaas.config".into(), "open sesame".into());
        let rendered = Rendered::of(&config, &routing()).unwrap();
        assert_eq!(rendered.shown()["snapshot.mode"], "no_data");
        assert_eq!(rendered.shown()["database.hostname"], "db.internal");
        assert_eq!(rendered.shown()["producer.override.sasl.jaas.config"], HIDDEN);
        assert_eq!(rendered.scrub("bad login open sesame for hunter2"), "bad login ******** for ********");
    }

    #[test]
    fn extra_cannot_touch_what_nova_rests_on() {
        for (key, cure) in [
            ("slot.name", "connect.slot"),
            ("database.sslmode", "postgres.ssl_mode"),
            ("table.include.list", "the streams' sources"),
            ("exactly.once.support", "promises"),
            ("topic.creation.default.partitions", "promises"),
            ("transforms.topic.regex", "promises"),
        ] {
            let mut config = config();
            config.connect.extra.insert(key.into(), "x".into());
            let failure = Rendered::of(&config, &routing()).err().unwrap();
            assert!(failure.message.contains(&format!("`{key}`")), "{}", failure.message);
            assert!(failure.cure.contains(cure), "{key}: {}", failure.cure);
        }
    }

    #[test]
    fn differences_are_listed_by_key() {
        let rendered = Rendered::of(&config(), &routing()).unwrap();
        let mut registered = rendered.settings().clone();
        registered.insert("name".into(), "nova-cdc".into());
        assert_eq!(rendered.differences(&registered), Vec::<String>::new());
        registered.insert("max.batch.size".into(), "1".into());
        registered.insert("custom".into(), "1".into());
        registered.remove("slot.name");
        assert_eq!(rendered.differences(&registered), ["max.batch.size", "slot.name", "custom"]);
    }
}
