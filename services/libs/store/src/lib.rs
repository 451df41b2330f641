//! The Postgres side: connections, migrations, checkpoints and row types; the only crate that names tokio-postgres.
