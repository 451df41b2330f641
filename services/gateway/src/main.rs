//! Takes webhooks: the process. See the library for what it does.

use std::process::ExitCode;

use hookstream_runtime::{ProcessInfo, Settings, exit, process};

const INFO: ProcessInfo = ProcessInfo {
    name: "hookstream-gateway",
    about: "Verifies webhooks and appends each to the stream.",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    match Settings::load(&INFO) {
        Ok(settings) => process::run(&INFO, &settings, async |supervisor| {
            hookstream_gateway::start(&INFO, &settings, supervisor).await
        }),
        Err(error) => exit::bad_config(&error),
    }
}
