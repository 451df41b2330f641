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
    /// default `nats://127.0.0.1:4222`; may hold `user:password@`, which wins over `NATS_USER`), `NATS_USER` and
    /// `NATS_PASSWORD`, `NATS_CREDS`, `NATS_NKEY` (file of a seed), `NATS_CA`, `NATS_CERT` and `NATS_KEY` (files).
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
        login = match (login, stated_login(&get)?) {
            (login, None) | (login @ Login::User { .. }, Some(Login::User { .. })) => login,
            (_, Some(stated)) => stated,
        };
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

/// Splits `user:password@` off an address: the client ignores both there, and would show them in its logs.
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<NatsSettings, SettingsError> {
        let find =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        NatsSettings::read(&find, "phase_queue")
    }

    fn user(settings: &NatsSettings) -> Option<(&str, &str)> {
        match &settings.login {
            Login::User { user, password } => Some((user, password.expose_secret())),
            _ => None,
        }
    }

    #[test]
    fn without_settings_it_is_the_local_server_and_nobody() {
        let settings = read(&[("NATS_URL", "")]).unwrap();
        assert_eq!(settings.addresses(), ["127.0.0.1:4222"]);
        assert_eq!(user(&settings), None);
        assert_eq!(
            (settings.name.as_str(), settings.inbox_prefix.as_str()),
            ("hookstream-phase-queue", "_INBOX_phase_queue")
        );
    }

    #[test]
    fn user_and_password_may_be_in_the_url_percent_encoded() {
        let settings = read(&[("NATS_URL", "nats://me:p%40ss%2F%C3%A9@one:4333, nats://two")]).unwrap();
        assert_eq!(settings.addresses(), ["one:4333", "two:4222"]);
        assert_eq!(user(&settings), Some(("me", "p@ss/é")));
        assert!(settings.servers.iter().all(|server| !server.has_user_pass()));
    }

    #[test]
    fn user_and_password_of_the_url_win_as_they_do_with_the_nats_command() {
        let own = [("NATS_USER", "c"), ("NATS_PASSWORD", "d")];
        let with = |url| read(&[&[("NATS_URL", url)], &own[..]].concat()).unwrap();
        assert_eq!(user(&with("nats://one")), Some(("c", "d")));
        assert_eq!(user(&with("nats://a:b@one")), Some(("a", "b")));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        for url in ["nats://", "http://one", "nats://one:port", ",", "::::"] {
            assert_eq!(read(&[("NATS_URL", url)]).unwrap_err(), SettingsError::Url, "{url}");
        }
        let alone = SettingsError::Alone("NATS_USER", "NATS_PASSWORD");
        assert_eq!(read(&[("NATS_USER", "a")]).unwrap_err(), alone);
        let alone = SettingsError::Alone("NATS_KEY", "NATS_CERT");
        assert_eq!(read(&[("NATS_KEY", "a")]).unwrap_err(), alone);
        let many = [("NATS_CREDS", "a"), ("NATS_NKEY", "b")];
        assert_eq!(read(&many).unwrap_err(), SettingsError::ManyLogins);
    }

    #[test]
    fn no_password_is_ever_printed() {
        let settings = read(&[("NATS_URL", "nats://me:hunter2@one")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        let error = read(&[("NATS_URL", "nats://me:hunter2@one:port")]).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
