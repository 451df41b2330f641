//! The projection `audit` as a process.

use std::convert::Infallible;
use std::process::ExitCode;

use hookstream_audit::Audit;
use hookstream_runtime::ProcessInfo;

fn main() -> ExitCode {
    let info = ProcessInfo {
        name: "hookstream-audit",
        about: "Projects every event into a hash-chained audit trail",
        version: env!("CARGO_PKG_VERSION"),
    };
    hookstream_projection::main(&info, |_| Ok::<_, Infallible>(Audit::default()))
}
