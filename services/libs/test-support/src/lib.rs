//! Test harness: private servers, a database per test, a proxy that can be cut, signers.
