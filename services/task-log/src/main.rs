//! The projection `task_log` as a process.

use std::process::ExitCode;

use hookstream_runtime::ProcessInfo;
use hookstream_task_log::TaskLog;

fn main() -> ExitCode {
    let info = ProcessInfo {
        name: "hookstream-task-log",
        about: "Projects every event into the task log and its analytics",
        version: env!("CARGO_PKG_VERSION"),
    };
    hookstream_projection::main(&info, TaskLog::from_settings)
}
