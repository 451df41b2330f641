//! Ctrl-C and SIGTERM, for commands that run for long.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for somebody to want the command to end.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    came: bool,
}

/// From now on these signals no longer end the process by themselves.
pub(crate) fn signals() -> std::io::Result<Stop> {
    let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(Stop { interrupt, terminate, came: false })
}

impl Stop {
    /// Returns once a signal has come, then and ever after.
    pub(crate) async fn wait(&mut self) {
        if !self.came {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            self.came = true;
        }
    }
}
