//! The gateway over real sockets, in front of a real nats-server with the repository's configuration.
//!
//! What an attacker may send has numbers. A test that covers such a case says so in front, as in `// T4`;
//! `services/e2e/tests/tidy.rs` sees to it that none is without. `libs/…` means the tests of that crate: what is pure is
//! tested there, what depends on a socket here.
//!
//! | cases | what is sent | where |
//! | --- | --- | --- |
//! | T1, T7, T11 | no signature, SHA-1, the providers' published vectors | [`signatures`], `libs/signature` |
//! | T2 | paths and methods that are nearly right | [`spellings`], [`routes`] |
//! | T3, T4, T5 | tags too short or too long, other spellings, several | [`signatures`], [`spellings`], `libs/signature` |
//! | T6 | secrets that are none, empty, or end in a newline | [`process`], `libs/signature` |
//! | T8 | a body that is not byte for byte what was signed | `libs/signature`, [`signatures`] |
//! | T9 | guesses, timed | `libs/signature`: every key is tried, and every byte compared |
//! | T10 | another source's secret, a key id of one's own | [`spellings`], [`signatures`], [`sources`] |
//! | T12 | forms | [`bodies`], `libs/event` |
//! | T13 | a known delivery without its signature | [`redeliveries`] |
//! | R1 | the same delivery: at once, after restarts, after the window | [`receipts`], [`redeliveries`] |
//! | R2, R3 | a captured body under a new id, and spelt in another way | [`replays`], [`spellings`] |
//! | R4 | a body under another event's name | [`bodies`], `libs/event` |
//! | R5 | deliveries while keys come and go | [`rotation`], [`signatures`] |
//! | R6 | signed times that are old, early, or no numbers | [`signatures`], `libs/signature` |
//! | R7 | ids and names with wildcards, control bytes, or no end | [`headers`], `libs/signature` |
//! | H1 to H11 | connections and requests that no honest client makes | [`hostile`] |
//! | J1 | JSON that is deep, wide or endless | [`payloads`], `libs/event` |
//! | J2, J3, J4, J8 | doubled keys, odd texts, odd numbers, no object | [`bodies`], `libs/event` |
//! | J5 | every field of every known event missing, null, of another type, empty | `libs/event` |
//! | J6 | whatever makes a handler panic | `libs/runtime` |
//! | J7, J9 | what is unknown, huge, or an injection somewhere else | [`payloads`], `libs/event` |
//! | L1 | whatever may make it show a secret or a signature | [`secrets`], `libs/runtime`, `libs/signature` |
//! | L2, L3 | line breaks and control bytes for the log, random labels for the metrics | [`strangers`] |

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod bodies;
mod executable;
mod gateway;
mod headers;
mod history;
mod hostile;
mod internal;
mod load;
mod metrics;
mod outages;
mod payloads;
mod process;
mod rates;
mod receipts;
mod redeliveries;
mod rejections;
mod replays;
mod rotation;
mod routes;
mod secrets;
mod shutdown;
mod signatures;
mod sources;
mod spellings;
mod stored;
mod strangers;
