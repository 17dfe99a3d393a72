//! Who decides about a setting of the connector: Nova alone, or Nova unless `connect.extra` says otherwise.
//!
//! Invariant: what Nova's promises rest on (nothing left out, exactly once, one order per key, values it can read)
//! cannot be overridden; it is refused by name.

use crate::exit::{Exit, Failure};

/// Settings of Debezium's PostgreSQL connector 3.7 and of Connect that are the same everywhere
/// (<https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-connector-properties>).
pub(super) const FIXED: &[(&str, &str)] = &[
    ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
    // One slot is read by one task.
    ("tasks.max", "1"),
    ("plugin.name", "pgoutput"),
    // The publication is part of the source schema; a connector that made its own would publish all tables.
    ("publication.autocreate.mode", "disabled"),
    ("publish.via.partition.root", "true"),
    ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("key.converter.schemas.enable", "false"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "false"),
    // A number in a header is read as its decimal text, whatever the worker's own converter is.
    ("header.converter", "org.apache.kafka.connect.storage.SimpleHeaderConverter"),
    ("transforms", "topic"),
    ("transforms.topic.type", "org.apache.kafka.connect.transforms.RegexRouter"),
    // Messages and source offsets in one Kafka transaction (KIP-618); refuse to run without.
    ("exactly.once.support", "required"),
    ("transaction.boundary", "poll"),
    ("errors.tolerance", "none"),
    ("event.processing.failure.handling.mode", "fail"),
    // `transaction.total_order` names a change uniquely where COPY gives many rows one LSN.
    ("provide.transaction.metadata", "true"),
    // Truncates must be seen to be refused; the default leaves them out.
    ("skipped.operations", "none"),
    // A tombstone tells a compacted topic to forget a key; Nova's topics are not compacted.
    ("tombstones.on.delete", "false"),
    // Readable without an embedded schema, and without loss: digits and time zone are in the text.
    ("decimal.handling.mode", "string"),
    ("time.precision.mode", "isostring"),
    // Base64, too, by the converter; the mode called base64 would write an unchanged TOAST value as NULL.
    ("binary.handling.mode", "bytes"),
    // Logical messages belong to no table, and the topic they would wait for does not exist.
    ("message.prefix.exclude.list", ".*"),
];

/// Settings that `connect.extra` may replace.
pub(super) const DEFAULTS: &[(&str, &str)] = &[
    ("snapshot.mode", "initial"),
    // A batch is a Kafka transaction: fewer, larger ones while catching up. The queue holds four of them, and no
    // more than 64 MiB.
    ("max.batch.size", "8192"),
    ("max.queue.size", "32768"),
    ("max.queue.size.in.bytes", "67108864"),
    // An incremental snapshot compares keys with values that it passes as text; PostgreSQL is to read them as what
    // they stand beside. Without it a table whose key has a time is skipped ("timestamp with time zone <= character
    // varying").
    ("driver.stringtype", "unspecified"),
    // A worker that was killed leaves a transaction open; until Kafka ends it, its successor waits and readers see
    // nothing new. The default is a minute.
    ("producer.override.transaction.timeout.ms", "15000"),
    // While only other tables change, nothing but a message in the WAL moves the slot on (seen with PostgreSQL 15
    // and Debezium 3.7: heartbeats alone do not); it must be transactional to count after a restart too.
    ("heartbeat.action.query", "SELECT pg_logical_emit_message(true, 'nova.heartbeat', '')"),
];

/// Settings that have a key of their own in Nova's configuration, and that key.
const ELSEWHERE: &[(&str, &str)] = &[
    ("name", "connect.connector"),
    ("slot.name", "connect.slot"),
    ("publication.name", "connect.publication"),
    ("database.hostname", "connect.postgres_host"),
    ("database.port", "postgres.port"),
    ("database.dbname", "postgres.database"),
    ("database.user", "connect.replication_user"),
    ("database.password", "connect.replication_password"),
    ("database.sslmode", "postgres.ssl_mode"),
    ("database.sslrootcert", "connect.postgres_ca_file"),
    ("heartbeat.interval.ms", "connect.heartbeat"),
    ("poll.interval.ms", "connect.poll_interval"),
    ("topic.prefix", "the streams' topics"),
    ("table.include.list", "the streams' sources"),
];

/// Beginnings of settings that would change which messages there are, where they go or how they read.
const REFUSED: &[&str] = &[
    "field.name.adjustment.mode",
    "message.key.columns",
    "predicates",
    "schema.exclude.list",
    "schema.include.list",
    "signal.data.collection",
    "signal.enabled.channels",
    "slot.drop.on.stop",
    "table.exclude.list",
    "topic.",
    "transforms",
    "unavailable.value.placeholder",
];

/// Refuses a key of `connect.extra` that is not the user's to set.
pub(super) fn check_extra(key: &str) -> Result<(), Failure> {
    let cure = if let Some((_, own)) = ELSEWHERE.iter().find(|(owned, _)| *owned == key) {
        format!("Take it out; it follows from {own}.")
    } else if FIXED.iter().any(|(owned, _)| *owned == key)
        || REFUSED.iter().any(|start| key.starts_with(start))
    {
        "Take it out; Nova's promises rest on its value.".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::new(Exit::Usage, format!("connect.extra: `{key}` is set by Nova itself")).with_cure(cure))
}

/// Whether a setting's value must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    ["password", "secret", "jaas", "credential", "token", "ssl.keystore.key"]
        .iter()
        .any(|word| key.contains(word))
}
