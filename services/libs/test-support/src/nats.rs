use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookstream_bus::topology::Topology;
use hookstream_bus::{Bus, NatsSettings};
use hookstream_local::{NatsOptions, NatsServer, Passwords, Scratch};

/// A private nats-server with the repository's nats.conf, for one test. Drop stops it and removes its data.
#[derive(Debug)]
pub struct TestNats {
    /// Shared with the blocking threads that start and stop it.
    server: Arc<Mutex<NatsServer>>,
    client_addr: SocketAddr,
    monitor_url: String,
    scratch: Scratch,
}

impl TestNats {
    /// Starts a server with hookstream's streams and consumers.
    pub async fn start() -> Self {
        let nats = Self::start_empty().await;
        nats.provision().await;
        nats
    }

    /// Starts a server without any streams.
    pub async fn start_empty() -> Self {
        Self::start_with(|options| options).await
    }

    /// Starts a server without any streams, with options that `change` makes of the usual ones.
    pub async fn start_with(change: impl FnOnce(NatsOptions) -> NatsOptions) -> Self {
        let scratch = Scratch::new("nats").expect("a folder for nats-server");
        let passwords = Passwords::generate().expect("passwords for nats-server");
        let options = change(NatsOptions::in_dir(scratch.path().join("nats"), passwords));
        let server = blocking(move || NatsServer::start(options)).await;
        let server = server.unwrap_or_else(|error| panic!("no nats-server: {error}"));
        let (client_addr, monitor_url) = (server.client_addr(), server.monitor_url());
        Self { server: Arc::new(Mutex::new(server)), client_addr, monitor_url, scratch }
    }

    /// Makes the streams and consumers, as the operator's `hookstream provision --apply` does.
    pub async fn provision(&self) {
        let bus = self.connect("operator").await;
        let topology = Topology::embedded();
        let missing = topology.plan(&bus).await.expect("compare the streams with schemas/streams");
        let left = topology.apply(&bus, &missing).await.expect("make the streams");
        assert!(left.is_empty(), "the server still differs from schemas/streams: {left:?}");
    }

    /// Where clients connect.
    pub fn client_addr(&self) -> SocketAddr {
        self.client_addr
    }

    /// `http://…` of the monitoring pages.
    pub fn monitor_url(&self) -> &str {
        &self.monitor_url
    }

    /// The URL for a role of nats.conf, with user and password.
    pub fn url(&self, role: &str) -> String {
        self.with_server(|server| server.url(role))
    }

    /// The same through another address, such as a [`crate::CutProxy`]'s.
    pub fn url_at(&self, role: &str, addr: SocketAddr) -> String {
        self.with_server(|server| server.url_at(role, addr))
    }

    /// The password of a role.
    pub fn password(&self, role: &str) -> String {
        let password = self.with_server(|server| server.passwords().of(role).map(str::to_owned));
        password.unwrap_or_else(|| panic!("nats.conf has no role {role}"))
    }

    /// Settings with which a role connects.
    pub fn settings(&self, role: &str) -> NatsSettings {
        self.settings_at(role, self.client_addr)
    }

    /// The same through another address, such as a [`crate::CutProxy`]'s.
    pub fn settings_at(&self, role: &str, addr: SocketAddr) -> NatsSettings {
        NatsSettings::new(&self.url_at(role, addr), role).expect("the server's own URL is valid")
    }

    /// A connection as a role, once it stands.
    pub async fn connect(&self, role: &str) -> Bus {
        let bus = Bus::connect(&self.settings(role)).await.expect("settings without files");
        bus.wait_connected(Duration::from_secs(10)).await.unwrap_or_else(|error| panic!("{role}: {error}"));
        bus
    }

    /// The folder that holds everything the server keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.scratch.path().join("nats")
    }

    /// Kills the server with SIGKILL.
    pub async fn kill(&self) {
        self.on_server(|server| server.kill()).await;
    }

    /// Stops the server as an operator would.
    pub async fn stop(&self) {
        self.on_server(|server| server.stop()).await;
    }

    /// Starts it again on the same data and port.
    pub async fn restart(&self) {
        let restarted = self.on_server(NatsServer::restart).await;
        restarted.unwrap_or_else(|error| panic!("nats-server does not start again: {error}"));
    }

    fn with_server<T>(&self, get: impl FnOnce(&NatsServer) -> T) -> T {
        get(&self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn on_server<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut NatsServer) -> T + Send + 'static,
    ) -> T {
        let server = Arc::clone(&self.server);
        blocking(move || act(&mut server.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// Runs something slow beside the test's runtime.
pub(crate) async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.expect("a blocking helper of the harness does not panic")
}
