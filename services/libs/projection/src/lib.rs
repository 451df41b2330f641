//! The trait Projection and its runner: a stream becomes tables, effectively once.
