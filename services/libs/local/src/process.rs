//! Child processes that die with their parent.
//!
//! Each child is started through `setpriv --pdeathsig`, so the kernel signals it when its parent goes away, however
//! that happens. The kernel means the parent *thread*, so a thread of its own starts the child and stays until the
//! child has ended. Children lead process groups of their own: a Ctrl-C at the terminal reaches only us, and we decide
//! in which order they stop.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions};

mod program;

pub use program::{Death, Program};

/// A child that was started. Cheap to clone; all clones mean the same child.
#[derive(Debug, Clone)]
pub struct Process(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pid: Pid,
    pipes: Mutex<(Option<ChildStdout>, Option<ChildStderr>)>,
    ended: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

/// Reports the child to whoever asked for it and stays until it has ended, as its parent thread.
fn guard(mut child: Child, ends_group: bool, started: &mpsc::SyncSender<io::Result<Process>>) {
    let shared = Arc::new(Shared {
        pid: Pid::from_child(&child),
        pipes: Mutex::new((child.stdout.take(), child.stderr.take())),
        ended: Mutex::new(None),
        changed: Condvar::new(),
    });
    let _ = started.send(Ok(Process(Arc::clone(&shared))));
    // Wait without reaping, then reap under the lock: until `ended` is set the process id cannot be anybody else's,
    // so `signal` never hits a stranger.
    let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(rustix::process::waitid(WaitId::Pid(shared.pid), end), Err(rustix::io::Errno::INTR)) {}
    if ends_group {
        // While the child is not reaped, its number is that of its group and of nobody else's. None may be left.
        let _ = rustix::process::kill_process_group(shared.pid, Death::Kill.signal());
    }
    let mut ended = locked(&shared.ended);
    let status = child.wait().expect("our own child that has ended can be reaped");
    *ended = Some(status);
    shared.changed.notify_all();
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.pid.as_raw_pid().unsigned_abs()
    }

    /// Its standard output, once, if that was piped.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        locked(&self.0.pipes).0.take()
    }

    /// Its standard error, once, if that was piped.
    pub fn take_stderr(&self) -> Option<ChildStderr> {
        locked(&self.0.pipes).1.take()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&self) -> Option<ExitStatus> {
        *locked(&self.0.ended)
    }

    /// Blocks until it has ended.
    pub fn wait(&self) -> ExitStatus {
        let mut ended = locked(&self.0.ended);
        loop {
            if let Some(status) = *ended {
                return status;
            }
            ended = self.0.changed.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks until it has ended, for at most `patience`.
    pub fn wait_for(&self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        let mut ended = locked(&self.0.ended);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if ended.is_some() || left.is_zero() {
                return *ended;
            }
            ended = self.0.changed.wait_timeout(ended, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a signal; does nothing when it has ended.
    pub fn signal(&self, signal: Death) {
        let ended = locked(&self.0.ended);
        if ended.is_none() {
            // It may have ended a moment ago and not be reaped yet; then there is nothing left to signal.
            let _ = rustix::process::kill_process(self.0.pid, signal.signal());
        }
    }

    /// Sends a signal to the child and all that it has started, unless that left its process group; does nothing when
    /// the child has ended.
    pub fn signal_group(&self, signal: Death) {
        let ended = locked(&self.0.ended);
        if ended.is_none() {
            let _ = rustix::process::kill_process_group(self.0.pid, signal.signal());
        }
    }

    /// Asks with `first`, waits for `patience`, then insists with `last` until it has ended.
    pub fn stop(&self, first: Death, patience: Duration, last: Death) -> ExitStatus {
        self.signal(first);
        if let Some(status) = self.wait_for(patience) {
            return status;
        }
        self.signal(last);
        self.wait()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether process `pid` is alive and runs a program of this file name; a number alone may belong to a stranger by now.
pub(crate) fn runs(pid: u32, program: &str) -> bool {
    let executable = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    // The kernel appends " (deleted)" when the file was replaced since.
    let name = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.trim_end_matches(" (deleted)") == program
}

/// The working directory of process `pid`, if it is alive and we may see it.
pub(crate) fn working_dir(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Whether one of the arguments of process `pid` is exactly this path.
pub(crate) fn was_given(pid: u32, path: &Path) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == path.as_os_str().as_encoded_bytes())
}

/// Waits until process `pid` is no longer a `program`, for at most `patience`; says whether that came true.
pub(crate) fn wait_gone(pid: u32, program: &str, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while runs(pid, program) {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

#[cfg(test)]
mod tests;
