use std::fmt;
use std::path::PathBuf;

use async_nats::ServerAddr;
use secrecy::SecretString;

/// Where NATS is and as whom to log in. Read once, at start.
#[derive(Clone)]
pub struct NatsSettings {
    pub(crate) servers: Vec<ServerAddr>,
    pub(crate) login: Login,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) name: String,
    pub(crate) inbox_prefix: String,
}

/// How the client proves who it is.
#[derive(Clone)]
pub(crate) enum Login {
    Nobody,
    User { user: String, password: SecretString },
    Credentials(PathBuf),
    NkeySeed(PathBuf),
}

/// A NATS setting is wrong. Names the setting, never its value, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// `NATS_URL` is not a list of NATS addresses.
    #[error("NATS_URL is not a NATS address such as nats://127.0.0.1:4222")]
    Url,
    /// Two settings that belong together are not both there.
    #[error("{0} is set without {1}")]
    Alone(&'static str, &'static str),
    /// Two settings exclude each other.
    #[error("only one of NATS_USER, NATS_CREDS and NATS_NKEY may be set")]
    ManyLogins,
}

impl NatsSettings {
    /// Reads the settings that the `nats` command has too: `NATS_URL` (one address or several with commas between,
    /// default `nats://127.0.0.1:4222`; may hold `user:password@`), `NATS_USER` and `NATS_PASSWORD`, `NATS_CREDS`,
    /// `NATS_NKEY` (file of a seed), `NATS_CA`, `NATS_CERT` and `NATS_KEY` (files).
    ///
    /// `role` is the user's role in nats.conf: it names the connection and the inbox prefix `_INBOX_<role>`.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>, role: &str) -> Result<Self, SettingsError> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut servers = Vec::new();
        let mut login = Login::Nobody;
        let urls = get("NATS_URL").unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
        for text in urls.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let (server, from_url) = server(text).ok_or(SettingsError::Url)?;
            if let (Login::Nobody, Some(from_url)) = (&login, from_url) {
                login = from_url;
            }
            servers.push(server);
        }
        if servers.is_empty() {
            return Err(SettingsError::Url);
        }
        login = stated_login(&get)?.unwrap_or(login);
        Ok(Self {
            servers,
            login,
            ca: get("NATS_CA").map(PathBuf::from),
            client_certificate: pair(&get, "NATS_CERT", "NATS_KEY")?
                .map(|(certificate, key)| (certificate.into(), key.into())),
            name: format!("hookstream-{}", role.replace('_', "-")),
            inbox_prefix: format!("_INBOX_{role}"),
        })
    }

    /// Settings that are just an address, which may hold `user:password@`.
    pub fn new(url: &str, role: &str) -> Result<Self, SettingsError> {
        Self::read(&|name| (name == "NATS_URL").then(|| url.to_owned()), role)
    }

    /// The addresses, without user and password: for logs and for people.
    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect()
    }
}

impl fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSettings")
            .field("servers", &self.addresses())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn pair(
    get: &dyn Fn(&str) -> Option<String>,
    one: &'static str,
    other: &'static str,
) -> Result<Option<(String, String)>, SettingsError> {
    match (get(one), get(other)) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(SettingsError::Alone(one, other)),
        (None, Some(_)) => Err(SettingsError::Alone(other, one)),
    }
}

fn stated_login(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Login>, SettingsError> {
    let user = pair(get, "NATS_USER", "NATS_PASSWORD")?
        .map(|(user, password)| Login::User { user, password: password.into() });
    let creds = get("NATS_CREDS").map(|path| Login::Credentials(path.into()));
    let nkey = get("NATS_NKEY").map(|path| Login::NkeySeed(path.into()));
    let mut stated = [user, creds, nkey].into_iter().flatten();
    match (stated.next(), stated.next()) {
        (login, None) => Ok(login),
        (_, Some(_)) => Err(SettingsError::ManyLogins),
    }
}

/// Splits `user:password@` off an address. The client would send both as they stand in the URL, still
/// percent-encoded, and would show them in its own logs.
fn server(text: &str) -> Option<(ServerAddr, Option<Login>)> {
    let mut url = text.parse::<ServerAddr>().ok()?.into_inner();
    url.host_str().filter(|host| !host.is_empty())?;
    let login = match (url.username(), url.password()) {
        ("", _) => None,
        (user, password) => Some(Login::User {
            user: percent_decoded(user),
            password: percent_decoded(password.unwrap_or_default()).into(),
        }),
    };
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some((ServerAddr::from_url(url).ok()?, login))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}
