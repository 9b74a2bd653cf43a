//! A command of several sources: for each of them a client of its own, many at once.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::command::{LocalReason, Single};
use crate::sys::signals::MAX_CHILDREN;

use super::child::{Running, exit_code};
use super::failure::Failure;
use super::session::Session;
use super::words::driver_lines;

/// Compiles each source, and shows what is said of it in the order of the sources. A compiler goes
/// on after one that fails.
pub(super) fn run(session: &Session<'_>, singles: &[Single]) -> Result<u8, Failure> {
    if let Some(missing) = singles.iter().find(|single| !single.source.exists()) {
        return Err(Failure::MissingSource(missing.source.clone()));
    }
    if let Some(variable) = session.env.dependency_variable {
        return Err(Failure::Local(LocalReason::Environment(variable)));
    }
    let colours = wanted_colours(session);
    let cannot = |error| Failure::Children { error };
    let mut said = Said::default();
    let mut running = VecDeque::new();
    let mut code = 0;
    for single in singles {
        if running.len() == MAX_CHILDREN {
            code = code.max(said.next(session, &mut running));
        }
        let mut argv = single.argv.clone();
        argv.extend(colours.clone());
        match Child::start(session, &argv) {
            Ok(child) => running.push_back(child),
            // The compiler would compile again what is compiled, which does no harm.
            Err(error) => return Err(cannot(error)),
        }
    }
    while !running.is_empty() {
        code = code.max(said.next(session, &mut running));
    }
    Ok(code)
}

/// What a compiler is told that would colour its messages by itself, were they not held back.
fn wanted_colours(session: &Session<'_>) -> Option<OsString> {
    let says_so = |word: &OsString| {
        [&b"-fdiagnostics-color"[..], b"-fno-diagnostics-color", b"-fcolor-", b"-fno-color-"]
            .iter()
            .any(|option| word.as_bytes().starts_with(option))
    };
    let is_dumb = env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    let wanted = io::stderr().is_terminal()
        && !is_dumb
        && env::var_os("GCC_COLORS").is_none_or(|colours| !colours.is_empty())
        && !session.invocation.argv.iter().any(says_so);
    wanted.then(|| OsString::from("-fdiagnostics-color=always"))
}

/// A client for one source.
#[derive(Debug)]
struct Child {
    running: Running,
    stdout: File,
    stderr: File,
}

impl Child {
    fn start(session: &Session<'_>, argv: &[OsString]) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg0("distcc").args(argv);
        if session.invocation.trimmed {
            command.env("PATH", &session.invocation.search_path);
        }
        let (stdout, stderr) = (memory()?, memory()?);
        command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        Ok(Self { running: Running::start(command)?, stdout, stderr })
    }
}

/// What has been shown.
#[derive(Debug, Default)]
struct Said {
    /// The lines of the compiler's driver about its options, which it writes once for all sources.
    of_driver: Option<Vec<u8>>,
}

impl Said {
    /// Waits for the first of the children, shows what it said and returns its exit code.
    fn next(&mut self, session: &Session<'_>, running: &mut VecDeque<Child>) -> u8 {
        let Some(Child { running, stdout, stderr }) = running.pop_front() else { return 0 };
        let code = running.wait().map_or(u8::MAX, exit_code);
        let (stdout, stderr) = (read_back(stdout), read_back(stderr));
        let first = self.of_driver.is_none();
        let of_driver = self
            .of_driver
            .get_or_insert_with(|| driver_lines(session.compiler_name(), &stderr).to_vec());
        let fresh = stderr.strip_prefix(of_driver.as_slice()).filter(|_| !first);
        // A closed output is not worth failing for.
        let _ = io::stderr().write_all(fresh.unwrap_or(&stderr));
        let mut out = io::stdout();
        let _ = out.write_all(&stdout).and_then(|()| out.flush());
        code
    }
}

fn memory() -> io::Result<File> {
    Ok(File::from(memfd_create(c"distcc-said", MFdFlags::MFD_CLOEXEC)?))
}

fn read_back(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What cannot be read back of our own memory is lost; the exit code tells.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    bytes
}
