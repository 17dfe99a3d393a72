//! nova.
fn main() {}
