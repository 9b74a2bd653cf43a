//! From a command line to a serving daemon: what has to be done as root, giving up root, what can
//! fail while the user is still looking, and only then the background.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ipnet::IpNet;

use super::background::{self, Ready, Summary};
use super::check;
use super::failure::Failure;
use super::inetd;
use super::pid_file::PidFile;
use super::state;
use crate::daemon::compilers::Scanner;
use crate::daemon::jobs::compiler::Surroundings;
use crate::daemon::jobs::workspace::Workspace;
use crate::daemon::network::advert::Reachability;
use crate::daemon::network::descriptors;
use crate::daemon::network::listener;
use crate::daemon::report::log::LogSink;
use crate::daemon::server::{Identity, Programs};
use crate::policy::access::{self, AccessList, AllowError};
use crate::settings::daemon::{
    Caller, DaemonEnvironment, DaemonSettings, LogTarget, Request, SYSLOG_SOCKET, names, parse,
};
use crate::settings::hosts::DEFAULT_PORT;
use crate::sys::cores;
use crate::sys::privileges::{self, Account};
use crate::sys::process;
use crate::sys::supervisor::{GivenSockets, Notifier};

/// Jobs beyond the cores: while some wait for the disk or the network, others compile. The
/// original's number.
const EXTRA_JOBS: u16 = 2;
/// root's log.
const SYSTEM_LOG: &str = "/var/log/distccd.log";
/// Log of others, in their state directory.
const USER_LOG: &str = "distccd.log";

