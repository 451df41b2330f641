use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hookstream_local::{PostgresServer, Scratch};
use hookstream_store::{Connection, MigrationSet, PgSettings, StoreError, migrate};

use crate::nats::blocking;

/// The database every private server begins with; ours are created and dropped from there.
const MAINTENANCE: &str = "hookstream";

/// A fresh, empty database, for one test. Drop drops it, with the sessions that are still on it.
///
/// All tests of a process share one Postgres, except those that ask for one of their own to break it.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: Arc<Server>,
    shared: bool,
}

#[derive(Debug)]
struct Server {
    postgres: Mutex<PostgresServer>,
    addr: SocketAddr,
    _scratch: Scratch,
}

/// Statics are not dropped: the server dies with the process, and the next process sweeps its data.
static SHARED: OnceLock<Result<Arc<Server>, String>> = OnceLock::new();
static NAMES: AtomicU32 = AtomicU32::new(1);

impl TestDatabase {
    /// A database without tables on the server that this process's tests share.
    pub async fn create() -> Self {
        let server = blocking(|| SHARED.get_or_init(|| Server::start(false).map(Arc::new)).clone()).await;
        Self::create_on(server, true).await
    }

    /// A database without tables on a server of its own, which the test may stop and kill.
    pub async fn create_private() -> Self {
        Self::create_on(blocking(|| Server::start(false).map(Arc::new)).await, false).await
    }

    /// The same on a server that syncs its commits to disk as one in production does: what benchmarks measure.
    pub async fn create_durable() -> Self {
        Self::create_on(blocking(|| Server::start(true).map(Arc::new)).await, false).await
    }

    async fn create_on(server: Result<Arc<Server>, String>, shared: bool) -> Self {
        let server = server.unwrap_or_else(|error| panic!("no Postgres: {error}"));
        let name = format!("test_{}", NAMES.fetch_add(1, Ordering::Relaxed));
        // template0, because nobody can be connected to it, which would be in the way.
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        server.maintain(&create).await.unwrap_or_else(|error| panic!("no database: {}", error.chain()));
        Self { name, server, shared }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where Postgres listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// The database's URL, with user and password.
    pub fn url(&self) -> String {
        self.url_at(self.server.addr)
    }

    /// The same through another address, such as a [`crate::CutProxy`]'s.
    pub fn url_at(&self, addr: SocketAddr) -> String {
        self.server.locked().url_at(&self.name, addr)
    }

    /// Settings with which to connect.
    pub fn settings(&self) -> PgSettings {
        self.settings_at(self.server.addr)
    }

    /// The same through another address, such as a [`crate::CutProxy`]'s.
    pub fn settings_at(&self, addr: SocketAddr) -> PgSettings {
        PgSettings::from_url(&self.url_at(addr)).expect("the server's own URL is valid")
    }

    /// A new session.
    pub async fn client(&self) -> Connection {
        let opened = Connection::open(&self.settings(), "hookstream-test").await;
        opened.unwrap_or_else(|error| panic!("no session on {}: {}", self.name, error.chain()))
    }

    /// Applies migrations: the core ones and these.
    pub async fn migrate(&self, sets: &[&MigrationSet]) {
        let mut client = self.client().await;
        let migrated = migrate(&mut client, sets).await;
        migrated.unwrap_or_else(|error| panic!("cannot migrate {}: {}", self.name, error.chain()));
    }

    /// Stops the server as an operator would. Only for a database made by [`TestDatabase::create_private`].
    pub async fn stop_server(&self) {
        self.on_own_server(|postgres| postgres.stop()).await;
    }

    /// Ends the server as a crash would. Only for a database made by [`TestDatabase::create_private`].
    pub async fn kill_server(&self) {
        self.on_own_server(|postgres| postgres.kill()).await;
    }

    /// Starts the server again on the same data and port. Only for one made by [`TestDatabase::create_private`].
    pub async fn restart_server(&self) {
        let restarted = self.on_own_server(PostgresServer::restart).await;
        restarted.unwrap_or_else(|error| panic!("Postgres does not start again: {error}"));
    }

    async fn on_own_server<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut PostgresServer) -> T + Send + 'static,
    ) -> T {
        assert!(!self.shared, "other tests use this server too; use TestDatabase::create_private");
        let server = Arc::clone(&self.server);
        blocking(move || act(&mut server.locked())).await
    }
}

impl Drop for TestDatabase {
    #[expect(clippy::print_stderr, reason = "tests have no log")]
    fn drop(&mut self) {
        if !self.shared {
            return; // goes with its server
        }
        let (server, name) = (Arc::clone(&self.server), self.name.clone());
        // The test's own runtime may be of one thread, and this is one of its threads.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(server.maintain(&format!("DROP DATABASE {name} WITH (FORCE)")))?;
            anyhow::Ok(())
        });
        // It goes with its server at the latest: no reason to fail a test.
        if let Err(error) = dropping.join().unwrap_or_else(|_| anyhow::bail!("panicked")) {
            eprintln!("cannot drop database {}: {error:#}", self.name);
        }
    }
}

impl Server {
    fn start(durable: bool) -> Result<Self, String> {
        let scratch = Scratch::new("postgres").map_err(|error| error.to_string())?;
        let postgres = PostgresServer::start_from_template(scratch.path().join("postgres"), durable)
            .map_err(|error| error.to_string())?;
        Ok(Self { addr: postgres.addr(), postgres: Mutex::new(postgres), _scratch: scratch })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, PostgresServer> {
        self.postgres.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn maintain(&self, statement: &str) -> Result<(), StoreError> {
        let settings = PgSettings::from_url(&self.locked().url(MAINTENANCE)).expect("the server's own URL");
        let client = Connection::open(&settings, "hookstream-test-harness").await?;
        Ok(client.batch_execute(statement).await?)
    }
}
