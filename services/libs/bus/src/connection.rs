use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use secrecy::ExposeSecret as _;
use tokio::sync::watch::Receiver;

use crate::settings::Login;
use crate::{BusError, NatsSettings};

mod watch;

use watch::Watch;

/// How long a plain request may take.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A connection to NATS that reconnects for ever. Cheap to clone; the connection ends with the last clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: Client,
    watch: Arc<Watch>,
}

impl Bus {
    /// Starts to connect and returns at once, even when the server is away: it is tried again for ever. An error is
    /// about the settings' files. See [`Bus::wait_connected`].
    pub async fn connect(settings: &NatsSettings) -> Result<Self, BusError> {
        let watch = Arc::new(Watch::new(settings));
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

    /// Waits until the connection stands, at most for `limit`; the error says why it does not. The only server's refusal
    /// to let us in is an error at once.
    pub async fn wait_connected(&self, limit: Duration) -> Result<(), BusError> {
        // The client offers nothing to wait on.
        let connected = async {
            while !self.is_connected() {
                if self.is_shut_out() {
                    return Err(BusError::LoginRefused);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        let connected = tokio::time::timeout(limit, connected).await;
        connected.unwrap_or_else(|_| Err(BusError::Disconnected(self.problem())))
    }

    /// Of several servers another one may let us in.
    fn is_shut_out(&self) -> bool {
        let refused = ConnectErrorKind::AuthorizationViolation.to_string();
        self.watch.addresses.len() == 1 && self.problem() == Some(refused)
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

    /// Waits until the server has refused something by permission, and says what it was, the first one.
    pub async fn refused(&self) -> String {
        let mut refusals = self.watch.refusals.subscribe();
        loop {
            if let Some(violation) = self.violations().into_iter().next() {
                return violation;
            }
            // Its sender lives as long as we do.
            let _ = refusals.changed().await;
        }
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
pub(crate) struct Losses(Receiver<u64>);

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
