//! Projects workflow events into the phase queue.
