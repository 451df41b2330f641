use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::error::{Doing, tail};
use crate::find::PostgresBinaries;
use crate::listen::reachable;
use crate::process::{self, Death, Process, Program};
use crate::{Listen, LocalError, files};

mod initdb;
mod placement;

const NAME: &str = "postgres";
/// The superuser and the first database of every private server.
const OWNER: &str = "hookstream";
/// A fast stop writes a checkpoint; after this long it is an immediate stop, and the next start recovers.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Long enough to recover after a crash.
const READY_WITHIN: Duration = Duration::from_secs(150);

/// What a private Postgres needs to know.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Its data directory; made with initdb when it is not there.
    pub data_dir: PathBuf,
    /// Where clients connect.
    pub listen: Listen,
    /// The password of user `hookstream`, set when the data directory is made.
    pub password: String,
    /// Its log is appended here.
    pub log_file: PathBuf,
    /// Whether commits must survive a power cut. Without, it is faster and a crash of the machine loses everything;
    /// a crash of Postgres alone loses nothing either way.
    pub durable: bool,
}

/// A running Postgres with a database `hookstream` owned by user `hookstream`. Drop stops it.
#[derive(Debug)]
pub struct PostgresServer {
    options: PostgresOptions,
    process: Process,
    addr: SocketAddr,
    notes: Vec<String>,
}

impl PostgresServer {
    /// Starts a server on its data, which the first start makes, and waits until it serves.
    pub fn start(mut options: PostgresOptions) -> Result<Self, LocalError> {
        let account = Account::for_postgres()?;
        let mut notes = Vec::new();
        options.data_dir = placement::place(&options.data_dir, account, &mut notes)?;
        let binaries = initdb::ensure(&options, account, &mut notes)?;
        end_of_predecessor(&options.data_dir)?;
        let (process, addr) = spawn_until_ready(&binaries, account, &options)?;
        Ok(Self { options, process, addr, notes })
    }

    /// Waits for a server on this data that is on its way out: its parent was killed a moment ago, and it has its port
    /// until it has ended its sessions.
    pub fn wait_for_predecessor(data_dir: &Path) -> Result<(), LocalError> {
        // What is not there has nobody serving it.
        data_dir.canonicalize().map_or(Ok(()), |data_dir| end_of_predecessor(&data_dir))
    }

