//! The outbox: rows that Debezium's EventRouter turns into events
//! (<https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html>).
//!
//! The router stands before the one of the topics, and only records of the outbox reach it. Invariant: it sends the
//! document that the application wrote, keyed by its aggregate, to `<prefix>.<aggregate_type>`, with the event's place
//! in PostgreSQL in headers.

use nova_streams::{Format, Stream, StreamSet};

use super::routing::{escaped, schema_of, table_of, topic_part};

/// The outbox of all streams that read envelopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outbox {
    /// `schema.table`.
    table: String,
    /// What stands before the aggregate's type in a topic's name.
    prefix: String,
    topics: Vec<String>,
}

/// Settings that are the same for every outbox.
const FIXED: &[(&str, &str)] = &[
    ("transforms", "outbox,topic"),
    ("predicates", "outbox"),
    ("predicates.outbox.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
    ("transforms.outbox.type", "io.debezium.transforms.outbox.EventRouter"),
    ("transforms.outbox.predicate", "outbox"),
    ("transforms.outbox.table.field.event.id", "id"),
    ("transforms.outbox.table.field.event.key", "aggregate_id"),
    ("transforms.outbox.table.field.event.payload", "payload"),
    ("transforms.outbox.route.by.field", "aggregate_type"),
    // The document itself, not a JSON string that holds it.
    ("transforms.outbox.table.expand.json.payload", "true"),
    // Nova's position: see docs/exactly-once.md.
    ("transforms.outbox.table.fields.additional.placement", "seq:header:seq,source_tx:header:source_tx"),
    // PostgreSQL refuses an UPDATE of the outbox; one that gets past it is an error in Connect's log.
    ("transforms.outbox.table.op.invalid.behavior", "error"),
];

impl Outbox {
    /// The outbox that the streams read, if any, and what is wrong with the declarations.
    pub(super) fn of(streams: &StreamSet) -> (Option<Self>, Vec<String>) {
        let mut outbox: Option<Self> = None;
        let mut findings = Vec::new();
        for stream in streams.iter().filter(|stream| stream.format == Format::Envelope) {
            let Stream { name, topic, source, .. } = stream;
            let Some((prefix, _)) = topic.rsplit_once('.').filter(|(prefix, _)| !prefix.is_empty()) else {
                findings.push(format!(
                    "streams.{name}: topic `{topic}`: events arrive in `<prefix>.<aggregate type>`, for example `events.{topic}`"
                ));
                continue;
            };
            let Self { table, prefix: common, topics } = outbox.get_or_insert_with(|| Self {
                table: source.clone(),
                prefix: prefix.to_owned(),
                topics: Vec::new(),
            });
            if table != source {
                findings.push(format!(
                    "streams.{name}: source `{source}`: a connector has one outbox, and that is {table}"
                ));
            } else if common != prefix {
                findings.push(format!("streams.{name}: topic `{topic}`: all events arrive in `{common}.…`"));
            } else if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        (outbox, findings)
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(String::as_str)
    }

    /// The router's settings; `changes` is the prefix of the topics that Debezium itself writes to.
    pub(super) fn settings(&self, changes: &str) -> Vec<(&'static str, String)> {
        let table = format!("{}.{}", topic_part(schema_of(&self.table)), topic_part(table_of(&self.table)));
        let of_us = [
            ("predicates.outbox.pattern", escaped(&format!("{changes}.{table}"))),
            ("transforms.outbox.route.topic.replacement", format!("{}.${{routedByValue}}", self.prefix)),
        ];
        FIXED.iter().map(|(key, value)| (*key, (*value).to_owned())).chain(of_us).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_outbox_and_one_prefix_go_together() {
        let of = |second_source: &str, second_topic: &str| {
            let declared = [("a", "public.outbox", "events.a"), ("b", second_source, second_topic)];
            let text: String = declared
                .iter()
                .map(|(name, source, topic)| {
                    format!(
                        "[streams.{name}]\nworker = \"events\"\ntopic = \"{topic}\"\nformat = \"envelope\"\nsource = \
                         \"{source}\"\ntable = \"t\"\nkey = [\"id\"]\ntime = \"at\"\n[streams.{name}.columns]\na = {{ \
                         field = \"post_id\" }}\n"
                    )
                })
                .collect();
            Outbox::of(&StreamSet::parse("streams.toml", &text).unwrap())
        };
        let (outbox, findings) = of("public.outbox", "events.b");
        assert_eq!(findings, [""; 0]);
        assert_eq!(outbox.unwrap().topics().collect::<Vec<_>>(), ["events.a", "events.b"]);
        assert!(of("public.other", "events.b").1.concat().contains("that is public.outbox"));
        assert!(of("public.outbox", "other.b").1.concat().contains("all events arrive in `events.…`"));
        assert!(of("public.outbox", "b").1.concat().contains("for example `events.b`"));
    }
}
