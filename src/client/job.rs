//! The way of one job: a place, the preprocessed source, the exchange, the object.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use crate::command::{Compile, Form, Kind, LocalReason, Maker, preprocess_argv, server_argv};
use crate::fingerprint::{ident, machine};
use crate::monitor::record::Phase;
use crate::settings::hosts;
use crate::wire::control::{JobReport, Placement, Transfer};
use crate::wire::job::Protocol;
use crate::wire::refusal::{Refusal, Scope};
use crate::wire::request::{encode_request_head, encode_request_head_for_ours, encode_source};

use super::compiler::Compiler;
use super::deliver::{Writer, harmless, write_object};
use super::failure::Failure;
use super::local;
use super::log::Level;
use super::naming::Asked;
use super::obstacles;
use super::place::{Nowhere, Places, Wanted};
use super::preprocess::{
    Payload, PreprocessFailure, Preprocessor, Workplace, read_preprocessed, show,
};
use super::remote::{Connection, HostFailure, Reply, Request};
use super::session::{Session, query, read_hosts, report_problems};
use super::ssh;
use super::state::LOCALHOST;
use super::text::in_form;
use super::words::{self, Words};

/// Hosts that a job is offered to before it runs here.
const MAX_HOSTS: usize = 3;

/// Shows what the compiler there said.
pub(super) fn speak(reply: &Reply) {
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
    /// How long nothing may happen between us and a host.
    stall: Duration,
    started: Instant,
    payload: Option<Payload>,
    /// What hosts are asked for where no agent says it.
    asked: OnceCell<Asked>,
}

/// Why one host did not bring a result.
enum Mishap {
    /// It is the host's doing; another may be tried.
    Host(JobReport),
    /// No other host would do better.
    Job(Failure),
}

