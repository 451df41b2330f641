//! Exit codes, the same for every process: 0 done, 1 failed, 2 wrong settings or usage.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

/// Says what is wrong with the settings; 2, as for a wrong flag.
pub fn bad_config(error: &dyn Error) -> ExitCode {
    say(&format!("settings: {}", chain(error)));
    ExitCode::from(2)
}

/// Says what failed and why, with all causes; 1. `what` is a phrase such as "start gateway".
pub fn failed(what: &str, error: &anyhow::Error) -> ExitCode {
    say(&format!("failed to {what}: {}", chain(error.as_ref())));
    ExitCode::FAILURE
}

/// An error and its causes, joined by colons.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// To the log once there is one, else plainly to stderr.
fn say(message: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{message}");
    } else {
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(std::io::stderr(), "error: {message}");
    }
}
