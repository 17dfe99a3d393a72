//! embedded-clickhouse.
