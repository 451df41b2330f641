//! Webhook signature schemes, one module each: raw bytes in, Verified out; pure.
