//! nova-pipeline.
