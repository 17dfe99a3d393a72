//! nova-clickhouse.
