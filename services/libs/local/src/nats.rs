use std::fmt::Write;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Doing, tail};
use crate::listen::reachable;
use crate::process::{self, Death, Process, Program};
use crate::{Listen, LocalError, Passwords, files, find};

/// The configuration that every server of ours runs with: the repository's nats.conf.
pub const NATS_CONF: &str = include_str!("../../../../nats.conf");

const NAME: &str = "nats-server";
/// Long enough to recover a large store after a crash.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How often another free port is looked for.
const TRIES: u32 = 5;
/// How long a polite stop may take before it is insisted on.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// What a private nats-server needs to know.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Its own folder: the configuration, the streams and what it tells about its ports.
    pub data_dir: PathBuf,
    /// Where clients connect.
    pub listen: Listen,
    /// Where the monitoring pages are.
    pub monitor: Listen,
    /// The passwords of its users.
    pub passwords: Passwords,
    /// Its log is appended here.
    pub log_file: PathBuf,
    /// The program; `None` finds one, see [`crate::find::nats_server`].
    pub program: Option<PathBuf>,
    /// Its configuration file's text, [`NATS_CONF`] or for a test a variation of that.
    pub config: String,
}

impl NatsOptions {
    /// A server on free loopback ports with everything in one folder.
    pub fn in_dir(data_dir: impl Into<PathBuf>, passwords: Passwords) -> Self {
        let data_dir = data_dir.into();
        let log_file = data_dir.join("nats-server.log");
        let (listen, monitor) = (Listen::any(), Listen::any());
        let config = NATS_CONF.to_owned();
        Self { data_dir, listen, monitor, passwords, log_file, program: None, config }
    }
}

impl NatsOptions {
    fn picks_a_port(&self) -> bool {
        self.listen.addr.port() == 0 || self.monitor.addr.port() == 0
    }
}

/// A running nats-server. Drop stops it.
#[derive(Debug)]
pub struct NatsServer {
    options: NatsOptions,
    process: Process,
    client_addr: SocketAddr,
    monitor_addr: SocketAddr,
}

impl NatsServer {
    /// Starts a server and waits until it serves.
    pub fn start(options: NatsOptions) -> Result<Self, LocalError> {
        let program = options.program.clone().map_or_else(find::nats_server, Ok)?;
        files::create_dir(&options.data_dir, 0o755)?;
        let data_dir =
            options.data_dir.canonicalize().doing(|| format!("find {}", options.data_dir.display()))?;
        let config = data_dir.join("nats.conf");
        end_of_predecessor(&program, &data_dir, &config)?;
        std::fs::write(&config, &options.config).doing(|| format!("write {}", config.display()))?;
        let mut tries = 0;
        let (process, client_addr, monitor_addr) = loop {
            tries += 1;
            match try_start(&program, &options, &data_dir, &config) {
                Ok(started) => break started,
                // A free port may be taken between finding and using it.
                Err(LocalError::Ended { tail, .. })
                    if options.picks_a_port() && tail.contains("already in use") && tries < TRIES => {}
                Err(error) => return Err(error),
            }
        };
        Ok(Self { options, process, client_addr, monitor_addr })
    }

    /// Where clients connect.
    pub fn client_addr(&self) -> SocketAddr {
        self.client_addr
    }

    /// Where the monitoring pages are.
    pub fn monitor_addr(&self) -> SocketAddr {
        self.monitor_addr
    }

    /// The monitoring pages' address as a URL.
    pub fn monitor_url(&self) -> String {
        format!("http://{}", self.monitor_addr)
    }

    /// The URL for a role, with its password; without user and password for a role that nats.conf does not have.
    pub fn url(&self, role: &str) -> String {
        self.url_at(role, self.client_addr)
    }

    /// The same through another address, such as a proxy's.
    pub fn url_at(&self, role: &str, addr: SocketAddr) -> String {
        match self.options.passwords.of(role) {
            Some(password) => format!("nats://{role}:{password}@{addr}"),
            None => format!("nats://{addr}"),
        }
    }

    /// The passwords of its users.
    pub fn passwords(&self) -> &Passwords {
        &self.options.passwords
    }

    /// The child process, to wait for its end or ask about it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Stops it as an operator would.
    pub fn stop(&self) {
        self.process.stop(Death::Term, STOP_WITHIN, Death::Kill);
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&self) {
        self.process.stop(Death::Kill, STOP_WITHIN, Death::Kill);
    }

