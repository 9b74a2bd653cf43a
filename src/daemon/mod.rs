//! The compile server, and the entry point of `distccd`.

mod compiler;
#[cfg(test)]
mod testing;
mod workspace;

use std::process::ExitCode;

/// Runs `distccd`.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
