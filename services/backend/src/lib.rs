//! The HTTP API over the read models.
