//! The compile client: from a command line to an exit code, without a runtime.

mod show;

use std::process::ExitCode;

/// Runs `distcc`, or the compiler whose name it was called by.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
