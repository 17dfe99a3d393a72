//! nova-debezium.
