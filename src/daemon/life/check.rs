//! `distccd --check`: every step of a start that changes nothing, in the order of a start, and what
//! would come of it. The first problem decides on the exit code, as at a start; all are told.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::failure::Failure;
use super::launch;
use super::pid_file::directory_in_run;
use crate::daemon::compilers::{Inventory, Scanner};
use crate::daemon::jobs::workspace::Workspace;
use crate::daemon::network::listener::{self, BindError};
use crate::daemon::report::log::LogSink;
use crate::fingerprint::inventory::Found;
use crate::policy::access::{self, AccessList};
use crate::settings::daemon::{DaemonEnvironment, DaemonSettings, LogTarget};
use crate::sys::cores;
use crate::sys::privileges::Account;
use crate::sys::process;
use crate::sys::supervisor::GivenSockets;

/// What TCP wrappers read, which some set up for the original under inetd.
const WRAPPERS: [&str; 2] = ["/etc/hosts.allow", "/etc/hosts.deny"];

/// Says on standard output what would be served; fails as a start would.
pub(super) fn check(mut settings: DaemonSettings, given: GivenSockets) -> Result<(), Failure> {
    let mut findings = Findings::default();
    findings.sockets(&mut settings, given);
    findings.look(&settings);
    let text: String = findings.lines.iter().map(|line| format!("{line}\n")).collect();
    // A reader that closed its pipe has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    let mut problems = findings.problems.into_iter();
    match problems.next() {
        None => Ok(()),
        Some(first) => Err(Failure::Several(Box::new(first), problems.collect())),
    }
}

#[derive(Default)]
struct Findings {
    /// Listens systemd for us, and has said so?
    is_given: bool,
    lines: Vec<String>,
    problems: Vec<Failure>,
}

impl Findings {
    fn say(&mut self, what: &str, text: impl AsRef<str>) {
        self.lines.push(format!("{what}: {}", text.as_ref()));
    }