    /// Starts it again on the same data and ports, after a stop if it still runs.
    pub fn restart(&mut self) -> Result<(), LocalError> {
        self.stop();
        let mut options = self.options.clone();
        options.listen.addr.set_port(self.client_addr.port());
        options.monitor.addr.set_port(self.monitor_addr.port());
        *self = Self::start(options)?;
        Ok(())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn try_start(
    program: &Path,
    options: &NatsOptions,
    data_dir: &Path,
    config: &Path,
) -> Result<(Process, SocketAddr, SocketAddr), LocalError> {
    let (client, monitor) = (options.listen.reserve()?, options.monitor.reserve()?);
    let addresses = (client.addr, monitor.addr);
    drop((client, monitor));
    let process = spawn(program, options, data_dir, config, addresses)?;
    wait_until_ready(&process, options, data_dir, addresses.1).inspect_err(|_| {
        process.stop(Death::Kill, STOP_WITHIN, Death::Kill);
    })?;
    Ok((process, reachable(addresses.0), reachable(addresses.1)))
}

fn spawn(
    program: &Path,
    options: &NatsOptions,
    data_dir: &Path,
    config: &Path,
    (client, monitor): (SocketAddr, SocketAddr),
) -> Result<Process, LocalError> {
    forget_ports(data_dir);
    let log = files::open_log(&options.log_file)?;
    let copy = log.try_clone().doing(|| format!("open {}", options.log_file.display()))?;
    let mut start = Program::new(program)
        .arg("--config")
        .arg(config)
        .arg("--ports_file_dir")
        .arg(data_dir)
        .arg("--pid")
        .arg(data_dir.join("nats-server.pid"))
        .env("HOOKSTREAM_NATS_LISTEN", quoted(&client.to_string()))
        .env("HOOKSTREAM_NATS_MONITOR", quoted(&monitor.to_string()))
        .env("HOOKSTREAM_NATS_STORE_DIR", quoted(&data_dir.join("store").to_string_lossy()))
        .stdout(copy)
        .stderr(log);
    for (role, password) in options.passwords.iter() {
        start = start.env(Passwords::variable(role), quoted(password));
    }
    start.spawn().doing(|| format!("start {}", program.display()))
}

/// The server reads a variable's value as configuration text, so it is written as a string of that language.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                let _ = write!(text, "\\{c}");
            }
            _ => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Waits for a server on the same data that is on its way out: its parent was killed a moment ago, so it was too.
fn end_of_predecessor(program: &Path, data_dir: &Path, config: &Path) -> Result<(), LocalError> {
    let pid = files::read_if_present(&data_dir.join("nats-server.pid"))?;
    let Some(pid) = pid.and_then(|text| text.trim().parse().ok()) else { return Ok(()) };
    let name =
        program.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = name.unwrap_or_else(|| NAME.to_owned());
    if process::was_given(pid, config) && !process::wait_gone(pid, &name, Duration::from_secs(5)) {
        return Err(LocalError::InUse { program: NAME, pid, data_dir: data_dir.to_owned() });
    }
    Ok(())
}

fn wait_until_ready(
    process: &Process,
    options: &NatsOptions,
    data_dir: &Path,
    monitor: SocketAddr,
) -> Result<(), LocalError> {
    let deadline = Instant::now() + READY_WITHIN;
    let log = &options.log_file;
    loop {
        if let Some(status) = process.ended() {
            return Err(LocalError::Ended { program: NAME, status, log: log.clone(), tail: tail(log) });
        }
        // The ports file says that this very process listens, and the health page that its streams are recovered.
        if wrote_ports(data_dir, process.id()) && is_healthy(reachable(monitor)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let seconds = READY_WITHIN.as_secs();
            return Err(LocalError::NotReady { program: NAME, seconds, log: log.clone(), tail: tail(log) });
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the ports file of this process is there. It is named after the executable and the process id.
fn wrote_ports(data_dir: &Path, pid: u32) -> bool {
    let ending = format!("_{pid}.ports");
    ports_files(data_dir).any(|path| path.to_string_lossy().ends_with(&ending))
}

/// Removes the ports files of servers that were killed.
fn forget_ports(data_dir: &Path) {
    for path in ports_files(data_dir) {
        // One that cannot be removed matters only if its process id comes again.
        let _ = std::fs::remove_file(path);
    }
}

fn ports_files(data_dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "ports"))
}

/// Whether `/healthz` says 200, which it does once JetStream has recovered its streams.
fn is_healthy(monitor: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&monitor, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /healthz HTTP/1.0\r\nHost: {monitor}\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests;
