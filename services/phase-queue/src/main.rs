//! The process hookstream-phase-queue: see the library.

use std::process::ExitCode;

use hookstream_phase_queue::PhaseQueue;
use hookstream_runtime::ProcessInfo;

fn main() -> ExitCode {
    let info = ProcessInfo {
        name: "hookstream-phase-queue",
        about: "Projects workflow events into the phase queue",
        version: env!("CARGO_PKG_VERSION"),
    };
    hookstream_projection::main(&info, PhaseQueue::from_settings)
}
