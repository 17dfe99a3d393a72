//! nova-kafka.
