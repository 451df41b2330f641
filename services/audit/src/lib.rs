//! Projects every event into a hash-chained audit trail.
