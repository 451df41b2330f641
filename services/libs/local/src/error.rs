use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Why a local server could not be found, started or stopped. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// No usable binary. `looked` lists the places and what was wrong with each.
    #[error("{program} not found ({looked}); {advice}")]
    NotFound {
        /// What was looked for, with the oldest version that will do.
        program: String,
        /// Where, and what was found there.
        looked: String,
        /// How to get it.
        advice: String,
    },
    /// Somebody else listens there already.
    #[error("port {} of {} is taken; stop what listens there or set {setting} to another port (0 picks a free one)", .addr.port(), .addr.ip())]
    PortTaken {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The setting it came from.
        setting: &'static str,
    },
    /// The machine cannot listen on this address at all.
    #[error("cannot listen on {addr} ({setting})")]
    CannotListen {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The setting it came from.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program ended although it should keep running, or with a failure.
    #[error("{program} ended with {status}; its last words in {}:\n{tail}", .log.display())]
    Ended {
        /// Which program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
    /// The program runs but does not become ready.
    #[error("{program} was not ready after {seconds} s; its last words in {}:\n{tail}", .log.display())]
    NotReady {
        /// Which program.
        program: &'static str,
        /// How long we waited.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
    /// Another live process serves the same data.
    #[error("{} is in use by process {pid} ({program}); stop that one first", .data_dir.display())]
    InUse {
        /// Which program.
        program: &'static str,
        /// The process id of the other one.
        pid: u32,
        /// The data in question.
        data_dir: PathBuf,
    },
    /// Postgres refuses to run as root and there is no account to run it as.
    #[error(
        "Postgres cannot run as root and there is no user 'postgres' to run it as; create one (Debian's postgresql package does)"
    )]
    NoPostgresUser,
    /// A file operation or the start of a program failed.
    #[error("{action}")]
    Io {
        /// What was being done, in the form "create /some/dir".
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Names what was being done when an I/O call failed.
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, LocalError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, LocalError> {
        self.map_err(|source| LocalError::Io { action: action(), source })
    }
}

/// The last lines of a log file, for an error message; empty when it cannot be read.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 12;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
