//! Projects every event into the task log and its analytics.
