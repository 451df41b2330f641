use std::time::Duration;

use super::{ErrorShape, TrustedProxies};
use crate::{Settings, SettingsError};

/// Least room for headers, in bytes: hyper reads so much at once.
const HEADER_BYTES_MIN: usize = 8192;

/// Most header fields that there may be room for: hyper makes it for each request, and the map that it fills holds no more.
const HEADERS_MAX: usize = 24_576;

/// What a listener's clients may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once; more wait in the system's queue, or take the place of one that rests.
    pub connections_max: usize,
    /// Connections of one client; more are answered with 429 and closed.
    pub client_connections_max: usize,
    /// Proxies: clients whose connections are not limited each by itself.
    pub trusted_proxies: TrustedProxies,
    /// Requests of one connection; the last one's answer says that it is closed.
    pub connection_requests_max: u64,
    /// From a connection's start, or the first byte of a later request, to the end of the headers.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that waits for it.
    pub answer_timeout: Duration,
    /// Header fields of a request; more are answered with 431.
    pub headers_max: usize,
    /// Bytes of a request's headers, at least 8192; more are answered with 431.
    pub header_bytes_max: usize,
    /// How long requests in flight may take to end after shutdown.
    pub grace: Duration,
    /// A request whose client sends no more, or has left, is served to its end all the same. Else it ends at once.
    pub outlives_client: bool,
    /// How the errors look that are answered before any service is asked.
    pub errors: ErrorShape,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            client_connections_max: 512,
            trusted_proxies: TrustedProxies::default(),
            connection_requests_max: 10_000,
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            answer_timeout: Duration::from_secs(30),
            headers_max: 64,
            header_bytes_max: 64 * 1024,
            grace: Duration::from_secs(9),
            outlives_client: false,
            errors: ErrorShape::Plain,
        }
    }
}

impl Limits {
    /// Reads the settings of the group "HTTP". The drain leaves a tenth of the shutdown grace to those after it, and
    /// connections leave some of the files that the process may open to everything else.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        const HEADER_BYTES: &str = "HOOKSTREAM_HEADER_BYTES_MAX";
        const HEADERS: &str = "HOOKSTREAM_HEADERS_MAX";
        let header_bytes_max = settings.parse(HEADER_BYTES)?;
        if header_bytes_max < HEADER_BYTES_MIN {
            return Err(settings.invalid(HEADER_BYTES, format!("must be at least {HEADER_BYTES_MIN}")));
        }
        let headers_max = settings.parse(HEADERS)?;
        if headers_max > HEADERS_MAX {
            return Err(settings.invalid(HEADERS, format!("must be at most {HEADERS_MAX}")));
        }
        Ok(Self {
            connections_max: fitting(settings.parse("HOOKSTREAM_CONNECTIONS_MAX")?, files_max()),
            client_connections_max: settings.parse("HOOKSTREAM_CLIENT_CONNECTIONS_MAX")?,
            trusted_proxies: TrustedProxies::read(settings)?,
            connection_requests_max: settings.parse("HOOKSTREAM_CONNECTION_REQUESTS_MAX")?,
            header_timeout: settings.duration("HOOKSTREAM_HEADER_TIMEOUT")?,
            idle_timeout: settings.duration("HOOKSTREAM_IDLE_TIMEOUT")?,
            answer_timeout: settings.duration("HOOKSTREAM_ANSWER_TIMEOUT")?,
            headers_max,
            header_bytes_max,
            grace: settings.duration("HOOKSTREAM_SHUTDOWN_GRACE")? * 9 / 10,
            ..Self::default()
        })
    }
}

/// How many files this process may open.
fn files_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Connections that leave files to the rest of the process: its own connections, its secrets.
fn fitting(connections_max: usize, files_max: u64) -> usize {
    const OTHERS: u64 = 64;
    let left = files_max.saturating_sub(OTHERS.min(files_max / 2)).max(1);
    let fitting = connections_max.min(usize::try_from(left).unwrap_or(usize::MAX));
    if fitting < connections_max {
        tracing::warn!(
            files_max,
            "only {fitting} of {connections_max} connections (HOOKSTREAM_CONNECTIONS_MAX) fit the files that this \
             process may open"
        );
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_settings() {
        let settings = Settings::from_pairs::<&str, &str>([]);
        assert_eq!(Limits::read(&settings).unwrap(), Limits { ..Limits::default() });
    }

    #[test]
    fn connections_leave_files_to_others() {
        assert_eq!(fitting(1024, 1_000_000), 1024);
        assert_eq!(fitting(1024, 1024), 960);
        assert_eq!(fitting(1024, 64), 32);
        assert_eq!(fitting(1024, 0), 1);
    }

    #[test]
    fn headers_have_room_for_a_read() {
        let settings = Settings::from_pairs([("HOOKSTREAM_HEADER_BYTES_MAX", "8191")]);
        let error = Limits::read(&settings).unwrap_err().to_string();
        assert!(error.contains("HOOKSTREAM_HEADER_BYTES_MAX (given) must be at least 8192"), "{error}");
    }

    #[test]
    fn headers_are_no_more_than_their_map_holds() {
        let settings = Settings::from_pairs([("HOOKSTREAM_HEADERS_MAX", "24577")]);
        let error = Limits::read(&settings).unwrap_err().to_string();
        assert!(error.contains("HOOKSTREAM_HEADERS_MAX (given) must be at most 24576"), "{error}");
        let holds = |fields| hyper::HeaderMap::<()>::try_with_capacity(fields).is_ok();
        assert!(holds(HEADERS_MAX) && !holds(HEADERS_MAX + 1));
    }
}
