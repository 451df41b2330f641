//! `hookstream`, the operator's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookstream::run()
}
