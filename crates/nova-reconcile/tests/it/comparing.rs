//! One stream with differences of every kind, in tables of a few thousand rows.
