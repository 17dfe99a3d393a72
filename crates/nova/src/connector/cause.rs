//! A Java stack trace or a validation's message, boiled down to its root cause and what to do about it.
//!
//! Connect reports failures as text alone, so they are told apart by words; the words are those that PostgreSQL 15,
//! Debezium 3.7 and Kafka 4.3 wrote. Invariant: an unknown cause is shown as it is, never guessed at.

use crate::config::Config;
use crate::exit::Exit;

/// How many characters of a long message are kept from its beginning and from its end.
const BEGINNING: usize = 100;
const END: usize = 300;

/// Why a connector does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The root cause, in the server's own words.
    pub sentence: String,
    /// What to do.
    pub cure: String,
    /// The exit code that fits.
    pub exit: Exit,
}

impl Cause {
    /// The cause at the bottom of a stack trace, or in a plain message.
    pub fn of(text: &str, config: &Config) -> Self {
        let sentence = root(text);
        let known = KNOWN.iter().find(|(words, ..)| words.iter().all(|word| sentence.contains(word)));
        let (exit, template) = known.map_or((Exit::Failure, UNKNOWN), |(_, exit, cure)| (*exit, *cure));
        let names = &config.connect;
        let cure = template
            .replace("{user}", &names.replication_user)
            .replace("{publication}", &names.publication)
            .replace("{slot}", &names.slot);
        Self { sentence, cure, exit }
    }
}

/// The message of the last `Caused by:`, without the exception's class, in one line.
fn root(trace: &str) -> String {
    let mut messages: Vec<String> = Vec::new();
    let mut open = false;
    for (number, line) in trace.lines().enumerate() {
        if let Some(message) = line.strip_prefix("Caused by: ") {
            messages.push(without_class(message).to_owned());
            open = true;
        } else if number == 0 {
            messages.push(without_class(line).to_owned());
            open = true;
        } else if is_frame(line) {
            open = false;
        } else if let Some(last) = messages.last_mut().filter(|_| open && !line.trim().is_empty()) {
            // A message of several lines: PostgreSQL's Detail and Hint.
            last.push_str("; ");
            last.push_str(line.trim());
        }
    }
    let said = messages.iter().rev().find(|message| !message.is_empty());
    said.map_or_else(|| "no reason was given".to_owned(), |message| shortened(message))
}

/// The beginning and the end of a long message: Debezium puts whole data structures between the two.
fn shortened(message: &str) -> String {
    let count = message.chars().count();
    if count <= BEGINNING + END {
        return message.to_owned();
    }
    let beginning: String = message.chars().take(BEGINNING).collect();
    let end: String = message.chars().skip(count - END).collect();
    format!("{beginning} … {end}")
}

fn is_frame(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("at ") || line.starts_with("... ") || line.starts_with("Suppressed: ")
}

/// Drops `org.postgresql.util.PSQLException: ` and what wraps a validation's message.
fn without_class(line: &str) -> &str {
    let line = line.trim();
    let line = line.strip_prefix("Error while validating connector config: ").unwrap_or(line);
    match line.split_once(": ") {
        Some((class, message)) if is_class(class) => message.trim(),
        None if is_class(line) => "",
        _ => line,
    }
}

fn is_class(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '$' | '_');
    text.contains('.')
        && text.chars().all(legal)
        && text.chars().next().is_some_and(|c| c.is_ascii_lowercase())
}

/// A cause that is known: the words that must all be in the sentence, the exit code, and what to do. `{user}`,
/// `{publication}` and `{slot}` stand for the configured names.
type Known = (&'static [&'static str], Exit, &'static str);

