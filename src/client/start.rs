//! The entry point: the process is made ready, then the request is answered.

use std::env;
use std::process::ExitCode;

use crate::base::exit;
use crate::settings::env::Environment;
use crate::sys::signals;

use super::help;
use super::invocation::{Request, understand};
use super::log::{Log, LogSettings};
use super::pipeline;
use super::questions::{Hosts, print, version};
use super::session::Session;
use super::state::State;

/// Runs `distcc`, or the compiler whose name it was called by.
pub fn main() -> ExitCode {
    let env = Environment::from_process();
    let log = Log::open(&LogSettings {
        file: env.log.clone(),
        uncached_err_fd: env.uncached_err_fd.and_then(|fd| u32::try_from(fd).ok()),
        verbose: env.verbose,
    });
    for problem in &env.problems {
        log.warning(format_args!("{problem}"));
    }
    for problem in &env.tolerated {
        log.detour(format_args!("{problem}"));
    }
    if let Err(error) = signals::install() {
        log.debug(format_args!("cannot handle signals: {error}"));
    }
    ExitCode::from(answer(&env, &log))
}

fn answer(env: &Environment, log: &Log) -> u8 {
    let hosts = Hosts { env, log };
    match understand(env::args_os().collect(), &env.path) {
        Request::Help => print(&help::text()),
        Request::Version => print(&version()),
        Request::ShowHosts { why: false, .. } => return hosts.show(),
        Request::ShowHosts { why: true, compilers } => return hosts.explain(&compilers),
        Request::Networks(order) => return hosts.networks(order),
        Request::Concurrency => print(&hosts.concurrency()),
        Request::ScanIncludes => {
            // In the original's words, which its own tests look for.
            log.error(format_args!(
                "'--scan_includes' specified, but distcc wouldn't have used include server \
                 (make sure hosts list includes ',cpp' option)"
            ));
            return exit::GENERAL;
        }
        Request::Command(invocation) => {
            let state = State::new(env.distcc_dir.as_deref());
            return pipeline::run(&Session::new(env, log, invocation, state));
        }
        Request::Unusable { reason } => {
            eprintln!("distcc: {reason}\nTry `distcc --help' for more information.");
            return exit::BAD_ARGUMENTS;
        }
    }
    0
}
