//! One command from its scan to its exit code. The steps are in [`distribute`]; whatever keeps
//! them from a result is a [`Failure`], and only [`conclude`] decides what comes of it.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use crate::base::exit;
use crate::command::{self, Plan, Weight};

use super::compiler::Compiler;
use super::failure::{Failure, panic_text};
use super::job::{distribute, speak};
use super::local;
use super::native;
use super::place::{Nowhere, Places};
use super::preprocess::show;
use super::remote::Reply;
use super::session::Session;
use super::several;

/// Whether `DISTCC_FALLBACK=0` forbids to run the command here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detour {
    /// It belongs here.
    Planned,
    /// A host was to have done it.
    Fallback,
}

/// Runs the command of `session` and returns its exit code.
pub(super) fn run(session: &Session<'_>) -> u8 {
    if let Some(code) = recursion(session) {
        return code;
    }
    let mut places = Places::new(session.env, session.log);
    match contained(&mut places, |places| attempt(session, places)) {
        Ok(code) => code,
        Err(failure) => conclude(session, &mut places, failure),
    }
}

/// Does `work`. A defect of ours in it becomes a failure, and what was held is given back: the
/// local run that follows would wait for a slot that we hold ourselves.
fn contained(
    places: &mut Places<'_>,
    work: impl FnOnce(&mut Places<'_>) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    // The default hook would report a defect on standard error, where a build's output is read.
    panic::set_hook(Box::new(|_| ()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| work(places)));
    let _ = panic::take_hook();
    outcome.unwrap_or_else(|payload| {
        places.give_back();
        Err(Failure::Panicked(panic_text(&*payload)))
    })
}

/// The command's way to another machine, if it may travel.
fn attempt(session: &Session<'_>, places: &mut Places<'_>) -> Result<u8, Failure> {
    let compiler = session.compiler();
    let file = compiler.as_ref().map(Compiler::file);
    let file = file.unwrap_or_else(|| session.compiler_name().into());
    match command::scan(&session.invocation.expanded(), &file) {
        Plan::Distribute(mut compile) => {
            if let Some(directory) = working_directory() {
                compile.note_directory(&directory);
            }
            if let Some(compiler) = &compiler {
                native::resolve(session, compiler, &mut compile).map_err(Failure::Local)?;
            }
            distribute(session, places, &compile, compiler)
        }
        Plan::Split(singles) => several::run(session, &singles),
        Plan::Local(reason) => Err(Failure::Local(reason)),
    }
}

/// The directory that a compiler would write down: as `$PWD` calls it, if that is where we are.
fn working_directory() -> Option<PathBuf> {
    let actual = env::current_dir().ok()?;
    let called = env::var_os("PWD").map(PathBuf::from).filter(|called| called.is_absolute());
    let identity = |dir: &Path| dir.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    match called {
        Some(called) if identity(&called) == identity(&actual) => Some(called),
        _ => Some(actual),
    }
}

/// A compiler that is distcc again: once is explained by our own cutting of PATH, and then runs
/// without further ado; otherwise it would go on forever.
fn recursion(session: &Session<'_>) -> Option<u8> {
    let level = session.env.safeguard;
    if level == 0 {
        return None;
    }
    if level > u32::from(session.invocation.trimmed) {
        session.log.error(format_args!("distcc seems to have invoked itself recursively!"));
        return Some(exit::RECURSION);
    }
    let mut places = Places::new(session.env, session.log);
    Some(local::run(session, &mut places, Weight::Free))
}

/// The one place where a failure becomes an exit code, with or without a local run.
fn conclude(session: &Session<'_>, places: &mut Places<'_>, failure: Failure) -> u8 {
    let log = session.log;
    let fallback_forbidden = !session.env.fallback;
    let (detour, weight) = match &failure {
        Failure::RemoteError { reply, said, source, .. } => {
            if fallback_forbidden || session.env.skip_local_retry {
                log.info(format_args!("ERROR: {failure}"));
                show(said);
                speak(reply);
                return code_of(reply);
            }
            let source = source.display();
            log.detour(format_args!("remote compilation of '{source}' failed, retrying locally"));
            return retry(session, places, code_of(reply));
        }
        Failure::Unusable(problem) => {
            log.error_to_user(format_args!("{problem}"));
            return exit::BAD_ARGUMENTS;
        }
        Failure::Local(reason) => (Detour::Planned, reason.weight()),
        Failure::NoCompiler
        | Failure::LocalSource(_)
        | Failure::NoServerOfOurs
        | Failure::Children { .. }
        | Failure::MissingSource(_) => (Detour::Planned, Weight::Compile),
        Failure::Nowhere(Nowhere::Agent(place)) if place.listed => {
            (Detour::Planned, Weight::Compile)
        }
        // A compiler may succeed where its preprocessor fails, with a header that exists only in
        // compiled form; and where it fails too, its own words are what the user reads.
        Failure::Nowhere(Nowhere::Localhost)
        | Failure::Preprocess(_)
        | Failure::TooLong(_)
        | Failure::Words { .. }
        | Failure::Undeliverable { .. } => (Detour::Planned, Weight::Compile),
        Failure::NoHostList
        | Failure::Nowhere(_)
        | Failure::HostsFailed { .. }
        | Failure::Panicked(_) => (Detour::Fallback, Weight::Compile),
    };
    match detour {
        Detour::Fallback if fallback_forbidden => {
            log.error(format_args!("failed to distribute and fallbacks are disabled: {failure}"));
            return match failure {
                Failure::Panicked(_) => exit::GENERAL,
                _ => exit::NO_HOSTS,
            };
        }
        Detour::Fallback => {
            log.detour(format_args!("failed to distribute, running locally instead: {failure}"));
        }
        Detour::Planned => log.info(format_args!("running locally: {failure}")),
    }
    local::run(session, places, weight)
}

/// Runs here what failed there: the local result is what counts.
fn retry(session: &Session<'_>, places: &mut Places<'_>, remote_code: u8) -> u8 {
    let code = local::run(session, places, Weight::Compile);
    if code != remote_code {
        session.log.detour(format_args!(
            "the compiler's exit code was {remote_code} there and {code} here"
        ));
    }
    code
}

fn code_of(reply: &Reply) -> u8 {
    let by_signal = || 128 + reply.status.signal().unwrap_or(0);
    reply.status.code().unwrap_or_else(by_signal)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::time::Duration;

    use crate::settings::env::Environment;
    use crate::wire::control::{AGENT_PROTOCOL, AgentMessage, LocalPlace, LocalPurpose, frame};

    use super::super::log::{Log, LogSettings};
    use super::super::place;
    use super::*;

    /// Grants one slot; true if the client gives it back before long.
    fn agent(listener: &UnixListener) -> bool {
        let (mut stream, _) = listener.accept().unwrap();
        let slot = LocalPlace {
            reason: String::new(),
            warnings: Vec::new(),
            listed: false,
            hint: None,
            slot: 0,
        };
        let welcome = AgentMessage::Welcome { protocol: AGENT_PROTOCOL };
        for message in [welcome, AgentMessage::Local(slot)] {
            stream.write_all(&frame(&message).unwrap()).unwrap();
        }
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.read_to_end(&mut Vec::new()).is_ok()
    }

    #[test]
    fn a_defect_gives_every_place_back() {
        let dir = tempfile::tempdir().unwrap();
        let env = Environment::from_lookup(|name| match name {
            "DISTCC_DIR" => Some(dir.path().into()),
            "DISTCC_AGENT" => Some("off".into()),
            _ => None,
        });
        let socket = place::socket(&env).unwrap();
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let agent = thread::spawn(move || agent(&listener));
        let log = Log::open(&LogSettings::default());
        let mut places = Places::new(&env, &log);
        let outcome = contained(&mut places, |places| {
            places.local(LocalPurpose::Compile);
            panic!("a defect");
        });
        assert_eq!(outcome.unwrap_err().to_string(), "internal error: a defect");
        assert!(agent.join().unwrap(), "the slot is still held");
        drop(places);
    }
}