#[rustfmt::skip]
const KNOWN: &[Known] = &[
    (&["password authentication failed"], Exit::Usage, "Set connect.replication_password to {user}'s password (ALTER ROLE {user} PASSWORD '…' gives a new one)."),
    (&["password", "no password was provided"], Exit::Usage, "Set connect.replication_password."),
    (&["is not permitted to log in"], Exit::Failure, "ALTER ROLE {user} LOGIN."),
    (&["certification path"], Exit::Unavailable, "Set connect.postgres_ca_file to the CA of PostgreSQL's certificate, as it lies on Kafka Connect's machine."),
    (&["could not be verified by hostnameverifier"], Exit::Unavailable, "Name PostgreSQL in connect.postgres_host as its certificate does."),
    (&["Could not open SSL root certificate file"], Exit::Usage, "Put PostgreSQL's CA on Kafka Connect's machine, and its path there into connect.postgres_ca_file."),
    (&["no pg_hba.conf entry"], Exit::Usage, "Let {user} in from Kafka Connect's address in pg_hba.conf, then reload PostgreSQL."),
    (&["wal_level"], Exit::Failure, "ALTER SYSTEM SET wal_level = 'logical', then restart PostgreSQL."),
    (&["Publication autocreation is disabled"], Exit::Failure, "Publication {publication} is missing: apply schemas/postgres, or CREATE PUBLICATION {publication} FOR TABLE … WITH (publish_via_partition_root = true)."),
    (&["replication role"], Exit::Failure, "ALTER ROLE {user} REPLICATION."),
    (&["permission denied to", "replication slots"], Exit::Failure, "ALTER ROLE {user} REPLICATION."),
    (&["permission denied to start WAL sender"], Exit::Failure, "ALTER ROLE {user} REPLICATION."),
    (&["all replication slots are in use"], Exit::Failure, "Drop a slot that nobody uses (SELECT * FROM pg_replication_slots), or raise max_replication_slots."),
    (&["is active for PID"], Exit::Failure, "Another connector reads slot {slot}: stop it, or give this one another connect.slot."),
    (&["number of requested standby connections"], Exit::Failure, "Raise max_wal_senders, or end a replication that nobody uses."),
    (&["remaining connection slots"], Exit::Unavailable, "Raise max_connections, or end connections that nobody uses."),
    (&["can no longer get changes from replication slot"], Exit::Failure, "The WAL behind slot {slot} is gone: `nova connector resnapshot` shows the way back (docs/runbooks/lost-slot.md)."),
    (&["change stream", "no longer available on the server"], Exit::Failure, "The WAL behind slot {slot} is gone: `nova connector resnapshot` shows the way back (docs/runbooks/lost-slot.md)."),
    (&["requested WAL segment"], Exit::Failure, "The WAL behind slot {slot} is gone: `nova connector resnapshot` shows the way back (docs/runbooks/lost-slot.md)."),
    (&["permission denied for"], Exit::Failure, "GRANT SELECT on the captured tables (and SELECT, INSERT, DELETE on debezium_signal) TO {user}."),
    (&["database \"", "does not exist"], Exit::Usage, "Set postgres.database to the database that holds the tables."),
    (&["Check that the hostname and port"], Exit::Unavailable, "Start PostgreSQL, or set connect.postgres_host and postgres.port to where Kafka Connect reaches it."),
    (&["The connection attempt failed"], Exit::Unavailable, "Start PostgreSQL, or set connect.postgres_host and postgres.port to where Kafka Connect reaches it."),
    (&["exactly-once"], Exit::Failure, "Set exactly.once.source.support=enabled on every Connect worker (preparing first, when there are several)."),
    (&["exactly.once"], Exit::Failure, "Set exactly.once.source.support=enabled on every Connect worker (preparing first, when there are several)."),
    (&["Failed to find any class"], Exit::Failure, "Put Debezium's PostgreSQL connector (3.7) into the plugin.path of every Connect worker."),
    (&["Unknown connector type"], Exit::Failure, "Put Debezium's PostgreSQL connector (3.7) into the plugin.path of every Connect worker."),
    (&["value is invalid"], Exit::Usage, "Correct the setting, or take it out of connect.extra."),
    (&["Invalid value"], Exit::Usage, "Correct the setting, or take it out of connect.extra."),
    (&["not present in metadata"], Exit::Failure, "`nova connector apply` makes the topics that are missing."),
];

