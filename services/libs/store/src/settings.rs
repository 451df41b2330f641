use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::{self, Demand, Roots};

mod passfile;
mod query;

#[cfg(test)]
mod tests;

/// Where Postgres is and how to speak with it, as libpq has it.
///
/// `DATABASE_URL` wins, part by part; what it leaves open comes from `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
/// `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGCONNECT_TIMEOUT` and `PGPASSFILE`; the rest has libpq's defaults.
/// `Debug` and [`PgSettings::describe`] never show the password.
#[derive(Clone)]
pub struct PgSettings {
    config: Config,
    tls: Arc<ClientConfig>,
    timeouts: SessionTimeouts,
    schema: Option<String>,
}

/// What a session may take, on the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimeouts {
    /// Longest statement.
    pub statement: Duration,
    /// Longest wait for a lock.
    pub lock: Duration,
    /// Longest pause within a transaction.
    pub idle_in_transaction: Duration,
}

impl Default for SessionTimeouts {
    fn default() -> Self {
        Self {
            statement: Duration::from_secs(30),
            lock: Duration::from_secs(10),
            idle_in_transaction: Duration::from_mins(1),
        }
    }
}

/// A setting of the connection to Postgres is wrong. Never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The URL, or the key-value text, cannot be read.
    #[error("{setting} is no Postgres connection URL: {error}")]
    Url {
        /// `DATABASE_URL`, or what the caller names.
        setting: &'static str,
        /// Why, without the URL's text.
        error: String,
    },
    /// A setting's value cannot be read.
    #[error("{setting} must be {expected}, not {value:?}")]
    Value {
        /// The setting.
        setting: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        value: String,
    },
    /// No user name is given and the system knows none.
    #[error("no database user: set PGUSER or name one in DATABASE_URL")]
    NoUser,
    /// The trusted roots for TLS cannot be had.
    #[error("no trusted root certificates for Postgres from {from}: {error}")]
    Roots {
        /// File or store.
        from: String,
        /// Why.
        error: String,
    },
}

/// Values of the environment by name; empty ones count as absent, as libpq has it.
type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

impl PgSettings {
    /// Reads the settings from `lookup`, which also answers for `HOME` and `USER`.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let lookup = &|name: &str| lookup(name).filter(|value| !value.is_empty());
        let url = lookup("DATABASE_URL").unwrap_or_default();
        let (url, tls_of_url) = query::take_tls_parameters(&url);
        let mut config: Config = url
            .parse()
            .map_err(|error| SettingsError::Url { setting: "DATABASE_URL", error: innermost(&error) })?;
        fill(&mut config, lookup)?;
        if config.get_password().is_none() {
            if let Some(password) = lookup("PGPASSWORD") {
                config.password(password);
            } else if let Some(password) = passfile::password_for(&config, lookup) {
                config.password(password);
            }
        }
        let tls = tls_settings(&mut config, tls_of_url, lookup)?;
        Ok(Self { config, tls: Arc::new(tls), timeouts: SessionTimeouts::default(), schema: None })
    }

    /// Settings of one URL, for tests and commands that were given one.
    pub fn from_url(url: &str) -> Result<Self, SettingsError> {
        Self::read(&|name| (name == "DATABASE_URL").then(|| url.to_owned()))
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    /// The same server, other timeouts.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: SessionTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The same server, with names that resolve in this schema and no other. The name must be one of ours: it goes into
    /// SQL as it is.
    #[must_use]
    pub fn with_schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.to_owned());
        self
    }

    /// The session timeouts.
    pub fn timeouts(&self) -> SessionTimeouts {
        self.timeouts
    }

    /// `postgres://user@host:port/database`, for logs.
    pub fn describe(&self) -> String {
        let hosts: Vec<String> = self.config.get_hosts().iter().map(host_text).collect();
        let ports: Vec<String> = self.config.get_ports().iter().map(ToString::to_string).collect();
        format!(
            "postgres://{}@{}:{}/{}",
            self.config.get_user().unwrap_or_default(),
            hosts.join(","),
            ports.join(","),
            self.config.get_dbname().unwrap_or_default(),
        )
    }

    pub(crate) fn connect_config(&self, application_name: &str) -> Config {
        let mut config = self.config.clone();
        config.application_name(application_name);
        config
    }

    pub(crate) fn connector(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(ClientConfig::clone(&self.tls))
    }

    /// Statements that every session begins with. The server, too, notices soon that a client is gone, and frees its
    /// locks for a standby. What we ask is short: to compile a statement (`jit`) takes far longer than to run it.
    pub(crate) fn session_sql(&self) -> String {
        let SessionTimeouts { statement, lock, idle_in_transaction } = self.timeouts;
        let schema = self.schema.as_ref().map(|schema| format!("SET search_path = {schema}; "));
        format!(
            "{}SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3; \
             SET tcp_user_timeout = 20000; SET jit = off; \
             SET client_min_messages = 'warning'; SET timezone = 'UTC'",
            schema.unwrap_or_default(),
            statement.as_millis(),
            lock.as_millis(),
            idle_in_transaction.as_millis(),
        )
    }
}