    /// As [`PostgresServer::start`], for tests: the data begins as a copy of a prepared data directory that is kept
    /// between runs, the password is the kept one's and the port is free.
    pub fn start_from_template(data_dir: impl Into<PathBuf>, durable: bool) -> Result<Self, LocalError> {
        let data_dir = data_dir.into();
        let log_file = data_dir.with_extension("log");
        let password = initdb::copy_template(&data_dir, Account::for_postgres()?)?;
        Self::start(PostgresOptions { data_dir, listen: Listen::any(), password, log_file, durable })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of a database on this server, with user and password.
    pub fn url(&self, database: &str) -> String {
        self.url_at(database, self.addr)
    }

    /// The same through another address, such as a proxy's.
    pub fn url_at(&self, database: &str, addr: SocketAddr) -> String {
        format!("postgres://{OWNER}:{}@{addr}/{database}", self.options.password)
    }

    /// What the operator should know about this start, in sentences: where the data went, what was made.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The child process, to wait for its end or ask about it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Stops it as an operator would: open transactions are rolled back, and a checkpoint is written.
    pub fn stop(&self) {
        self.process.stop(Death::Int, STOP_WITHIN, Death::Quit);
    }

    /// Ends it as a crash would: at once, without a checkpoint, so that the next start recovers from the log.
    /// (SIGKILL would leave its backends alive for a moment, and the data directory locked.)
    pub fn kill(&self) {
        self.process.stop(Death::Quit, STOP_WITHIN, Death::Kill);
    }

    /// Starts it again on the same data and port, after a stop if it still runs.
    pub fn restart(&mut self) -> Result<(), LocalError> {
        self.stop();
        let mut options = self.options.clone();
        options.listen.addr.set_port(self.addr.port());
        *self = Self::start(options)?;
        Ok(())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for a postmaster on the same data that is on its way out, and removes what a dead one left. Postgres itself
/// looks only at whether the process id in the file is alive, and in a fresh container it may well be: as somebody else.
fn end_of_predecessor(data_dir: &Path) -> Result<(), LocalError> {
    let pid_file = data_dir.join("postmaster.pid");
    let Some(text) = files::read_if_present(&pid_file)? else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
    // A postmaster works in its data directory.
    if let Some(pid) = pid
        && process::working_dir(pid).as_deref() == Some(data_dir)
        && !process::wait_gone(pid, NAME, Duration::from_secs(6))
    {
        return Err(LocalError::InUse { program: NAME, pid, data_dir: data_dir.to_owned() });
    }
    match std::fs::remove_file(&pid_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", pid_file.display()))
        }
        _ => Ok(()),
    }
}

/// A free port may be taken between finding and using it, so that is tried a few times.
fn spawn_until_ready(
    binaries: &PostgresBinaries,
    account: Account,
    options: &PostgresOptions,
) -> Result<(Process, SocketAddr), LocalError> {
    const TRIES: u32 = 5;
    let mut tries = 0;
    loop {
        tries += 1;
        let addr = options.listen.resolve()?;
        let process = spawn(binaries, account, options, addr)?;
        match wait_until_ready(&process, options) {
            Ok(()) => return Ok((process, reachable(addr))),
            Err(LocalError::Ended { tail, .. })
                if options.listen.addr.port() == 0 && tail.contains("already in use") && tries < TRIES => {}
            Err(error) => {
                process.stop(Death::Quit, STOP_WITHIN, Death::Kill);
                return Err(error);
            }
        }
    }
}

fn spawn(
    binaries: &PostgresBinaries,
    account: Account,
    options: &PostgresOptions,
    addr: SocketAddr,
) -> Result<Process, LocalError> {
    let log = files::open_log(&options.log_file)?;
    let copy = log.try_clone().doing(|| format!("open {}", options.log_file.display()))?;
    let mut settings = vec![
        format!("listen_addresses={}", addr.ip()),
        format!("port={}", addr.port()),
        // Clients come over TCP with a password; a socket's path could be too long for the kernel here.
        "unix_socket_directories=".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "log_line_prefix=%m [%p] %a ".to_owned(),
        "cluster_name=hookstream".to_owned(),
        // Many tests, each with connections of its own, share one server.
        "max_connections=300".to_owned(),
    ];
    if !options.durable {
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    let settings = settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]);
    Program::new(binaries.program("postgres"))
        .arg("-D")
        .arg(&options.data_dir)
        .args(settings)
        .user(account.user())
        .on_parent_death(Death::Quit)
        .stdout(copy)
        .stderr(log)
        .spawn()
        .doing(|| format!("start {}", binaries.program("postgres").display()))
}

/// The postmaster writes its state into the last line of postmaster.pid: "starting", then "ready".
fn wait_until_ready(process: &Process, options: &PostgresOptions) -> Result<(), LocalError> {
    const STATUS_LINE: usize = 7;
    let deadline = Instant::now() + READY_WITHIN;
    let (pid_file, log) = (options.data_dir.join("postmaster.pid"), &options.log_file);
    loop {
        let text = std::fs::read_to_string(&pid_file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let ours = lines.first().and_then(|line| line.parse().ok()) == Some(process.id());
        if ours && lines.get(STATUS_LINE) == Some(&"ready") {
            return Ok(());
        }
        if let Some(status) = process.ended() {
            return Err(LocalError::Ended { program: NAME, status, log: log.clone(), tail: tail(log) });
        }
        if Instant::now() > deadline {
            let seconds = READY_WITHIN.as_secs();
            return Err(LocalError::NotReady { program: NAME, seconds, log: log.clone(), tail: tail(log) });
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests;
