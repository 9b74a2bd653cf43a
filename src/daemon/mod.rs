//! The compile server, and the entry point of `distccd`.

mod advert;
mod answer;
mod background;
mod ccache;
mod check;
mod compiler;
mod compilers;
mod connection;
mod descriptors;
mod endings;
mod failure;
mod guests;
mod hello;
mod inetd;
mod installers;
mod job;
mod launch;
mod listener;
mod log;
mod observe;
mod pid_file;
mod program;
mod rescan;
mod server;
mod shield;
mod source;
mod start;
mod state;
mod stats;
mod stats_page;
mod sweep;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trouble;
mod watches;
mod workspace;

use std::process::ExitCode;

/// Runs `distccd` as a compile server.
pub(crate) fn main() -> ExitCode {
    launch::main()
}
