use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ClientError, ConnectOptions, Event, ServerError};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use crate::settings::Login;
use crate::{BusError, NatsSettings};

/// How long a plain request may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// How many refused permissions are remembered.
const VIOLATIONS_MAX: usize = 32;

/// A connection to NATS that reconnects for ever. Cheap to clone; the connection ends with the last clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: Client,
    watch: Arc<Watch>,
}

/// What the connection told us.
struct Watch {
    name: String,
    seen: Mutex<Seen>,
    /// Counts the connections lost. The client's own state says whether one stands.
    losses: watch::Sender<u64>,
    /// The client has told once which server it is, and keeps that.
    knows_server: AtomicBool,
    closed: AtomicBool,
}

#[derive(Default)]
struct Seen {
    /// Why the last attempt to connect failed; `None` while connected.
    problem: Option<String>,
    /// What the server refused by permission, oldest first.
    violations: VecDeque<String>,
}

impl Bus {
    /// Starts to connect and returns at once, even when the server is away: it is tried again for ever. An error is
    /// about the settings' files. See [`Bus::wait_connected`].
    pub async fn connect(settings: &NatsSettings) -> Result<Self, BusError> {
        let watch = Arc::new(Watch {
            name: settings.name.clone(),
            seen: Mutex::default(),
            losses: watch::Sender::new(0),
            knows_server: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let events = Arc::clone(&watch);
        let options = options(settings).await?.event_callback(move |event| {
            events.note(&event);
            std::future::ready(())
        });
        let client = options
            .connect(&settings.servers[..])
            .await
            .map_err(|error| BusError::Disconnected(Some(error.to_string())))?;
        Ok(Self { client, watch })
    }

    /// Whether the connection stands now.
    pub fn is_connected(&self) -> bool {
        // The client says so a moment before it knows the server, and with it the largest payload.
        self.client.connection_state() == State::Connected
            && self.knows_server()
            && !self.watch.closed.load(Ordering::Relaxed)
    }

    /// Looks at a copy of all that the server told, but only until there is one.
    fn knows_server(&self) -> bool {
        let known = &self.watch.knows_server;
        if !known.load(Ordering::Relaxed) && self.client.try_server_info().is_some() {
            known.store(true, Ordering::Relaxed);
        }
        known.load(Ordering::Relaxed)
    }

    /// Waits until the connection stands, at most for `limit`; the error says why it does not.
    pub async fn wait_connected(&self, limit: Duration) -> Result<(), BusError> {
        // The client offers nothing to wait on.
        let connected = async {
            while !self.is_connected() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, connected).await.map_err(|_| BusError::Disconnected(self.problem()))
    }

    /// Why there is no connection, in the client's words; `None` while connected or before the first attempt ended.
    pub fn problem(&self) -> Option<String> {
        self.watch.seen().problem.clone()
    }

    /// What the server refused by permission on this connection, oldest first, the latest 32. The server tells no
    /// caller, so a refused request times out; readiness fails on these.
    pub fn violations(&self) -> Vec<String> {
        self.watch.seen().violations.iter().cloned().collect()
    }

    /// How often the connection was lost so far. A caller whose number has changed may be talking to a server that was
    /// restarted meanwhile.
    pub fn times_lost(&self) -> u64 {
        *self.watch.losses.borrow()
    }

    /// Version of the server last connected to: major, minor, patch.
    pub fn server_version(&self) -> Option<(u64, u64, u64)> {
        let version = self.client.try_server_info()?.version;
        let core = version.split(['-', '+']).next()?;
        let mut numbers = core.split('.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some((major, minor, patch)),
            _ => None,
        }
    }

    /// Largest message, headers included, that the server takes, in bytes.
    pub fn max_payload_bytes(&self) -> usize {
        self.client.max_payload()
    }

    /// Ends subscriptions, sends what is queued and closes the connection, within two seconds.
    pub async fn drain(&self) {
        const LIMIT: Duration = Duration::from_secs(2);
        let drained = async {
            let losses = self.losses();
            // Fails only where the connection is closed already.
            if self.client.drain().await.is_ok() {
                losses.next().await;
            }
        };
        if tokio::time::timeout(LIMIT, drained).await.is_err() {
            tracing::warn!("{} could not send everything before it stopped", self.watch.name);
        }
    }

    /// Notices every loss of the connection from now on.
    pub(crate) fn losses(&self) -> Losses {
        Losses(self.watch.losses.subscribe())
    }

    /// `Disconnected` unless the connection stands.
    pub(crate) fn require_connection(&self) -> Result<(), BusError> {
        if self.is_connected() { Ok(()) } else { Err(BusError::Disconnected(self.problem())) }
    }
}

/// Waits for the connection to be lost, so that nobody waits for an answer that cannot come any more.
pub(crate) struct Losses(watch::Receiver<u64>);

impl Losses {
    /// Resolves once the connection was lost since this was made.
    pub(crate) async fn next(mut self) {
        if self.0.changed().await.is_err() {
            // Only a dropped connection has no sender any more, and nobody waits on that.
            std::future::pending::<()>().await;
        }
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("name", &self.watch.name)
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

async fn options(settings: &NatsSettings) -> Result<ConnectOptions, BusError> {
    let mut options = ConnectOptions::new()
        .name(&settings.name)
        .custom_inbox_prefix(&settings.inbox_prefix)
        // A half-open connection is noticed after two of these; the client's own minute is too long for a gateway.
        .ping_interval(Duration::from_secs(5))
        .connection_timeout(Duration::from_secs(3))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .client_capacity(1024)
        .retry_on_initial_connect()
        .max_reconnects(None);
    match &settings.login {
        Login::Nobody => {}
        Login::User { user, password } => {
            options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
        }
        Login::Credentials(path) => {
            let read = options.credentials_file(path).await;
            options = read.map_err(|error| BusError::File("NATS_CREDS", error))?;
        }
        Login::NkeySeed(path) => {
            let seed = std::fs::read_to_string(path).map_err(|error| BusError::File("NATS_NKEY", error))?;
            options = options.nkey(seed.trim().to_owned());
        }
    }
    if let Some(ca) = &settings.ca {
        check_readable("NATS_CA", ca)?;
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    if let Some((certificate, key)) = &settings.client_certificate {
        check_readable("NATS_CERT", certificate)?;
        check_readable("NATS_KEY", key)?;
        options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    Ok(options)
}

/// The client opens these files at every attempt to connect, and would try for ever.
fn check_readable(setting: &'static str, path: &Path) -> Result<(), BusError> {
    std::fs::File::open(path).map(drop).map_err(|error| BusError::File(setting, error))
}

impl Watch {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Nothing panics while it is held, and a half-written text would still be readable.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: &Event) {
        let name = &self.name;
        match event {
            Event::Connected => {
                self.seen().problem = None;
                tracing::info!("{name} is connected to NATS");
            }
            Event::Disconnected => {
                self.losses.send_modify(|losses| *losses += 1);
                tracing::warn!("{name} lost its connection to NATS");
            }
            Event::Closed => {
                self.closed.store(true, Ordering::Relaxed);
                self.losses.send_modify(|losses| *losses += 1);
            }
            Event::ServerError(ServerError::Other(text)) if text.to_lowercase().contains("violation") => {
                self.note_violation(text);
            }
            Event::ServerError(error) => tracing::warn!("NATS reports to {name}: {error}"),
            Event::ClientError(ClientError::Other(text)) => self.note_problem(text),
            Event::ClientError(error) => self.note_problem(&error.to_string()),
            Event::SlowConsumer(_) => {
                tracing::warn!("{name} reads a subscription too slowly; messages of it were dropped");
            }
            Event::LameDuckMode => tracing::info!("the NATS server of {name} is about to stop"),
            Event::Draining => {}
        }
    }

    /// Once per problem: the client tries again every few seconds.
    fn note_problem(&self, problem: &str) {
        let mut seen = self.seen();
        if seen.problem.as_deref() != Some(problem) {
            tracing::warn!("{} cannot connect to NATS: {problem}", self.name);
            seen.problem = Some(problem.to_owned());
        }
    }

    fn note_violation(&self, text: &str) {
        let mut seen = self.seen();
        if !seen.violations.iter().any(|known| known == text) {
            tracing::error!("NATS refuses {}: {text}", self.name);
            if seen.violations.len() == VIOLATIONS_MAX {
                seen.violations.pop_front();
            }
            seen.violations.push_back(text.to_owned());
        }
    }
}
