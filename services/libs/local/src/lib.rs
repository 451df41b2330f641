//! A private nats-server and Postgres as child processes, for hookstream up and for tests.
