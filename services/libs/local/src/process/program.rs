use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;

use super::{Process, guard};

/// A program to start as a child that dies with us.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    clear_env: bool,
    user: Option<&'static str>,
    on_parent_death: Death,
    ends_group: bool,
    held: Option<File>,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
}

/// The signals this crate sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// SIGTERM: a polite request.
    Term,
    /// SIGINT: Postgres's fast stop.
    Int,
    /// SIGQUIT: Postgres's immediate stop, the only way to end a postmaster and its backends at once.
    Quit,
    /// SIGKILL.
    Kill,
}

impl Death {
    pub(super) fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Int => Signal::INT,
            Self::Quit => Signal::QUIT,
            Self::Kill => Signal::KILL,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
        }
    }
}

impl Program {
    /// A program with no arguments, our environment, and nothing connected.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            clear_env: false,
            user: None,
            on_parent_death: Death::Kill,
            ends_group: false,
            held: None,
            stdin: Stdio::null(),
            stdout: Stdio::null(),
            stderr: Stdio::null(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts from an empty environment instead of ours.
    #[must_use]
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Runs as this user with that user's groups; only root can.
    #[must_use]
    pub fn user(mut self, user: Option<&'static str>) -> Self {
        self.user = user;
        self
    }

    /// What the child gets when we are gone; SIGKILL unless told otherwise.
    #[must_use]
    pub fn on_parent_death(mut self, signal: Death) -> Self {
        self.on_parent_death = signal;
        self
    }

    /// When the child has ended, kills what is left of its process group.
    #[must_use]
    pub fn end_group(mut self) -> Self {
        self.ends_group = true;
        self
    }

    /// Hands the child an open file, without telling it: a lock on it is held as long as anything that the child started
    /// lives, even if we do not. No other child may be started meanwhile, for it would get the file, too.
    #[must_use]
    pub fn hold(mut self, file: File) -> Self {
        self.held = Some(file);
        self
    }

    /// Connects standard input.
    #[must_use]
    pub fn stdin(mut self, to: impl Into<Stdio>) -> Self {
        self.stdin = to.into();
        self
    }

    /// Connects standard output.
    #[must_use]
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.stdout = to.into();
        self
    }

    /// Connects standard error.
    #[must_use]
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.stderr = to.into();
        self
    }

    /// Starts the child on a thread of its own.
    pub fn spawn(mut self) -> io::Result<Process> {
        let (started, outcome) = mpsc::sync_channel(1);
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (ends_group, held) = (self.ends_group, self.held.take());
        thread::Builder::new().name(name).spawn(move || {
            let inherited = held.as_ref().map_or(Ok(()), inherit);
            match inherited.and_then(|()| self.command().spawn()) {
                Ok(child) => {
                    drop(held);
                    guard(child, ends_group, &started);
                }
                Err(error) => drop(started.send(Err(missing_setpriv(error)))),
            }
        })?;
        outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts the child ended")))
    }

    fn command(self) -> Command {
        let mut command = Command::new("setpriv");
        if let Some(user) = self.user {
            command.args([format!("--reuid={user}"), format!("--regid={user}"), "--init-groups".to_owned()]);
        }
        command.args(["--pdeathsig", self.on_parent_death.name(), "--"]).arg(&self.path).args(&self.args);
        if self.clear_env {
            // setpriv itself is looked up along the child's PATH.
            command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        }
        command.envs(self.env).stdin(self.stdin).stdout(self.stdout).stderr(self.stderr).process_group(0);
        if self.user.is_some() {
            command.current_dir("/"); // ours may be closed to that user
        }
        command
    }
}

/// Files are closed in a child unless this is said of them.
fn inherit(file: &File) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?)
}

fn missing_setpriv(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return io::Error::new(error.kind(), "setpriv not found; install util-linux");
    }
    error
}
