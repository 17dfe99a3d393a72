//! From tables to topics: what Debezium names a topic, and what a RegexRouter makes of it.
//!
//! Debezium writes the changes of `public.likes` to `<topic.prefix>.public.likes`
//! (<https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-topic-names>); the
//! router leaves the schema out. The rows of an outbox become events, whose topic is told by the rows themselves; see
//! [`Outbox`]. Invariant: every declared topic is the topic its table's changes arrive in, and no two tables share one.

use std::collections::BTreeMap;

use nova_streams::{Format, Stream, StreamSet};

use super::outbox::Outbox;
use crate::exit::{Exit, Failure};

/// The table by which incremental snapshots are asked for (Debezium's source signal channel).
pub const SIGNAL_TABLE: &str = "public.debezium_signal";

/// Which tables are captured, and where their changes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    prefix: String,
    /// Topic by captured table.
    topics: BTreeMap<String, String>,
    outbox: Option<Outbox>,
}

impl Routing {
    /// Finds the prefix that all declared topics have in common.
    ///
    /// # Errors
    /// Every stream whose topic the routing cannot produce, with the topic that it can.
    pub fn of(streams: &StreamSet) -> Result<Self, Failure> {
        let prefix = most_common_prefix(streams)?;
        let mut topics: BTreeMap<String, String> = BTreeMap::new();
        let (outbox, mut findings) = Outbox::of(streams);
        for stream in changes(streams) {
            let Stream { name, topic, source, .. } = stream;
            let produced = format!("{prefix}.{}", topic_part(table_of(source)));
            if *topic != produced {
                findings.push(format!(
                    "streams.{name}: topic `{topic}`: the changes of {source} arrive in `{produced}`"
                ));
            } else if own_topics(&prefix).contains(topic) {
                findings.push(format!(
                    "streams.{name}: topic `{topic}` is used by Debezium itself; rename the table"
                ));
            } else if let Some((other, _)) =
                topics.iter().find(|(other, routed)| *routed == topic && *other != source)
            {
                findings.push(format!(
                    "streams.{name}: topic `{topic}`: the changes of {other} and {source} would be mixed in it"
                ));
            } else {
                topics.insert(source.clone(), topic.clone());
            }
        }
        if findings.is_empty() { Ok(Self { prefix, topics, outbox }) } else { Err(refused(&findings)) }
    }

    /// Debezium's `topic.prefix`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The captured tables, `schema.table`.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str).chain(self.outbox.as_ref().map(Outbox::table))
    }

    /// The declared topics.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.values().map(String::as_str).chain(self.outbox.iter().flat_map(Outbox::topics))
    }

    /// The connector's settings for the events of the outbox, if any stream reads them.
    pub fn outbox_settings(&self) -> Vec<(&'static str, String)> {
        self.outbox.as_ref().map_or_else(Vec::new, |outbox| outbox.settings(&self.prefix))
    }

    /// The topics that Debezium needs for itself. It waits for ever, without an error, for one that is missing.
    pub fn own_topics(&self) -> [String; 3] {
        own_topics(&self.prefix)
    }

    /// `table.include.list`: a regular expression for each table, which must match the whole name.
    pub fn include_list(&self) -> String {
        self.tables().map(escaped).collect::<Vec<_>>().join(",")
    }

    /// The router's `regex`; it leaves Debezium's own topics alone, except that of the signal table.
    pub fn regex(&self) -> String {
        let mut schemas: Vec<String> =
            self.tables().chain([SIGNAL_TABLE]).map(|table| escaped(&topic_part(schema_of(table)))).collect();
        schemas.sort();
        schemas.dedup();
        format!(r"{}\.(?:{})\.(.+)", escaped(&self.prefix), schemas.join("|"))
    }

    /// The router's `replacement`.
    pub fn replacement(&self) -> String {
        format!("{}.$1", self.prefix)
    }
}

/// The streams of tables' changes.
fn changes(streams: &StreamSet) -> impl Iterator<Item = &Stream> {
    streams.iter().filter(|stream| stream.format == Format::Debezium)
}

fn most_common_prefix(streams: &StreamSet) -> Result<String, Failure> {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    if changes(streams).next().is_none() {
        return Ok("cdc".to_owned());
    }
    for stream in changes(streams) {
        let table = format!(".{}", topic_part(table_of(&stream.source)));
        if let Some(prefix) = stream.topic.strip_suffix(&table).filter(|prefix| !prefix.is_empty()) {
            *votes.entry(prefix).or_default() += 1;
        }
    }
    let winner = votes.into_iter().max_by_key(|(_, count)| *count).map(|(prefix, _)| prefix.to_owned());
    winner.ok_or_else(|| {
        let list: Vec<String> = changes(streams)
            .map(|Stream { name, topic, source, .. }| {
                let table = topic_part(table_of(source));
                format!("streams.{name}: topic `{topic}`: the changes of {source} arrive in `<prefix>.{table}`, for example `cdc.{table}`")
            })
            .collect();
        refused(&list)
    })
}

