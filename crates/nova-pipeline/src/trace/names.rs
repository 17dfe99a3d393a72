//! The names of spans and attributes, all of them here.
//!
//! `messaging.*` and `db.*` follow OpenTelemetry's semantic conventions for messaging spans, Kafka and databases
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/kafka/>,
//! <https://opentelemetry.io/docs/specs/semconv/db/database-spans/>); `nova.` marks our own. A span is named
//! `<operation> <topic or table>`. No attribute carries a key or a value of user data.

/// The target of every span: what a filter of `tracing` selects them by. No log line has it.
pub const TARGET: &str = "nova_pipeline::trace";

/// A batch, from its first message until it is durable.
pub const PROCESS: &str = "process";
/// Its first part: messages are read, mapped and encoded.
pub const POLL: &str = "poll";
/// The commit that announces a batch, and settles the one before.
pub const ANNOUNCE: &str = "announce";
/// The commit that settles a batch which none follows.
pub const COMMIT: &str = "commit";
/// One attempt to insert rows.
pub const INSERT: &str = "INSERT";
/// A question to the table: which rows it has of a batch, or of doubtful changes.
pub const SELECT: &str = "SELECT";
/// Dead letters written and acknowledged.
pub const SEND: &str = "send";

/// `kafka`.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// What Kafka's clients call the operation: the first word of the span's name.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// `receive`, `process`, `settle` or `send`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The topic.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The partition, as a text; on links.
pub const MESSAGING_DESTINATION_PARTITION: &str = "messaging.destination.partition.id";
/// The offset; on links.
pub const MESSAGING_KAFKA_OFFSET: &str = "messaging.kafka.offset";
/// The consumer group.
pub const MESSAGING_CONSUMER_GROUP: &str = "messaging.consumer.group.name";
/// Messages of the batch.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";

/// `clickhouse`.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// `INSERT` or `SELECT`.
pub const DB_OPERATION_NAME: &str = "db.operation.name";
/// The table.
pub const DB_COLLECTION_NAME: &str = "db.collection.name";

/// What ended the operation: the name of an [`ErrorKind`](crate::ErrorKind).
pub const ERROR_TYPE: &str = "error.type";

/// The stream.
pub const STREAM: &str = "nova.stream";
/// The partitions and offsets of a batch, `cdc.likes[0]@100..250`; of more than three partitions, the first.
pub const BATCH_RANGES: &str = "nova.batch.ranges";
/// Rows of a batch, or of one insert.
pub const BATCH_ROWS: &str = "nova.batch.rows";
/// Encoded bytes of these rows.
pub const BATCH_BYTES: &str = "nova.batch.bytes";
/// Messages of a batch that became no rows.
pub const BATCH_SKIPPED: &str = "nova.batch.skipped";
/// Messages of a batch that cannot become rows.
pub const BATCH_DEAD_LETTERS: &str = "nova.batch.dead_letters";
/// True for a batch that a former owner announced and left open.
pub const BATCH_RECOVERED: &str = "nova.batch.recovered";
/// The token under which an insert is sent.
pub const INSERT_TOKEN: &str = "nova.insert.token";
