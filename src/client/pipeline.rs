//! One command from its scan to its exit code. The steps are in [`distribute`]; whatever keeps
//! them from a result is a [`Failure`], and only [`conclude`] decides what comes of it.

use std::any::Any;
use std::env;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::exit;
use crate::command::{
    self, Compile, Kind, LocalReason, Plan, Weight, preprocess_argv, server_argv,
};
use crate::fingerprint::ident;
use crate::settings::hosts;
use crate::wire::control::{JobReport, Placement, Transfer};
use crate::wire::error::TooLong;
use crate::wire::job::Protocol;
use crate::wire::request::{encode_request_head, encode_source};

use super::compiler::Compiler;
use super::deliver::{harmless, write_object};
use super::local;
use super::log::Level;
use super::place::{Nowhere, Places, Wanted};
use super::preprocess::{
    Payload, PreprocessFailure, Preprocessor, Workplace, read_preprocessed, show,
};
use super::remote::{Connection, HostFailure, Reply};
use super::session::{Session, query, read_hosts, report_problems};

/// Hosts that a job is offered to before it runs here.
const MAX_HOSTS: usize = 3;

/// Why no host's result can be delivered.
#[derive(Debug)]
enum Failure {
    /// The command is one that runs here.
    Local(LocalReason),
    /// The source can only be compiled here.
    LocalSource(&'static str),
    /// There is no compiler by that name.
    NoCompiler,
    /// There is no host list, or no host in it.
    NoHostList,
    /// No host can take the job now.
    Nowhere(Nowhere),
    /// As many hosts as are tried failed; this is the last.
    HostsFailed { host: String },
    /// The preprocessor has no result to send.
    Preprocess(PreprocessFailure),
    /// The source is longer than the protocol can say.
    TooLong(TooLong),
    /// The compiler there reported an error, or died.
    RemoteError { source: PathBuf, host: String, reply: Box<Reply>, said: Vec<u8> },
    /// The object cannot be written; the compiler here will say why in its own words.
    Undeliverable { target: PathBuf, error: io::Error },
    /// A defect of ours.
    Panicked(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(reason) => write!(f, "{reason}"),
            Self::LocalSource(reason) => f.write_str(reason),
            Self::NoCompiler => f.write_str("there is no such compiler here"),
            Self::NoHostList => f.write_str("there is no host list"),
            Self::Nowhere(nowhere) => write!(f, "{nowhere}"),
            Self::HostsFailed { host } => write!(f, "no other host is left after {host}"),
            Self::Preprocess(failure) => match failure {
                PreprocessFailure::Failed { code } => {
                    write!(f, "the preprocessor failed, exit code {code}")
                }
                PreprocessFailure::Io { during, error } => write!(f, "{during} failed: {error}"),
                PreprocessFailure::ReadsFile => {
                    f.write_str("the source uses .incbin or .include of the assembler")
                }
                PreprocessFailure::TooLarge { len } => {
                    write!(f, "the preprocessed source has {len} bytes")
                }
            },
            Self::TooLong(too_long) => write!(f, "{too_long}"),
            Self::RemoteError { host, reply, .. } => {
                write!(f, "the compiler on {host} ended with {}", reply.status)
            }
            Self::Undeliverable { target, error } => {
                write!(f, "cannot write {}: {error}", target.display())
            }
            Self::Panicked(message) => write!(f, "internal error: {message}"),
        }
    }
}

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
    match command::scan(&session.invocation.argv, &file) {
        Plan::Distribute(mut compile) => {
            if let Some(directory) = working_directory() {
                compile.note_directory(&directory);
            }
            distribute(session, places, &compile, compiler)
        }
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

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
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
        Failure::Local(reason) => (Detour::Planned, reason.weight()),
        Failure::NoCompiler | Failure::LocalSource(_) => (Detour::Planned, Weight::Compile),
        Failure::Nowhere(Nowhere::Agent(place)) if place.listed => {
            (Detour::Planned, Weight::Compile)
        }
        // A compiler may succeed where its preprocessor fails, with a header that exists only in
        // compiled form; and where it fails too, its own words are what the user reads.
        Failure::Nowhere(Nowhere::Localhost)
        | Failure::Preprocess(_)
        | Failure::TooLong(_)
        | Failure::Undeliverable { .. } => (Detour::Planned, Weight::Compile),
        Failure::NoHostList
        | Failure::Nowhere(_)
        | Failure::HostsFailed { .. }
        | Failure::Panicked(_) => (Detour::Fallback, Weight::Compile),
    };
    match detour {
        Detour::Fallback if fallback_forbidden => {
            log.error(format_args!("failed to distribute and fallbacks are disabled: {failure}"));
            return exit::NO_HOSTS;
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

/// Shows what the compiler there said.
fn speak(reply: &Reply) {
    show(&harmless(&reply.stderr));
    // A closed standard output is not worth failing a finished compile for.
    let mut stdout = io::stdout();
    let _ = stdout.write_all(&harmless(&reply.stdout)).and_then(|()| stdout.flush());
}

/// A job on its way.
struct Job<'a> {
    session: &'a Session<'a>,
    compile: &'a Compile,
    compiler: &'a Compiler,
    started: Instant,
    payload: Option<Payload>,
}

/// Why one host did not bring a result.
enum Mishap {
    /// It is the host's doing; another may be tried.
    Host(JobReport),
    /// No other host would do better.
    Job(Failure),
}

/// The way of a job: a place, the preprocessed source, the exchange, the object.
fn distribute(
    session: &Session<'_>,
    places: &mut Places<'_>,
    compile: &Compile,
    compiler: Option<Compiler>,
) -> Result<u8, Failure> {
    if let Some(variable) = session.env.compiler_override {
        return Err(Failure::Local(LocalReason::Environment(variable)));
    }
    if compile.forced_includes.iter().any(|header| is_precompiled(header)) {
        return Err(Failure::LocalSource("a precompiled header is included"));
    }
    let compiler = compiler.ok_or(Failure::NoCompiler)?;
    let hosts = read_hosts(session.env, session.log).ok_or(Failure::NoHostList)?;
    let list = hosts::parse(&hosts.text);
    if list.entries.is_empty() {
        report_problems(&hosts, &list, session.log);
        let origin = &hosts.origin;
        session.log.warning(format_args!("{origin} contained no hosts; can't distribute work"));
        return Err(Failure::NoHostList);
    }
    let search_path = &session.invocation.search_path;
    let wanted = Wanted {
        hosts: &hosts,
        list: &list,
        compiler: query(&compiler, session.compiler_name(), search_path),
        unmarked: !is_marked(compile),
    };
    let mut job =
        Job { session, compile, compiler: &compiler, started: Instant::now(), payload: None };
    let mut avoid = Vec::new();
    let mut last_host = String::new();
    while avoid.len() < MAX_HOSTS {
        let placement = places.remote(&wanted, &avoid).map_err(|nowhere| match nowhere {
            Nowhere::NoHost if !avoid.is_empty() => {
                Failure::HostsFailed { host: last_host.clone() }
            }
            nowhere => Failure::Nowhere(nowhere),
        })?;
        match job.run_on(&placement, places) {
            Ok((reply, transfer)) => {
                places.report(JobReport::Ran(transfer));
                return job.deliver(&placement, reply);
            }
            Err(Mishap::Host(report)) => places.report(report),
            Err(Mishap::Job(failure)) => {
                places.report(JobReport::Abandoned);
                return Err(failure);
            }
        }
        avoid.push(placement.key);
        last_host = placement.host;
    }
    Err(Failure::HostsFailed { host: last_host })
}

/// A header that the compiler would read in a compiled form, which no preprocessor shows.
fn is_precompiled(header: &Path) -> bool {
    ["gch", "pch"].iter().any(|suffix| {
        let mut compiled = header.as_os_str().to_os_string();
        compiled.push(".");
        compiled.push(suffix);
        Path::new(&compiled).exists()
    })
}

impl Job<'_> {
    /// The compiler's result on one host.
    fn run_on(
        &mut self,
        placement: &Placement,
        places: &mut Places<'_>,
    ) -> Result<(Reply, Transfer), Mishap> {
        let stall = self.session.env.io_timeout;
        // The preprocessor works while the connection is made.
        let preprocessor = match self.payload {
            None => self.start_preprocessor().map_err(job_fails)?,
            Some(_) => None,
        };
        let connection = Connection::open(&placement.addrs, &mut places.watch(placement));
        if self.payload.is_none() {
            let payload = match preprocessor {
                Some(preprocessor) => preprocessor.finish(),
                None => read_preprocessed(&self.compile.source),
            };
            self.payload = Some(payload.map_err(job_fails)?);
        }
        places.preprocessed();
        let host_fails =
            |failure: HostFailure| Mishap::Host(self.note_failure(placement, &failure));
        let protocol = Protocol::from_version(placement.protocol)
            .map_err(|error| host_fails(HostFailure::Nonsense(error)))?;
        let request = self.request(placement, protocol).map_err(Mishap::Job)?;
        let (reply, transfer) = connection
            .and_then(|connection| {
                connection.exchange(&request, protocol, stall, &mut places.watch(placement))
            })
            .map_err(host_fails)?;
        self.check(placement, &reply)?;
        Ok((reply, transfer))
    }

    /// None for a source that is preprocessed already.
    fn start_preprocessor(&self) -> Result<Option<Preprocessor>, PreprocessFailure> {
        if self.compile.preprocessed {
            return Ok(None);
        }
        let command = self.session.command(self.compiler, &preprocess_argv(self.compile));
        let place = Workplace {
            dir: &self.session.env.tmpdir,
            keep: self.session.env.save_temps,
            suffix: self.compile.language.preprocessed_suffix(),
        };
        Preprocessor::start(command, place).map(Some)
    }

    fn request(&self, placement: &Placement, protocol: Protocol) -> Result<Vec<u8>, Failure> {
        let name = match placement.compiler.as_slice() {
            [] => self.session.compiler_name().as_bytes(),
            name => name,
        };
        let argv = server_argv(self.compile, name);
        if self.session.log.enabled(Level::Info) {
            let words: Vec<_> = argv.iter().map(|word| OsStr::from_bytes(word).into()).collect();
            let (host, words) = (&placement.host, local::shown(&words));
            self.session.log.info(format_args!("exec on {host}: {words}"));
        }
        let mut request = encode_request_head(protocol, &argv);
        request.extend(encode_source(protocol, self.source()).map_err(Failure::TooLong)?);
        Ok(request)
    }

    fn source(&self) -> &[u8] {
        self.payload.as_ref().map_or(&[], |payload| &payload.source)
    }

    fn note_failure(&self, placement: &Placement, failure: &HostFailure) -> JobReport {
        let (source, host) = (self.compile.source.display(), &placement.host);
        self.session.log.detour(format_args!("failed to distribute {source} to {host}: {failure}"));
        match failure {
            HostFailure::Refused => JobReport::Refused,
            failure => JobReport::HostFailed { reason: failure.to_string() },
        }
    }

    /// An object must carry the name of the compiler that was asked for.
    fn check(&self, placement: &Placement, reply: &Reply) -> Result<(), Mishap> {
        let Some(expected) = &placement.ident else { return Ok(()) };
        if !is_marked(self.compile) || !reply.status.success() {
            return Ok(());
        }
        let found = match ident::comments(&reply.object) {
            Ok(comments) if comments.contains(expected) => return Ok(()),
            Ok(comments) => comments.join("; "),
            Err(error) => error.to_string(),
        };
        let (source, host) = (self.compile.source.display(), &placement.host);
        self.session.log.detour(format_args!(
            "discarded the object of {source} from {host}: it is from '{found}', not '{expected}'"
        ));
        Err(Mishap::Host(JobReport::WrongCompiler { found }))
    }

    /// Puts a success in its place; an error of the compiler goes on as a failure.
    fn deliver(&mut self, placement: &Placement, reply: Reply) -> Result<u8, Failure> {
        let host = placement.host.clone();
        let source = self.compile.source.display();
        let n_bytes = self.source().len();
        let said = self.payload.take().unwrap_or_default().said;
        if !reply.status.success() {
            let log = self.session.log;
            log.info(format_args!("ERROR: compile {source} on {host} failed: {}", reply.status));
            let source = self.compile.source.clone();
            return Err(Failure::RemoteError { source, host, reply: Box::new(reply), said });
        }
        let target = &self.compile.output.path;
        write_object(target, &reply.object)
            .map_err(|error| Failure::Undeliverable { target: target.clone(), error })?;
        show(&said);
        speak(&reply);
        self.log_success(&host, n_bytes, self.started.elapsed());
        Ok(0)
    }

    /// The lines that scripts read.
    fn log_success(&self, host: &str, n_bytes: usize, elapsed: Duration) {
        let log = self.session.log;
        if !log.enabled(Level::Info) {
            return;
        }
        let source = self.compile.source.display();
        let seconds = elapsed.as_secs_f64();
        let kibibytes = u32::try_from(n_bytes / 1024).map_or(f64::INFINITY, f64::from);
        let rate = kibibytes / seconds.max(1e-6);
        log.info(format_args!(
            "{n_bytes} bytes from {source} compiled on {host} in {seconds:.4}s, rate {rate:.0}kB/s"
        ));
        log.info(format_args!("compile {source} on {host} completed ok"));
        log.info(format_args!("elapsed compilation time {seconds:.6}s"));
    }
}

/// Will the object carry the mark of its compiler?
fn is_marked(compile: &Compile) -> bool {
    compile.kind == Kind::Object && compile.wants_ident
}

fn job_fails(failure: PreprocessFailure) -> Mishap {
    Mishap::Job(Failure::Preprocess(failure))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use crate::settings::env::Environment;
    use crate::wire::control::{AGENT_PROTOCOL, AgentMessage, LocalPlace, LocalPurpose, frame};

    use super::super::log::{Log, LogSettings};
    use super::super::place;
    use super::*;

    /// Grants one slot; true if the client gives it back before long.
    fn agent(listener: &UnixListener) -> bool {
        let (mut stream, _) = listener.accept().unwrap();
        let slot =
            LocalPlace { reason: String::new(), warnings: Vec::new(), listed: false, hint: None };
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