fn refused(findings: &[String]) -> Failure {
    Failure::new(Exit::Usage, findings.join("\n"))
        .with_cure("Name each topic `<prefix>.<table>`, with one prefix for all streams.")
}

fn own_topics(prefix: &str) -> [String; 3] {
    [
        format!("{prefix}.transaction"),
        format!("__debezium-heartbeat.{prefix}"),
        format!("{prefix}.{}", table_of(SIGNAL_TABLE)),
    ]
}

pub(super) fn table_of(source: &str) -> &str {
    source.split_once('.').map_or(source, |(_, table)| table)
}

pub(super) fn schema_of(source: &str) -> &str {
    source.split_once('.').map_or("public", |(schema, _)| schema)
}

/// Debezium puts `_` for every character that a topic's name cannot have.
pub(super) fn topic_part(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars().map(|c| if legal(c) { c } else { '_' }).collect()
}

/// The text as a Java regular expression that matches nothing else.
pub(super) fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() && character != '_' {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Streams of `(name, source, topic)`.
    pub(in crate::connector) fn streams(declared: &[(&str, &str, &str)]) -> StreamSet {
        let text: String = declared
            .iter()
            .map(|(name, source, topic)| {
                format!(
                    "[streams.{name}]\nworker = \"cdc\"\ntopic = \"{topic}\"\nformat = \"debezium\"\nsource = \
                     \"{source}\"\ntable = \"t\"\nkey = [\"id\"]\ntime = \"at\"\n[streams.{name}.columns]\na = {{ \
                     field = \"a\" }}\n"
                )
            })
            .collect();
        StreamSet::parse("streams.toml", &text).unwrap()
    }

    fn message(declared: &[(&str, &str, &str)]) -> String {
        let failure = Routing::of(&streams(declared)).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        failure.message
    }

    #[test]
    fn the_prefix_comes_from_the_topics() {
        let routing = Routing::of(&streams(&[
            ("likes", "public.likes", "app.v1.likes"),
            ("likes_too", "public.likes", "app.v1.likes"),
            ("odd", "sales-eu.Order$Items", "app.v1.Order_Items"),
        ]))
        .unwrap();
        assert_eq!(routing.prefix(), "app.v1");
        assert_eq!(routing.include_list(), r"public\.likes,sales\-eu\.Order\$Items");
        assert_eq!(routing.regex(), r"app\.v1\.(?:public|sales\-eu)\.(.+)");
        assert_eq!(routing.replacement(), "app.v1.$1");
        assert_eq!(routing.topics().collect::<Vec<_>>(), ["app.v1.likes", "app.v1.Order_Items"]);
    }

    #[test]
    fn an_outbox_is_captured_and_its_topics_are_the_events() {
        let mut text = std::fs::read_to_string("../../config/streams.toml").unwrap();
        let routing = Routing::of(&StreamSet::parse("streams.toml", &text).unwrap()).unwrap();
        assert_eq!(routing.prefix(), "cdc");
        assert!(routing.include_list().ends_with(r"public\.posts,public\.engagement_outbox"));
        assert_eq!(routing.topics().last(), Some("events.engagement"));
        let settings: BTreeMap<_, _> = routing.outbox_settings().into_iter().collect();
        assert_eq!(settings["predicates.outbox.pattern"], r"cdc\.public\.engagement_outbox");
        assert_eq!(settings["transforms.outbox.route.topic.replacement"], "events.${routedByValue}");
        text = text.replace("\"events.engagement\"", "\"engagement\"");
        let failure = Routing::of(&StreamSet::parse("streams.toml", &text).unwrap()).unwrap_err();
        assert!(failure.message.contains("streams.engagement: topic `engagement`"), "{}", failure.message);
    }

    #[test]
    fn a_topic_that_routing_cannot_produce_is_named_with_what_is_right() {
        let found = message(&[
            ("comments", "public.comments", "cdc.comments"),
            ("likes", "public.likes", "cdc.like"),
            ("posts", "public.posts", "cdc.posts"),
            ("users", "public.users", "crm.users"),
        ]);
        assert_eq!(
            found,
            "streams.likes: topic `cdc.like`: the changes of public.likes arrive in `cdc.likes`\n\
             streams.users: topic `crm.users`: the changes of public.users arrive in `cdc.users`"
        );
        assert!(message(&[("likes", "public.likes", "likes")]).contains("for example `cdc.likes`"));
    }

    #[test]
    fn tables_do_not_share_a_topic_and_do_not_take_debeziums() {
        let mixed = message(&[("a", "one.likes", "cdc.likes"), ("b", "two.likes", "cdc.likes")]);
        assert!(mixed.contains("one.likes and two.likes would be mixed"), "{mixed}");
        let taken = message(&[("t", "public.transaction", "cdc.transaction")]);
        assert!(taken.contains("used by Debezium itself"), "{taken}");
    }
}
