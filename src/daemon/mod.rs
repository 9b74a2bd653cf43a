//! The compile server, and the entry point of `distccd`.

mod answer;
mod compiler;
mod compilers;
mod connection;
mod hello;
mod job;
mod listener;
mod log;
mod observe;
mod server;
mod standin;
mod start;
mod state;
#[cfg(test)]
mod testing;
mod workspace;

use std::process::ExitCode;

/// Runs `distccd`.
pub fn main() -> ExitCode {
    ExitCode::FAILURE
}
