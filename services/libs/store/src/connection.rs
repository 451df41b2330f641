use std::ops::{Deref, DerefMut};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::transaction::Statements;
use crate::{PgSettings, StoreError};

/// What a batch asks for are a few rows by their keys, however large the tables are, which the planner cannot know: each row
/// through its index. It plans anew each time, for a plan that is kept may have been made while the tables were empty.
const PLAN_FOR_LOOKUPS: &str = "SET plan_cache_mode = force_custom_plan; SET max_parallel_workers_per_gather = 0; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// One session on Postgres: the client and the task that drives its socket, which ends with it.
///
/// It never reconnects by itself: a session holds state (advisory locks), and losing that unnoticed would be worse
/// than the error.
pub struct Connection {
    client: Client,
    statements: Statements,
    driver: JoinHandle<()>,
    closed: watch::Receiver<bool>,
}

impl Connection {
    /// Connects and sets the session's timeouts.
    pub async fn open(settings: &PgSettings, application_name: &str) -> Result<Self, StoreError> {
        let config = settings.connect_config(application_name);
        let failed = |source| StoreError::Connect { at: settings.describe(), source };
        let (client, connection) = config.connect(settings.connector()).await.map_err(failed)?;
        let (ended, closed) = watch::channel(false);
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "connection to Postgres ended: {error}");
            }
            ended.send_replace(true);
        });
        let opened = Self { client, statements: Statements::default(), driver, closed };
        opened.client.batch_execute(&settings.session_sql()).await.map_err(failed)?;
        Ok(opened)
    }

    /// From now on each statement is planned as if all tables were large and each question about a few rows of them.
    pub async fn plan_for_lookups(&self) -> Result<(), StoreError> {
        Ok(self.client.batch_execute(PLAN_FOR_LOOKUPS).await?)
    }

    pub(crate) fn parts(&mut self) -> (&mut Client, &Statements) {
        (&mut self.client, &self.statements)
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits until the session is over.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error means that the driver is gone, which is the same news.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
