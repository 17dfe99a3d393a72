-- What was done about dead letters: the message became rows after all, or somebody decided that it never will.
--
-- The letters themselves stay in their topic; one without a line here is open. A letter is named by the message that was
-- put aside (topic, partition, offset), the stream that refused it, and the digest of the message's value: a letter
-- written twice is one, and a message of a topic that was made again is another. A mark that is written again replaces
-- itself, so no de-duplication is needed, which could forget a part and remember its token.
CREATE TABLE IF NOT EXISTS ${database}.dead_letter_actions
(
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    stream LowCardinality(String),
    value_sha256 String,
    action Enum8('retried' = 1, 'discarded' = 2),
    rows UInt32,
    reason String,
    actor String,
    nova_version LowCardinality(String),
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (topic, kafka_partition, kafka_offset, stream, value_sha256, action);
