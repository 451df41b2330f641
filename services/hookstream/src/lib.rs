//! The operator's command: up, send, provision, doctor.