/// Runs the daemon that the command line describes.
pub(crate) fn main() -> ExitCode {
    // A server lives for days and must not keep a pipe open that make, or a shell, waits on.
    let given = GivenSockets::from_environment();
    process::close_inherited(given);
    // What is wrong is told to the administrator, not to the client as its answer.
    let hears_client = inetd::spare_client();
    let caller = Caller::of_process(privileges::is_root());
    let ended = match parse(env::args_os(), &caller) {
        Ok(Request::Print(text)) => {
            // A reader that closed its pipe has seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            Ok(())
        }
        Ok(Request::Check(settings)) => check::check(*settings, given),
        Ok(Request::Serve(settings)) if inetd::is_meant(&settings) => inetd::serve(*settings),
        Ok(Request::Serve(settings)) => launch(*settings, given),
        Err(error) => Err(Failure::Usage(error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if hears_client {
                inetd::report(&failure);
            }
            let _ = writeln!(io::stderr(), "distccd: {failure}");
            failure.exit_code().into()
        }
    }
}

fn launch(mut settings: DaemonSettings, given: GivenSockets) -> Result<(), Failure> {
    let notifier = Notifier::from_environment();
    if !given.is_empty() || notifier.is_waiting_for_us() {
        // For systemd a service ends with the process that it has started.
        settings.detach = false;
    }
    let mut notes = Vec::from_iter(settings.note_of_ignored());
    let access = access_list(&settings)?;
    let account = unprivileged_account(&settings)?;
    let environment = DaemonEnvironment::from_process(account.is_some())?;
    Workspace::check(&environment.temp_dir)?;
    let n_descriptors = process::raise_descriptor_limit();
    process::forbid_core_dumps();
    process::set_umask();
    process::add_nice(settings.nice).map_err(Failure::Nice)?;
    set_oom_score(&settings)?;
    let listeners = if given.is_empty() {
        listener::bind(&settings.listen, settings.port)?
    } else {
        let listeners = given.take().map_err(Failure::Sockets)?;
        notes.extend(follow_sockets(&mut settings, &listeners).map_err(Failure::Sockets)?);
        listeners
    };
    let stats = match settings.stats_port {
        Some(port) => listener::bind(&settings.listen, port)?,
        None => Vec::new(),
    };
    let state_dir = state_dir(&settings, &environment, account.as_ref())?;
    let log = Arc::new(open_log(&settings, state_dir.as_deref(), account.as_ref())?);
    let owner = account.as_ref().map(Account::ids);
    let pid_file = settings.pid_file.as_deref().map(|path| PidFile::create(path, owner));
    let pid_file = pid_file.transpose()?;
    if let Some(account) = &account {
        account.assume()?;
    }
    let (mut identity, forgetful) = identity(&settings, state_dir.as_deref())?;
    notes.extend(forgetful);
    notes.extend(descriptors::fit(&mut settings.limits, &mut identity, n_descriptors));
    let scanner = Scanner::of(&settings, &environment, state_dir.as_deref());
    if let Some(user) = settings.user.as_ref().filter(|_| account.is_none()) {
        notes.push(format!("--user {user} is ignored, since only root can become another user"));
    }
    let summary = summary(&settings, &access, &identity, &log);
    background::serve(Ready {
        advertise: settings.zeroconf.then(|| reachability(&settings, &access)),
        programs: programs(&settings, &scanner, Programs::Any),
        surroundings: surroundings(&settings, &environment),
        limits: settings.limits,
        temp_dir: environment.temp_dir,
        save_temps: environment.save_temps,
        detach: settings.detach,
        log_level: settings.log_level,
        lifetime: settings.lifetime,
        listeners,
        stats,
        identity,
        access,
        scanner,
        log,
        pid_file,
        summary,
        notifier,
        notes,
    })
}

/// Takes port and addresses from sockets that listen already; what the administrator should know
/// if the settings have others.
pub(super) fn follow_sockets(
    settings: &mut DaemonSettings,
    listeners: &[TcpListener],
) -> io::Result<Option<String>> {
    let addrs = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let listen: Vec<IpAddr> = if addrs.iter().any(|addr| addr.ip().is_unspecified()) {
        Vec::new()
    } else {
        addrs.iter().map(SocketAddr::ip).collect()
    };
    let is_default = settings.port == DEFAULT_PORT && settings.listen.is_empty();
    let agrees = addrs.iter().all(|addr| addr.port() == settings.port) && settings.listen == listen;
    // Clients that find us are told one port.
    settings.port = addrs.first().map_or(settings.port, SocketAddr::port);
    settings.listen = listen;
    let shown: Vec<String> = addrs.iter().map(SocketAddr::to_string).collect();
    Ok((!is_default && !agrees)
        .then(|| format!("--port and --listen are ignored: systemd gave {}", shown.join(" "))))
}

/// Of this process, from which every compiler has it: it could not give its compilers a lower one once
/// it has given up root, and the kernel ends the largest of those that are equal.
pub(super) fn set_oom_score(settings: &DaemonSettings) -> Result<(), Failure> {
    let Some(score) = settings.oom_score_adj else { return Ok(()) };
    fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(Failure::OomScore)
}

pub(super) fn access_list(settings: &DaemonSettings) -> Result<AccessList, Failure> {
    let mut rules = Vec::new();
    for text in &settings.allow {
        rules.extend(allowed(text)?);
    }
    Ok(AccessList::new(rules, settings.allow_private))
}

/// The networks that one value of `--allow` stands for: itself, or the addresses of a host.
pub(super) fn allowed(text: &str) -> Result<Vec<IpNet>, Failure> {
    let failed = |error| Failure::Allow { text: text.to_owned(), error };
    match access::parse(text) {
        Ok(net) => Ok(vec![net]),
        Err(AllowError::HostName { text: name }) if name == text => {
            let found = names::addresses(text);
            let found = found.map_err(|error| Failure::Unresolved { text: name, error })?;
            Ok(found.into_iter().map(IpNet::from).collect())
        }
        Err(error) => Err(failed(error)),
    }
}

/// What may be run: `any` by whom `--enable-tcp-insecure` is said, unless a list names the commands.
pub(super) fn programs(settings: &DaemonSettings, scanner: &Scanner, any: Programs) -> Programs {
    if settings.any_program && !scanner.is_limited() { any } else { Programs::Compilers }
}

/// The user to become; none if this is no root, or one that only its user namespace takes for
/// root.
pub(super) fn unprivileged_account(settings: &DaemonSettings) -> Result<Option<Account>, Failure> {
    if !privileges::is_root() {
        return Ok(None);
    }
    let account = Account::choose(settings.user.as_deref())?;
    Ok(account.is_mapped().then_some(account))
}

/// The directory for the node's id, made if need be. None if it cannot be made and nobody asked
/// for it: the daemon then has another id at each start.
pub(super) fn state_dir(
    settings: &DaemonSettings,
    environment: &DaemonEnvironment,
    account: Option<&Account>,
) -> Result<Option<PathBuf>, Failure> {
    let wanted = settings.state_dir.as_ref();
    let Some(dir) = wanted.or(environment.state_dir.as_ref()) else { return Ok(None) };
    let made = state::make_dir(dir, account.map(Account::ids));
    match made {
        Ok(()) => Ok(Some(dir.clone())),
        Err(_) if wanted.is_none() => Ok(None),
        Err(error) => Err(Failure::State { path: dir.clone(), error }),
    }
}

pub(super) fn open_log(
    settings: &DaemonSettings,
    state_dir: Option<&Path>,
    account: Option<&Account>,
) -> Result<LogSink, Failure> {
    let failed = |path: PathBuf| move |error| Failure::Log { path, error };
    match log_target(settings, state_dir, account) {
        LogTarget::File(path) => {
            LogSink::open(&path, account.map(Account::ids)).map_err(failed(path))
        }
        LogTarget::Syslog(_) if settings.log == LogTarget::Default => {
            LogSink::syslog(Path::new(SYSLOG_SOCKET)).map_err(|_| Failure::NoLog)
        }
        LogTarget::Syslog(socket) => LogSink::syslog(&socket).map_err(failed(socket)),
        LogTarget::Stderr | LogTarget::Default => {
            LogSink::stderr().map_err(failed("/dev/stderr".into()))
        }
    }
}

/// Where the log goes, also if that is not said.
pub(super) fn log_target(
    settings: &DaemonSettings,
    state_dir: Option<&Path>,
    account: Option<&Account>,
) -> LogTarget {
    // With --inetd standard error is the client's.
    let unseen = settings.detach || settings.inetd;
    match (&settings.log, state_dir) {
        (LogTarget::Default, _) if unseen && account.is_some() => {
            LogTarget::File(SYSTEM_LOG.into())
        }
        (LogTarget::Default, Some(dir)) if unseen => LogTarget::File(dir.join(USER_LOG)),
        (LogTarget::Default, None) if unseen => LogTarget::Syslog(SYSLOG_SOCKET.into()),
        (LogTarget::Default, _) => LogTarget::Stderr,
        (said, _) => said.clone(),
    }
}

/// Who we are, and what the administrator should know of it.
pub(super) fn identity(
    settings: &DaemonSettings,
    state_dir: Option<&Path>,
) -> Result<(Identity, Option<String>), Failure> {
    let cores = cores::usable();
    let kept = state_dir.map(|dir| (dir, state::node_id(dir)));
    let (id, note) = match kept {
        Some((_, Ok(id))) => (Some(id), None),
        Some((dir, Err(error))) => {
            let dir = dir.display();
            let note = format!("cannot keep state in {dir}, each start has another id: {error}");
            (None, Some(note))
        }
        None => (None, None),
    };
    let id = id.map_or_else(state::random_id, Ok);
    let id = id.map_err(|error| Failure::State { path: "/dev/urandom".into(), error })?;
    Ok((Identity { id, cores, jobs: jobs(settings, cores) }, note))
}

/// How many are compiled at once.
pub(super) fn jobs(settings: &DaemonSettings, cores: u16) -> u16 {
    match settings.jobs {
        _ if settings.one_at_a_time => 1,
        Some(jobs) => jobs,
        None => cores.saturating_add(EXTRA_JOBS),
    }
}

pub(super) fn reachability(settings: &DaemonSettings, access: &AccessList) -> Reachability {
    Reachability { port: settings.port, listen: settings.listen.clone(), access: access.clone() }
}

pub(super) fn surroundings(
    settings: &DaemonSettings,
    environment: &DaemonEnvironment,
) -> Surroundings {
    Surroundings {
        search_path: environment.search_path.clone(),
        locale: environment.locale.clone(),
        lifetime: settings.job_lifetime,
        output_limit: settings.limits.output_bytes,
        file_limit: settings.limits.job_bytes,
    }
}

/// Of the one line that the user sees: to whom is served, where the log is.
fn summary(
    settings: &DaemonSettings,
    access: &AccessList,
    identity: &Identity,
    log: &LogSink,
) -> Summary {
    let place: Vec<String> = settings.listen.iter().map(|addr| format!(" of {addr}")).collect();
    // A typing error in --allow, most likely; but a laptop may get its address later.
    let is_lost = settings.zeroconf && !reachability(settings, access).can_be_found();
    let lost =
        if is_lost { "; nobody can find it: no address here has such neighbours" } else { "" };
    let rest = format!(
        "({} jobs) on port {}{} to {access}{lost}; log {}",
        identity.jobs,
        settings.port,
        place.join(" and"),
        log.name(),
    );
    Summary { rest }
}
