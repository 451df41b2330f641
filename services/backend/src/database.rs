//! Queries, within a budget.

use std::time::Duration;

use hookstream_store::types::{ToSql, Type};
use hookstream_store::{Client, PgSettings, Pool, Row, SessionTimeouts, StoreError};

use crate::problem::Problem;

/// Sessions on Postgres.
const SESSIONS_MAX: usize = 16;

/// Longest that a request waits for its rows, a session included.
const BUDGET: Duration = Duration::from_secs(5);

/// The read models.
#[derive(Debug, Clone)]
pub(crate) struct Database(Pool);

/// A value and its type, as Postgres is told it.
pub(crate) type Parameter<'v> = (&'v (dyn ToSql + Sync), Type);

impl Database {
    pub(crate) fn new(settings: PgSettings) -> Self {
        // A query that nobody waits for any more is ended by the server.
        let timeouts = SessionTimeouts { statement: BUDGET, ..settings.timeouts() };
        Self(Pool::new(&settings.with_timeouts(timeouts), "hookstream-backend", SESSIONS_MAX))
    }

    /// The rows of a query.
    ///
    /// It is planned for these very values, since it is sent with its types and not prepared: filters that are absent
    /// leave no trace in the plan, and the others find their indexes.
    pub(crate) async fn rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Problem> {
        self.ask(async |client| Ok(client.query_typed(sql, parameters).await?)).await
    }

    /// What takes more than one query, on one session and within the same budget.
    pub(crate) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Client) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        let asked = async {
            let client = self.0.get().await?;
            question(&client).await
        };
        match tokio::time::timeout(BUDGET, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StoreError::TimedOut { seconds: BUDGET.as_secs() }.into()),
        }
    }
}
