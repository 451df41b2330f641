use std::fmt::Write;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::{Doing, tail};
use crate::process::{self, Death, Process, Program};
use crate::{Listen, LocalError, Passwords, files, find};

/// The configuration that every server of ours runs with: the repository's nats.conf.
pub const NATS_CONF: &str = include_str!("../../../../nats.conf");

const NAME: &str = "nats-server";
/// Long enough to recover a large store after a crash.
const READY_WITHIN: Duration = Duration::from_secs(90);
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
    /// Its configuration file's text, [`NATS_CONF`] or for a test a variation of that.
    pub config: String,
}

impl NatsOptions {
    /// A server on free loopback ports with everything in one folder.
    pub fn in_dir(data_dir: impl Into<PathBuf>, passwords: Passwords) -> Self {
        let data_dir = data_dir.into();
        let log_file = data_dir.join("nats-server.log");
        let (listen, monitor) = (Listen::any(), Listen::any());
        Self { data_dir, listen, monitor, passwords, log_file, config: NATS_CONF.to_owned() }
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
        let program = find::nats_server()?;
        files::create_dir(&options.data_dir, 0o755)?;
        let data_dir =
            options.data_dir.canonicalize().doing(|| format!("find {}", options.data_dir.display()))?;
        let config = data_dir.join("nats.conf");
        end_of_predecessor(&data_dir, &config)?;
        options.listen.check_free()?;
        options.monitor.check_free()?;
        std::fs::write(&config, &options.config).doing(|| format!("write {}", config.display()))?;
        let process = spawn(&program, &options, &data_dir, &config)?;
        let (client_addr, monitor_addr) =
            wait_until_ready(&process, &options, &data_dir).inspect_err(|_| {
                process.stop(Death::Kill, STOP_WITHIN, Death::Kill);
            })?;
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
        options.listen.addr = self.client_addr;
        options.monitor.addr = self.monitor_addr;
        *self = Self::start(options)?;
        Ok(())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(
    program: &Path,
    options: &NatsOptions,
    data_dir: &Path,
    config: &Path,
) -> Result<Process, LocalError> {
    let log = files::open_log(&options.log_file)?;
    let copy = log.try_clone().doing(|| format!("open {}", options.log_file.display()))?;
    let mut start = Program::new(program)
        .arg("--config")
        .arg(config)
        .arg("--ports_file_dir")
        .arg(data_dir)
        .arg("--pid")
        .arg(data_dir.join("nats-server.pid"))
        .env("HOOKSTREAM_NATS_LISTEN", listen_value(options.listen.addr))
        .env("HOOKSTREAM_NATS_MONITOR", listen_value(options.monitor.addr))
        .env("HOOKSTREAM_NATS_STORE_DIR", quoted(&data_dir.join("store").to_string_lossy()))
        .stdout(copy)
        .stderr(log);
    for (role, password) in options.passwords.iter() {
        start = start.env(Passwords::variable(role), quoted(password));
    }
    start.spawn().doing(|| format!("start {}", program.display()))
}

/// The server takes -1 for "any free port"; 0 would be its default port.
fn listen_value(addr: SocketAddr) -> String {
    match addr.port() {
        0 => quoted(&match addr {
            SocketAddr::V4(v4) => format!("{}:-1", v4.ip()),
            SocketAddr::V6(v6) => format!("[{}]:-1", v6.ip()),
        }),
        _ => quoted(&addr.to_string()),
    }
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
fn end_of_predecessor(data_dir: &Path, config: &Path) -> Result<(), LocalError> {
    let pid = files::read_if_present(&data_dir.join("nats-server.pid"))?;
    let Some(pid) = pid.and_then(|text| text.trim().parse().ok()) else { return Ok(()) };
    let program = find::nats_server()?;
    let name =
        program.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = name.unwrap_or_else(|| NAME.to_owned());
    if process::was_given(pid, config) && !process::wait_gone(pid, &name, Duration::from_secs(5)) {
        return Err(LocalError::InUse { program: NAME, pid, data_dir: data_dir.to_owned() });
    }
    Ok(())
}

/// What the server writes about its ports once it listens.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

fn wait_until_ready(
    process: &Process,
    options: &NatsOptions,
    data_dir: &Path,
) -> Result<(SocketAddr, SocketAddr), LocalError> {
    let deadline = Instant::now() + READY_WITHIN;
    let log = &options.log_file;
    loop {
        // The file is half written for a moment; then it does not parse and we look again.
        if let Some((client, monitor)) = ports(data_dir, process.id(), options)
            && is_healthy(monitor)
        {
            return Ok((client, monitor));
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

/// The addresses from the ports file, which is named after the executable and the process id. With a wildcard listen
/// address the server lists every interface, so the host is ours to know.
fn ports(data_dir: &Path, pid: u32, options: &NatsOptions) -> Option<(SocketAddr, SocketAddr)> {
    let suffix = format!("_{pid}.ports");
    let mut entries = std::fs::read_dir(data_dir).ok()?.flatten();
    let file = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(&suffix))?;
    let ports: Ports = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
    let port = |urls: &[String]| urls.first()?.rsplit_once(':')?.1.parse::<u16>().ok();
    let client = SocketAddr::new(reachable(options.listen.addr), port(&ports.nats)?);
    let monitor = SocketAddr::new(reachable(options.monitor.addr), port(&ports.monitoring)?);
    Some((client, monitor))
}

/// Where to reach what listens on every interface.
fn reachable(addr: SocketAddr) -> std::net::IpAddr {
    match addr {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        other => other.ip(),
    }
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