/// The way of a job: a place, the preprocessed source, the exchange, the object.
pub(super) fn distribute(
    session: &Session<'_>,
    places: &mut Places<'_>,
    compile: &Compile,
    compiler: Option<Compiler>,
) -> Result<u8, Failure> {
    if let Some(variable) = session.env.compiler_override {
        return Err(Failure::Local(LocalReason::Environment(variable)));
    }
    if let Some(variable) = session.env.dependency_variable
        && !compile.clang
    {
        return Err(Failure::Local(LocalReason::Environment(variable)));
    }
    if let Some(obstacle) = obstacles::before_preprocessing(compile) {
        return Err(Failure::LocalSource(obstacle));
    }
    let compiler = compiler.ok_or(Failure::NoCompiler)?;
    let stall = session.env.io_timeout.clone().map_err(Failure::Unusable)?;
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
        only_ours: compile.only_ours,
    };
    let started = Instant::now();
    let mut job = Job {
        session,
        compile,
        compiler: &compiler,
        stall,
        started,
        payload: None,
        asked: OnceCell::new(),
    };
    let mut avoid = Vec::new();
    let mut last_host = String::new();
    let mut n_tried = 0;
    session.state.about(compile.source.as_os_str());
    while n_tried < MAX_HOSTS {
        session.state.on(LOCALHOST, 0, Phase::Blocked);
        let placement = places.remote(&wanted, &avoid).map_err(|nowhere| match nowhere {
            Nowhere::NoHost if !avoid.is_empty() => {
                Failure::HostsFailed { host: last_host.clone() }
            }
            _ if compile.only_ours => Failure::NoServerOfOurs,
            nowhere => Failure::Nowhere(nowhere),
        })?;
        if let Some(word) = job.refused_word(&placement) {
            let host = &placement.host;
            session.log.info(format_args!("passing over {host}, which refuses {word}"));
            places.report(JobReport::Abandoned);
            avoid.push(placement.key);
            last_host = placement.host;
            continue;
        }
        n_tried += 1;
        match job.run_on(&placement, places) {
            Ok((reply, transfer)) => {
                places.report(JobReport::Ran(transfer));
                return job.deliver(&placement, reply, places);
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

impl<'a> Job<'a> {
    /// The compiler's result on one host.
    fn run_on(
        &mut self,
        placement: &Placement,
        places: &mut Places<'_>,
    ) -> Result<(Reply, Transfer), Mishap> {
        let state = &self.session.state;
        state.on(&placement.host, placement.slot, Phase::Connect);
        // The preprocessor works while the connection is made.
        let preprocessor = match self.payload {
            None if !self.compile.preprocessed => {
                let form = Form::of(self.compile, self.maker(placement));
                Some((self.start_preprocessor(&form).map_err(job_fails)?, form))
            }
            _ => None,
        };
        let connection = self.connect(placement, places);
        if self.payload.is_none() {
            state.on(LOCALHOST, placement.local_slot, Phase::Preprocess);
            let payload = match preprocessor {
                Some((preprocessor, form)) => self.text(preprocessor, &form),
                None => read_preprocessed(&self.compile.source),
            };
            let payload = payload.map_err(job_fails)?;
            if obstacles::includes_precompiled(self.compile, &payload.source) {
                let obstacle = "a precompiled header is included";
                return Err(Mishap::Job(Failure::LocalSource(obstacle)));
            }
            if obstacles::changes_options(self.compile, &payload.source) {
                let obstacle = "a pragma changes options, and macros with them";
                return Err(Mishap::Job(Failure::LocalSource(obstacle)));
            }
            if obstacles::misleads(self.compile, &payload) {
                let obstacle = "its indentation may mislead, which only the compiler here can see";
                return Err(Mishap::Job(Failure::LocalSource(obstacle)));
            }
            self.payload = Some(payload);
        }
        places.preprocessed();
        let host_fails =
            |failure: HostFailure| Mishap::Host(self.note_failure(placement, &failure));
        let protocol = Protocol::from_version(placement.protocol)
            .map_err(|error| host_fails(HostFailure::Nonsense(error)))?;
        let request = self.request(placement, protocol).map_err(Mishap::Job)?;
        state.on(&placement.host, placement.slot, Phase::Send);
        let (reply, transfer) = connection
            .and_then(|connection| {
                let watch = &mut places.watch(placement).telling(state);
                connection.exchange(&request, self.stall, watch)
            })
            .map_err(host_fails)?;
        self.check(placement, &reply)?;
        Ok((reply, transfer))
    }

    /// Who made the compiler here.
    fn maker(&self, placement: &Placement) -> Maker {
        match &*placement.maker {
            "" => Maker::of_file(&self.compiler.file()),
            maker => Maker::of(maker),
        }
    }

    fn connect(
        &self,
        placement: &Placement,
        places: &mut Places<'_>,
    ) -> Result<Connection<'a>, HostFailure> {
        match &placement.ssh {
            None => {
                let patience = self.session.env.connect_timeout;
                Connection::open(&placement.addrs, patience, &mut places.watch(placement))
            }
            Some(route) => {
                let argv = ssh::argv(&self.session.env.ssh.1, route);
                Connection::open_ssh(argv, self.session.log)
            }
        }
    }

    /// The text in the form that was asked for, or, where that does not do, in the plain one.
    fn text(&self, preprocessor: Preprocessor, form: &Form) -> Result<Payload, PreprocessFailure> {
        let is_rewritten = matches!(form, Form::Rewritten { .. });
        match preprocessor.finish() {
            // clang leaves `_Pragma` alone in this form, and so may warn, or fail, where it is told
            // not to.
            Ok(written) if is_rewritten && !self.is_of_driver(&written.said) => {}
            Ok(written) => {
                if let Some(payload) = in_form(written, form, self.compile)? {
                    return Ok(payload);
                }
            }
            Err(PreprocessFailure::Failed { of_form, .. }) if of_form || is_rewritten => {}
            Err(failure) => return Err(failure),
        }
        self.session.log.debug(format_args!("the source needs its macros expanded here"));
        let written = self.start_preprocessor(&Form::Plain)?.finish()?;
        let plain = in_form(written, &Form::Plain, self.compile)?;
        Ok(plain.expect("every text has a plain form"))
    }

    /// Nothing is said but what clang's driver says of the command.
    fn is_of_driver(&self, said: &[u8]) -> bool {
        words::driver_lines(self.session.compiler_name(), said) == said
    }

    fn start_preprocessor(&self, form: &Form) -> Result<Preprocessor, PreprocessFailure> {
        let command = self.session.command(self.compiler, &preprocess_argv(self.compile, form));
        let place = Workplace {
            dir: &self.session.env.tmpdir,
            keep: self.session.env.save_temps,
            suffix: self.compile.language.preprocessed_suffix(),
        };
        Preprocessor::start(command, place)
    }

    fn request(&self, placement: &Placement, protocol: Protocol) -> Result<Request, Failure> {
        let argv = self.argv(placement);
        if self.session.log.enabled(Level::Info) {
            let words: Vec<_> = argv.iter().map(|word| OsStr::from_bytes(word).into()).collect();
            let (host, words) = (&placement.host, local::shown(&words));
            self.session.log.info(format_args!("exec on {host}: {words}"));
        }
        let asks_reasons = placement.gives_reasons;
        let mut bytes = match asks_reasons {
            true => encode_request_head_for_ours(protocol, &argv),
            false => encode_request_head(protocol, &argv),
        };
        bytes.extend(encode_source(protocol, self.source()).map_err(Failure::TooLong)?);
        Ok(Request { bytes, protocol, asks_reasons })
    }

    /// A word of the command that this host has refused to others.
    fn refused_word(&self, placement: &Placement) -> Option<String> {
        if placement.refused_words.is_empty() {
            return None;
        }
        let argv = self.argv(placement);
        let refused = argv.iter().skip(1).find(|word| placement.refused_words.contains(word))?;
        Some(String::from_utf8_lossy(refused).into_owned())
    }

    /// What a refusal means for other jobs. Of a word that was not sent it means nothing.
    fn refusal(&self, placement: &Placement, refusal: &Refusal) -> Refusal {
        match &refusal.scope {
            Scope::Word(word) if !self.argv(placement).iter().skip(1).any(|sent| sent == word) => {
                Refusal { scope: Scope::Job, ..refusal.clone() }
            }
            _ => refusal.clone(),
        }
    }

    /// The command to send.
    fn argv(&self, placement: &Placement) -> Vec<Vec<u8>> {
        let form = self.payload.as_ref().map_or(&Form::Plain, |payload| &payload.form);
        let (name, option) = match placement.compiler.as_slice() {
            [] => (&self.asked().name, self.asked().option.clone()),
            _ => (&placement.compiler, self.target_option(placement)),
        };
        let mut argv = server_argv(self.compile, name, form);
        let names_target = |word: &Vec<u8>| word.starts_with(b"--target=");
        if !argv.iter().any(names_target) {
            argv.splice(1..1, option);
        }
        argv
    }

    /// What tells a clang with another target the one that is meant.
    fn target_option(&self, placement: &Placement) -> Option<Vec<u8>> {
        let tells = placement.foreign && self.compile.is_clang();
        tells.then(|| [b"--target=", placement.target.as_bytes()].concat())
    }

    fn asked(&self) -> &Asked {
        self.asked.get_or_init(|| Asked::of(self.session, self.compiler))
    }

    fn source(&self) -> &[u8] {
        self.payload.as_ref().map_or(&[], |payload| &payload.source)
    }

    fn note_failure(&self, placement: &Placement, failure: &HostFailure) -> JobReport {
        let (source, host) = (self.compile.source.display(), &placement.host);
        self.session.log.detour(format_args!("failed to distribute {source} to {host}: {failure}"));
        match failure {
            HostFailure::Refused => JobReport::Refused,
            HostFailure::Declined(refusal) => JobReport::Declined(self.refusal(placement, refusal)),
            failure => JobReport::HostFailed { reason: failure.to_string() },
        }
    }

    /// An object must be for the machine that it is wanted for, and carry the name of the compiler
    /// that was asked for.
    fn check(&self, placement: &Placement, reply: &Reply) -> Result<(), Mishap> {
        if !reply.status.success() {
            return Ok(());
        }
        // What nobody knows may be a program that makes nothing.
        let is_known = !placement.maker.is_empty() || self.compile.is_clang();
        if reply.object.is_empty() && is_known {
            return Err(Mishap::Host(self.note_failure(placement, &HostFailure::NoObject)));
        }
        if self.compile.kind != Kind::Object {
            return Ok(());
        }
        let (source, host) = (self.compile.source.display(), &placement.host);
        let discarded = |found: &str, wanted: &str| {
            self.session.log.detour(format_args!(
                "discarded the object of {source} from {host}: it is {found}, not {wanted}"
            ));
        };
        let target = match placement.target.as_str() {
            "" if placement.compiler.is_empty() => &self.asked().target,
            target => target,
        };
        if let Err(foreign) = machine::check(target, self.compile.options(), &reply.object) {
            let found = foreign.to_string();
            discarded(&found, &format!("for {target}"));
            return Err(Mishap::Host(JobReport::WrongMachine { found }));
        }
        let Some(expected) = placement.ident.as_ref().filter(|_| is_marked(self.compile)) else {
            return Ok(());
        };
        let found = match ident::comments(&reply.object) {
            Ok(comments) if comments.contains(expected) => return Ok(()),
            Ok(comments) => comments.join("; "),
            Err(error) => error.to_string(),
        };
        discarded(&format!("from '{found}'"), &format!("'{expected}'"));
        Err(Mishap::Host(JobReport::WrongCompiler { found }))
    }

    /// Puts a success in its place; an error of the compiler goes on as a failure.
    fn deliver(
        &mut self,
        placement: &Placement,
        reply: Reply,
        places: &mut Places<'_>,
    ) -> Result<u8, Failure> {
        let host = placement.host.clone();
        let source = self.compile.source.display();
        let n_bytes = self.source().len();
        let payload = self.payload.take().unwrap_or_default();
        if !reply.status.success() {
            let log = self.session.log;
            log.info(format_args!("ERROR: compile {source} on {host} failed: {}", reply.status));
            let source = self.compile.source.clone();
            return Err(Failure::RemoteError {
                source,
                host,
                reply: Box::new(reply),
                said: payload.said,
            });
        }
        let env = self.session.env;
        let may_compile_here = env.fallback && !env.skip_local_retry;
        let what = (self.compiler, self.compile);
        let words = match may_compile_here {
            true => words::judge(self.session, places, what, &payload, &reply),
            false => Words::AsThere,
        };
        if matches!(words, Words::Unclear) {
            return Err(Failure::Words { host });
        }
        let target = &self.compile.output.path;
        write_object(target, &reply.object, Writer::of(self.compile))
            .map_err(|error| Failure::Undeliverable { target: target.clone(), error })?;
        words::tell(words, &payload, || speak(&reply));
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
