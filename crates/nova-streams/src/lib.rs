//! nova-streams.