    /// Keeps the problem, if it is one.
    fn judge<T>(&mut self, result: Result<T, impl Into<Failure>>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem.into())).ok()
    }

    /// Has the settings follow what systemd gave.
    fn sockets(&mut self, settings: &mut DaemonSettings, given: GivenSockets) {
        if given.is_empty() {
            return;
        }
        self.is_given = true;
        let followed = given.take().and_then(|taken| launch::follow_sockets(settings, &taken));
        if let Some(Some(note)) = self.judge(followed.map_err(Failure::Sockets)) {
            self.say("note", note);
        }
    }

    fn look(&mut self, settings: &DaemonSettings) {
        let file = settings.file.as_ref().map(|file| file.display().to_string());
        self.say("settings", file.as_deref().unwrap_or("of the command line alone"));
        if let Some(note) = settings.note_of_ignored() {
            self.say("note", note);
        }
        let clients = self.judge(launch::access_list(settings));
        let account = self.judge(launch::unprivileged_account(settings));
        // Only root can fail to become another.
        let is_root = account.as_ref().is_none_or(Option::is_some);
        let Some(environment) = self.judge(DaemonEnvironment::from_process(is_root)) else {
            return;
        };
        let temp_dir = &environment.temp_dir;
        let is_there = self.judge(Workspace::check(temp_dir)).is_some();
        self.judge(process::add_nice(settings.nice).map_err(Failure::Nice));
        if let Some(clients) = &clients {
            self.clients(settings, clients);
        }
        self.addresses(settings);
        self.user(settings, account.as_ref());
        let account = account.as_ref().and_then(Option::as_ref);
        self.files(settings, &environment, account);
        if let Some(account) = account {
            // What follows is looked at as the user who will do it.
            self.judge(account.assume());
        }
        if is_there {
            let what = "the directory for jobs";
            self.judge(writable(temp_dir).map_err(|error| unwritable(what, temp_dir, error)));
        }
        self.say("jobs work in", temp_dir.display().to_string());
        let jobs = launch::jobs(settings, cores::usable());
        self.say("jobs at once", jobs.to_string());
        self.compilers(settings, &environment);
        if let Some(clients) = &clients {
            self.advert(settings, clients);
        }
        self.lines.push("limits:".to_owned());
        for (name, value) in settings.limits.shown() {
            self.lines.push(format!("  {name} = {value}"));
        }
        for path in WRAPPERS {
            let names_us = fs::read_to_string(path).is_ok_and(|text| names_distccd(&text));
            if names_us {
                self.say("note", format!("{path} names distccd, and has no effect: see --allow"));
            }
        }
    }

    /// `account`: whom root becomes, if that can be told.
    fn user(&mut self, settings: &DaemonSettings, account: Option<&Option<Account>>) {
        let wanted = settings.user.as_ref();
        match (account, wanted) {
            (Some(Some(account)), _) => self.say("user", &account.name),
            (Some(None), None) => self.say("user", "the one who starts it"),
            (Some(None), Some(user)) => {
                self.say("user", "the one who starts it");
                self.say("note", format!("--user {user} is ignored: only root can become another"));
            }
            (None, _) => {}
        }
    }

    fn clients(&mut self, settings: &DaemonSettings, clients: &AccessList) {
        self.say("clients", clients.to_string());
        for name in settings.allow.iter().filter(|text| access::parse(text).is_err()) {
            let found = launch::allowed(name).unwrap_or_default();
            let addrs: Vec<String> = found.iter().map(|net| net.addr().to_string()).collect();
            self.lines.push(format!("  {name} is {}", addrs.join(", ")));
        }
    }

    fn addresses(&mut self, settings: &DaemonSettings) {
        if settings.inetd {
            return self.say("connection", "standard input and output");
        }
        let ports =
            [Some((settings.port, "port")), settings.stats_port.map(|port| (port, "stats"))];
        for (port, what) in ports.into_iter().flatten() {
            let addrs: Vec<String> = settings.listen.iter().map(IpAddr::to_string).collect();
            let place =
                if addrs.is_empty() { "all addresses".to_owned() } else { addrs.join(", ") };
            if self.is_given && what == "port" {
                self.say(what, format!("{port} of {place}; systemd gave its socket"));
                continue;
            }
            let claimed = listener::claim(&settings.listen, port);
            let held = claimed.as_ref().err().and_then(held_for_us);
            if held.is_none() {
                self.judge(claimed);
            }
            self.say(what, format!("{port} of {place}{}", held.unwrap_or_default()));
        }
    }

    /// What is made or opened before root is given up.
    fn files(
        &mut self,
        settings: &DaemonSettings,
        environment: &DaemonEnvironment,
        account: Option<&Account>,
    ) {
        let wanted = settings.state_dir.as_ref();
        let state_dir = wanted.or(environment.state_dir.as_ref());
        let state_dir = state_dir.filter(|dir| {
            let made = can_make(dir);
            let is_made = made.is_ok();
            if let (Err(error), true) = (made, wanted.is_some()) {
                self.problems.push(Failure::State { path: (*dir).clone(), error });
            }
            is_made
        });
        let shown = state_dir.map(|dir| dir.display().to_string());
        self.say("state", shown.as_deref().unwrap_or("not kept, the node's id changes"));
        let target = launch::log_target(settings, state_dir.map(PathBuf::as_path), account);
        self.log(settings, &target, state_dir);
        if let Some(path) = &settings.pid_file {
            let made = match directory_in_run(path) {
                Some(dir) => can_make(dir),
                None => can_write(path),
            };
            self.judge(made.map_err(|error| unwritable("the pid file", path, error)));
            self.say("pid file", path.display().to_string());
        }
    }

    fn log(&mut self, settings: &DaemonSettings, target: &LogTarget, state_dir: Option<&PathBuf>) {
        let place = match target {
            LogTarget::File(path) => {
                // The state directory is made before.
                let is_ours = state_dir.is_some_and(|dir| path.parent() == Some(dir));
                let made = if is_ours && !path.exists() { Ok(()) } else { can_write(path) };
                let failed = |error| Failure::Log { path: path.clone(), error };
                self.judge(made.map_err(failed));
                path.display().to_string()
            }
            LogTarget::Syslog(socket) => {
                let failed = |error| match settings.log {
                    LogTarget::Default => Failure::NoLog,
                    _ => Failure::Log { path: socket.clone(), error },
                };
                self.judge(LogSink::syslog(socket).map_err(failed));
                format!("syslog at {}", socket.display())
            }
            LogTarget::Stderr | LogTarget::Default => "standard error".to_owned(),
        };
        self.say("log", format!("{place}, level {}", settings.log_level));
    }

    fn compilers(&mut self, settings: &DaemonSettings, environment: &DaemonEnvironment) {
        // Without a state directory nothing is remembered of them.
        let scanner = Scanner::of(settings, environment, None);
        let Inventory { found, unusable, .. } = scanner.scan();
        let search_path = scanner.search_path();
        let is_any = settings.any_program && environment.commands.is_none();
        let what = if is_any { "any program" } else { "compilers" };
        self.say(what, format!("found in {}", search_path.to_string_lossy()));
        self.lines.extend(found.iter().map(describe));
        self.lines.extend(unusable.iter().map(|reason| format!("  not served: {reason}")));
        if let Some((list, n_words)) = &environment.command_list {
            self.say("narrowed by", format!("{} (words: {n_words})", list.display()));
        }
        for dir in scanner.narrowing_dirs() {
            self.say("narrowed by", format!("the names in {}", dir.display()));
        }
        if found.is_empty() && !is_any {
            self.problems.push(Failure::NoCompiler { search_path, unusable });
        }
    }

    fn advert(&mut self, settings: &DaemonSettings, clients: &AccessList) {
        let text = match (settings.zeroconf, settings.inetd) {
            (_, true) | (false, _) => "no",
            _ if launch::reachability(settings, clients).can_be_found() => "yes, by DNS-SD",
            _ => "yes, but nobody can find it: no address here has such neighbours",
        };
        self.say("advertised", text);
    }
}

