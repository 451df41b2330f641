use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, Timeouts};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error as PgError};

use crate::{PgSettings, StoreError};

/// A client of a [`Pool`], given back when dropped. Derefs to [`Client`].
pub type PooledClient = deadpool_postgres::Client;

/// Longest wait for a connection to come free, to be opened or to be checked.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A bounded set of sessions for short reads, each checked before it is handed out.
#[derive(Clone, Debug)]
pub struct Pool {
    sessions: deadpool_postgres::Pool,
    /// Where Postgres is, for errors.
    at: String,
}

impl Pool {
    /// A pool of at most `size` sessions. Opens none yet, so Postgres may be away.
    pub fn new(settings: &PgSettings, application_name: &str, size: usize) -> Self {
        let recycling_method = RecyclingMethod::Verified;
        let manager = Manager::from_connect(
            settings.connect_config(application_name),
            Opener(settings.clone()),
            ManagerConfig { recycling_method },
        );
        let sessions = deadpool_postgres::Pool::builder(manager)
            .max_size(size.max(1))
            .timeouts(Timeouts { wait: Some(WAIT_MAX), create: Some(WAIT_MAX), recycle: Some(WAIT_MAX) })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("timeouts are given together with a runtime");
        Self { sessions, at: settings.describe() }
    }

    /// A session, within 5 s a step.
    pub async fn get(&self) -> Result<PooledClient, StoreError> {
        self.sessions.get().await.map_err(|error| match error {
            PoolError::Backend(source) => StoreError::Connect { at: self.at.clone(), source },
            _ => StoreError::PoolTimedOut,
        })
    }

    /// Closes all sessions; later calls of [`Pool::get`] fail.
    pub fn close(&self) {
        self.sessions.close();
    }
}

/// Opens the pool's sessions as [`crate::Connection`] does.
struct Opener(PgSettings);

type Opening<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), PgError>> + Send + 'a>>;

impl Connect for Opener {
    fn connect(&self, config: &Config) -> Opening<'_> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(self.0.connector()).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %error, "pooled connection to Postgres ended: {error}");
                }
            });
            if let Err(error) = client.batch_execute(&self.0.session_sql()).await {
                driver.abort();
                return Err(error);
            }
            Ok((client, driver))
        })
    }
}