impl fmt::Debug for PgSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgSettings")
            .field("server", &self.describe())
            .field("ssl_mode", &self.config.get_ssl_mode())
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// Fills what the URL left open.
fn fill(config: &mut Config, lookup: Lookup<'_>) -> Result<(), SettingsError> {
    if config.get_user().is_none() {
        config.user(lookup("PGUSER").or_else(|| lookup("USER")).ok_or(SettingsError::NoUser)?);
    }
    if config.get_dbname().is_none() {
        let user = config.get_user().unwrap_or_default().to_owned();
        config.dbname(lookup("PGDATABASE").unwrap_or(user));
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let hosts = lookup("PGHOST").unwrap_or_else(default_host);
        for host in hosts.split(',') {
            if host.starts_with('/') {
                config.host_path(host)
            } else {
                config.host(host)
            };
        }
    }
    if config.get_ports().is_empty() {
        let ports = lookup("PGPORT").unwrap_or_else(|| "5432".to_owned());
        for port in ports.split(',') {
            config.port(port.trim().parse().map_err(|_| SettingsError::Value {
                setting: "PGPORT",
                expected: "a port number",
                value: ports.clone(),
            })?);
        }
    }
    if config.get_connect_timeout().is_none() {
        let seconds = match lookup("PGCONNECT_TIMEOUT") {
            None => 5,
            Some(value) => value.trim().parse().map_err(|_| SettingsError::Value {
                setting: "PGCONNECT_TIMEOUT",
                expected: "a number of seconds",
                value: value.clone(),
            })?,
        };
        config.connect_timeout(Duration::from_secs(seconds));
    }
    // A line that is cut without a word is noticed within about 20 s, not after the system's two hours.
    config.keepalives_idle(Duration::from_secs(10));
    config.keepalives_interval(Duration::from_secs(3));
    config.keepalives_retries(3);
    config.tcp_user_timeout(Duration::from_secs(20));
    Ok(())
}

/// libpq's default is a socket directory that is compiled in; Debian's is this one.
fn default_host() -> String {
    let sockets = Path::new("/var/run/postgresql");
    if sockets.is_dir() { sockets.display().to_string() } else { "localhost".to_owned() }
}

/// Sets the connection's mode and builds the TLS client for it.
fn tls_settings(
    config: &mut Config,
    of_url: query::TlsParameters,
    lookup: Lookup<'_>,
) -> Result<ClientConfig, SettingsError> {
    let mode = of_url.mode.or_else(|| lookup("PGSSLMODE")).unwrap_or_else(|| "prefer".to_owned());
    let root = of_url.root.or_else(|| lookup("PGSSLROOTCERT"));
    let (ssl_mode, mut demand) = match mode.as_str() {
        "disable" => (SslMode::Disable, Demand::Nothing),
        // libpq's `allow` tries without TLS first; to encrypt where one can is no worse.
        "allow" | "prefer" => (SslMode::Prefer, Demand::Nothing),
        "require" => (SslMode::Require, Demand::Nothing),
        "verify-ca" => (SslMode::Require, Demand::Chain),
        "verify-full" => (SslMode::Require, Demand::ChainAndName),
        _ => {
            return Err(SettingsError::Value {
                setting: "sslmode",
                expected: "disable, prefer, require, verify-ca or verify-full",
                value: mode,
            });
        }
    };
    // As libpq: a root certificate turns `require` into `verify-ca`.
    if ssl_mode == SslMode::Require && demand == Demand::Nothing && root.is_some() {
        demand = Demand::Chain;
    }
    // As libpq: a socket in the file system is never encrypted.
    let only_sockets = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
        && config.get_hostaddrs().is_empty();
    config.ssl_mode(if only_sockets { SslMode::Disable } else { ssl_mode });
    tls::client(demand, &roots(root.as_deref(), lookup))
}

fn roots(given: Option<&str>, lookup: Lookup<'_>) -> Roots {
    match given {
        Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
        None => match lookup("HOME").map(|home| Path::new(&home).join(".postgresql/root.crt")) {
            Some(path) if path.is_file() => Roots::File(path),
            // libpq would fail here; the machine's roots are what managed databases need.
            _ => Roots::System,
        },
    }
}

fn host_text(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

/// The last source's text: tokio-postgres says only "invalid connection string" itself.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