const UNKNOWN: &str =
    "Connect's log has the whole story; `nova doctor` checks what the connector depends on.";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(trace: &str) -> Cause {
        Cause::of(trace, &Config::default())
    }

    /// Traces of Debezium 3.7.0 on Connect 4.3.1 and PostgreSQL 15; most frames left out.
    #[test]
    fn recorded_traces_end_in_their_root_cause_and_a_cure() {
        let cases = [
            (
                "io.debezium.DebeziumException: Creation of replication slot failed\n\tat io.debezium.connector.postgresql.PostgresConnectorTask.start(PostgresConnectorTask.java:157)\nCaused by: org.postgresql.util.PSQLException: ERROR: logical decoding requires wal_level >= logical\n\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2736)\n\t... 13 more\n",
                "ERROR: logical decoding requires wal_level >= logical",
                "ALTER SYSTEM SET wal_level",
            ),
            (
                "io.debezium.DebeziumException: Creation of replication slot failed\n\tat x.y(Z.java:1)\nCaused by: org.postgresql.util.PSQLException: ERROR: all replication slots are in use\n  Hint: Free one or increase max_replication_slots.\n\tat x.y(Z.java:1)\n\t... 13 more\n",
                "ERROR: all replication slots are in use; Hint: Free one or increase max_replication_slots.",
                "max_replication_slots",
            ),
            (
                "io.debezium.DebeziumException: Creation of replication slot failed\n\tat x.y(Z.java:1)\nCaused by: org.postgresql.util.PSQLException: FATAL: must be superuser or replication role to start walsender\n\tat x.y(Z.java:1)\n\t... 13 more\n",
                "FATAL: must be superuser or replication role to start walsender",
                "ALTER ROLE nova_replication REPLICATION",
            ),
            (
                "org.apache.kafka.connect.errors.ConnectException: Publication autocreation is disabled, please create one and restart the connector.\n\tat x.y(Z.java:1)\n",
                "Publication autocreation is disabled, please create one and restart the connector.",
                "CREATE PUBLICATION nova_cdc",
            ),
            (
                "Error while validating connector config: FATAL: password authentication failed for user \"nova_replication\"",
                "FATAL: password authentication failed for user \"nova_replication\"",
                "connect.replication_password",
            ),
            (
                "Error while validating connector config: FATAL: database \"nope\" does not exist",
                "FATAL: database \"nope\" does not exist",
                "postgres.database",
            ),
            (
                "Error while validating connector config: Connection to 127.0.0.9:1 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.",
                "Connection to 127.0.0.9:1 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.",
                "connect.postgres_host",
            ),
        ];
        for (trace, sentence, cure) in cases {
            let cause = of(trace);
            assert_eq!(cause.sentence, sentence);
            assert!(cause.cure.contains(cure), "{sentence}: {}", cause.cure);
        }
    }

    #[test]
    fn of_a_long_message_the_beginning_and_the_end_are_told() {
        // As Debezium 3.7 wrote it for a slot that was dropped, shortened in the middle.
        let context = "sourceInfo=source_info[server='cdc'], ".repeat(30);
        let text = format!(
            "io.debezium.DebeziumException: The connector is trying to read change stream starting at PostgresOffsetContext [{context}], but this is no longer available on the server. Reconfigure the connector to use a snapshot mode when needed.\n\tat x.y(Z.java:1)"
        );
        let Cause { sentence, cure, .. } = of(&text);
        assert!(sentence.chars().count() < 420 && sentence.starts_with("The connector is trying to read"));
        assert!(sentence.ends_with("snapshot mode when needed."), "{sentence}");
        assert!(cure.contains("nova connector resnapshot"), "{cure}");
    }

    #[test]
    fn suppressed_exceptions_and_bare_classes_are_no_root() {
        let trace = "a.b.Outer: the message\n\tat a.b(C.java:1)\n\tSuppressed: a.b.Close: not this\n\t\tat a.b(C.java:2)\nCaused by: java.lang.NullPointerException\n\tat a.b(C.java:3)\n";
        assert_eq!(of(trace).sentence, "the message");
        assert_eq!(of("").sentence, "no reason was given");
        assert!(of("something new").cure.contains("nova doctor"));
    }
}
