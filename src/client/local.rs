//! The command runs on this machine, as typed.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::time::Instant;

use nix::errno::Errno;

use crate::base::exit;
use crate::command::Weight;
use crate::monitor::record::Phase;
use crate::wire::control::LocalPurpose;

use super::child::{Running, exit_code};
use super::log::Level;
use super::place::Places;
use super::session::Session;
use super::state::LOCALHOST;

/// Runs the command when this machine has a slot for it, and returns its exit code. A command of
/// no weight needs none, and takes our place.
pub(super) fn run(session: &Session<'_>, places: &mut Places<'_>, weight: Weight) -> u8 {
    let (purpose, phase) = match weight {
        Weight::Free => return replace_us(session),
        Weight::Preprocess => (LocalPurpose::Preprocess, Phase::Preprocess),
        Weight::Compile => (LocalPurpose::Compile, Phase::Compile),
    };
    let state = &session.state;
    state.about_any(&session.invocation.argv);
    state.on(LOCALHOST, 0, Phase::Blocked);
    let slot = places.local(purpose);
    state.on(LOCALHOST, slot, phase);
    let started = Instant::now();
    let argv = &session.invocation.argv;
    let Some(compiler) = session.compiler() else { return missing(session, &not_found()) };
    log_start(session);
    let ended = Running::start(session.command(&compiler, argv)).and_then(Running::wait);
    match ended {
        Ok(status) => {
            let code = exit_code(status);
            let word = if status.success() { "completed ok" } else { "failed" };
            session.log.info(format_args!("compile on localhost {word}, exit code {code}"));
            let elapsed = started.elapsed().as_secs_f64();
            session.log.info(format_args!("elapsed compilation time {elapsed:.6}s"));
            code
        }
        Err(error) => missing(session, &error),
    }
}

/// Becomes the command.
fn replace_us(session: &Session<'_>) -> u8 {
    session.state.end();
    let Some(compiler) = session.compiler() else { return missing(session, &not_found()) };
    log_start(session);
    let error = session.command(&compiler, &session.invocation.argv).exec();
    missing(session, &error)
}

fn not_found() -> io::Error {
    Errno::ENOENT.into()
}

/// The user sees this even when the log is a file: nothing else says why there is no result.
fn missing(session: &Session<'_>, error: &io::Error) -> u8 {
    let name = session.compiler_name().display();
    session.log.error_to_user(format_args!("failed to exec {name}: {error}"));
    exit::COMPILER_MISSING
}

fn log_start(session: &Session<'_>) {
    if session.log.enabled(Level::Info) {
        let words = shown(&session.invocation.argv);
        session.log.info(format_args!("exec on localhost: {words}"));
    }
}

/// A command line for the log.
pub(super) fn shown(argv: &[OsString]) -> String {
    argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
