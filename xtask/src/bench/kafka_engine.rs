//! ClickHouse's own Kafka engine as a contestant, in two forms; both at least once.

use std::time::Instant;

use anyhow::Result;

use super::contest::Figures;
use super::process::Usage;
use super::site::{Site, Topic};
use super::table::{self, TABLE};

/// How the engine is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As ClickHouse's documentation shows it for JSON: one consumer, every setting at its default, the message as a
    /// string, and a view that extracts (`knowledge-base/data-import-export/json-simple-example` and
    /// `integrations/kafka/kafka-table-engine` on clickhouse.com/docs).
    Plain,
    /// The fastest found: two consumers with a thread each, and JSON parsed once into typed columns.
    Tuned,
}

pub(super) async fn drain(site: &mut Site, topic: &Topic, form: Form) -> Result<Figures> {
    let name = site.new_name();
    table::create(site, &name).await?;
    let clickhouse = site.clickhouse()?;
    let (server, broker) = (clickhouse.process()?.pid(), site.kafka()?.process.pid());
    let brokers = site.kafka()?.bootstrap();
    let (queue, view) = match form {
        Form::Plain => (plain_queue(&name), plain_view(&name)),
        Form::Tuned => (tuned_queue(&name), tuned_view(&name)),
    };
    let common = format!(
        "kafka_broker_list = '{brokers}', kafka_topic_list = '{}', kafka_group_name = '{name}'",
        topic.name
    );
    clickhouse.query(&queue.replace("$COMMON", &common)).await?;
    let (before, broker_before, begun) = (Usage::of(server)?, Usage::of(broker)?, Instant::now());
    clickhouse.query(&view).await?;
    table::all_rows(site, &name, &topic.content, &[]).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let (after, broker_after) = (Usage::of(server)?, Usage::of(broker)?);
    clickhouse.query(&format!("DROP TABLE {name}.view SYNC")).await?;
    clickhouse.query(&format!("DROP TABLE {name}.queue SYNC")).await?;
    Ok(Figures {
        seconds,
        client_cpu_seconds: 0.0,
        server_cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        broker_cpu_seconds: broker_after.cpu_seconds - broker_before.cpu_seconds,
        client_peak_mib: 0.0,
        row_bytes: table::judge(site, &name, &topic.content).await?,
    })
}

fn plain_queue(database: &str) -> String {
    format!(
        "CREATE TABLE {database}.queue (message String) ENGINE = Kafka SETTINGS $COMMON, kafka_format = 'JSONAsString'"
    )
}

fn plain_view(database: &str) -> String {
    let row = |image: &str, sign: &str, ordinal: &str| {
        format!("(toInt8({sign}), JSONExtractRaw(message, '{image}'), toUInt8({ordinal}))")
    };
    let (minus, plus, second) = (row("before", "-1", "0"), row("after", "1", "0"), row("after", "1", "1"));
    format!(
        "CREATE MATERIALIZED VIEW {database}.view TO {database}.{TABLE} AS \
         WITH JSONExtractString(message, 'op') AS op, \
           arrayJoin(multiIf(op = 'd', [{minus}], op = 'u', [{minus}, {second}], [{plus}])) AS part, \
           JSONExtractUInt(message, 'source', 'lsn') AS lsn, JSONExtractUInt(message, 'source', 'txId') AS tx \
         SELECT parseDateTime64BestEffort(JSONExtractString(part.2, 'created_at'), 3, 'UTC') AS event_time, \
           'like' AS event_type, toUUID(JSONExtractString(part.2, 'post_id')) AS post_id, \
           toUUID(JSONExtractString(part.2, 'user_id')) AS user_id, \
           toUInt32(0) AS dwell_time_ms, part.1 AS sign, \
           reinterpretAsUUID(sipHash128(lsn, tx)) AS event_id, \
           toUUID(JSONExtractString(part.2, 'id')) AS source_key, \
           lsn AS source_lsn, tx AS source_tx, _topic AS topic, \
           toUInt32(_partition) AS kafka_partition, toUInt64(_offset) AS kafka_offset, part.3 AS ordinal \
         FROM {database}.queue"
    )
}

fn tuned_queue(database: &str) -> String {
    let row = "Tuple(id UUID, post_id UUID, user_id UUID, created_at DateTime64(6, 'UTC'))";
    format!(
        "CREATE TABLE {database}.queue (before {row}, after {row}, op LowCardinality(String), \
         source Tuple(lsn UInt64, txId UInt64)) ENGINE = Kafka SETTINGS $COMMON, kafka_format = 'JSONEachRow', \
         kafka_num_consumers = 2, kafka_thread_per_consumer = 1, \
         input_format_skip_unknown_fields = 1, input_format_null_as_default = 1, \
         date_time_input_format = 'best_effort'"
    )
}

fn tuned_view(database: &str) -> String {
    format!(
        "CREATE MATERIALIZED VIEW {database}.view TO {database}.{TABLE} AS \
         WITH arrayJoin(multiIf(op = 'd', [(toInt8(-1), before, toUInt8(0))], \
           op = 'u', [(toInt8(-1), before, toUInt8(0)), (toInt8(1), after, toUInt8(1))], \
           [(toInt8(1), after, toUInt8(0))])) AS part \
         SELECT toDateTime64(part.2.created_at, 3, 'UTC') AS event_time, \
           'like' AS event_type, part.2.post_id AS post_id, part.2.user_id AS user_id, \
           toUInt32(0) AS dwell_time_ms, part.1 AS sign, \
           reinterpretAsUUID(sipHash128(source.lsn, source.txId)) AS event_id, part.2.id AS source_key, \
           source.lsn AS source_lsn, source.txId AS source_tx, _topic AS topic, \
           toUInt32(_partition) AS kafka_partition, toUInt64(_offset) AS kafka_offset, part.3 AS ordinal \
         FROM {database}.queue"
    )
}
