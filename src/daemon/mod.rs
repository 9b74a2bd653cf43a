//! The compile server, and the entry point of `distccd`.

mod compilers;
mod jobs;
mod life;
mod network;
mod report;
mod server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

/// Runs `distccd` as a compile server.
pub(crate) fn main() -> ExitCode {
    life::launch::main()
}
