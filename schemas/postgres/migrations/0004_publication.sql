-- Why: the publication says what leaves the database. The list is explicit, so that a new table stays private
-- until somebody adds it here, and publish_via_partition_root gives one topic per table rather than one per month.
--
-- debezium_signal starts incremental snapshots. Debezium reads signals, and the watermark rows it writes there
-- itself, from the replication stream and not by polling (Debezium: "Sending signals to a Debezium connector",
-- source channel), so the table must be published, and Debezium wants a topic for it. Its column sizes are Debezium's.

CREATE TABLE debezium_signal (
    id   varchar(42) PRIMARY KEY,
    type varchar(32) NOT NULL,
    data varchar(2048)
);

CREATE PUBLICATION nova_cdc
    FOR TABLE posts, follows, comments, likes, engagement_outbox, debezium_signal
    WITH (publish_via_partition_root = true);
