use std::ops::{Deref, DerefMut};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::{PgSettings, StoreError};

/// One session on Postgres: the client and the task that drives its socket, which ends with it.
///
/// It never reconnects by itself: a session holds state (advisory locks), and losing that unnoticed would be worse
/// than the error.
pub struct Connection {
    client: Client,
    driver: JoinHandle<()>,
    closed: watch::Receiver<bool>,
}

impl Connection {
    /// Connects and sets the session's timeouts.
    pub async fn open(settings: &PgSettings, application_name: &str) -> Result<Self, StoreError> {
        let config = settings.connect_config(application_name);
        let (client, connection) = config.connect(settings.connector()).await.map_err(StoreError::Connect)?;
        let (ended, closed) = watch::channel(false);
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "connection to Postgres ended: {error}");
            }
            ended.send_replace(true);
        });
        let opened = Self { client, driver, closed };
        opened.client.batch_execute(&settings.session_sql()).await.map_err(StoreError::Connect)?;
        Ok(opened)
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
