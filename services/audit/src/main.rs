//! The projection `audit` as a process.

use std::process::ExitCode;

use hookstream_audit::{Audit, CheckpointSettings};
use hookstream_runtime::{ProcessInfo, Settings, SettingsError};

fn main() -> ExitCode {
    let info = ProcessInfo {
        name: "hookstream-audit",
        about: "Projects every event into a hash-chained audit trail",
        version: env!("CARGO_PKG_VERSION"),
    };
    hookstream_projection::main(&info, build)
}

fn build(settings: &Settings) -> Result<Audit, SettingsError> {
    let checkpoints = CheckpointSettings::read(settings)?;
    Ok(checkpoints.map_or_else(Audit::default, Audit::with_checkpoints))
}
