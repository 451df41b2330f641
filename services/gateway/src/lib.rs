//! Verifies webhooks and appends each to the stream; knows no database.
