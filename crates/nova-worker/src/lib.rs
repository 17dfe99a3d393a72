//! nova-worker.