/// Whoever checks before a restart has a daemon that runs, or systemd listens for it: neither keeps
/// the next start from the port.
fn held_for_us(error: &BindError) -> Option<String> {
    match error.holder()? {
        holder if holder.is_of_our_program() => {
            Some(format!("; a distccd serves it now (process {})", holder.pid))
        }
        holder if holder.is_systemd() => {
            Some("; systemd listens there, for its service".to_owned())
        }
        _ => None,
    }
}

/// `  gcc 12.2.0 for x86_64-linux-gnu, /usr/bin/gcc-12: gcc cc gcc-12 (gcc by ccache)`
fn describe(compiler: &Found) -> String {
    let toolchain = &compiler.offered.toolchain;
    let version = match toolchain.version.as_str() {
        "" => String::new(),
        version => format!(" {version} for {}", toolchain.target),
    };
    let names = compiler.offered.names.join(" ");
    let cached: Vec<&str> = compiler.cached.keys().map(String::as_str).collect();
    let cached = match cached.join(" ").as_str() {
        "" => String::new(),
        names => format!(" ({names} by ccache)"),
    };
    format!("  {}{version}, {}: {names}{cached}", toolchain.family, compiler.path.display())
}

fn unwritable(what: &'static str, path: &Path, error: io::Error) -> Failure {
    Failure::Unwritable { what, path: path.to_owned(), error }
}

/// Can files be made in this directory?
fn writable(dir: &Path) -> io::Result<()> {
    access(dir, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
}

/// Can this file be written, or made?
fn can_write(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => access(path, AccessFlags::W_OK).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            writable(path.parent().unwrap_or(Path::new("/")))
        }
        Err(error) => Err(error),
    }
}

/// Can this directory be written, or made?
fn can_make(dir: &Path) -> io::Result<()> {
    let above = dir.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    if above.is_dir() { writable(above) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Does a line of this file, `DAEMONS: CLIENTS`, name our program?
fn names_distccd(text: &str) -> bool {
    let daemons = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once(':'));
    let mut words = daemons
        .flat_map(|(daemons, _)| daemons.split(|c: char| c == ',' || c.is_whitespace()))
        .map(|word| word.split('@').next().unwrap_or(word));
    words.any(|word| word == "distccd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tcp_wrappers_that_name_us_are_seen() {
        for (text, expected) in [
            ("distccd: 10.0.0.0/8\n", true),
            ("sshd, distccd@10.0.0.1 : ALL", true),
            ("# distccd: ALL", false),
            ("ALL: ALL", false),
            ("sshd: distccd", false),
            ("", false),
        ] {
            assert_eq!(names_distccd(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_seen_without_writing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        can_write(&path).unwrap();
        can_make(&dir.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(can_write(dir.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        fs::write(&path, "").unwrap();
        can_write(&path).unwrap();
        assert_eq!(can_make(&path.join("a")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        can_write(&dir.path().join("missing/file")).unwrap_err();
    }
}
