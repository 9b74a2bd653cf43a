//! The compile server, and the entry point of `distccd`.

use std::process::ExitCode;

/// Runs `distccd`.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
