//! distccd's settings: what is typed and set, checked. The flags (`flags`) mean what the original's
//! mean (distcc 3.4, `dopt.c`); `environment` are the variables, `limits` how much a client may ask
//! for.

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};

use self::flags::RawFlags;
use crate::settings::hosts::DEFAULT_PORT;

pub(crate) use self::environment::DaemonEnvironment;
pub(crate) use self::flags::SYSLOG_SOCKET;
pub(crate) use self::limits::ServerLimits;

mod environment;
mod flags;
mod limits;

/// syslog's levels, as the original names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What needs the administrator.
    #[value(aliases = ["emerg", "emergency", "alert", "crit", "critical"])]
    Error,
    /// Also what goes on with less.
    #[value(alias = "warn")]
    Warning,
    /// Also one line a job.
    #[value(alias = "notice")]
    Info,
    /// Everything.
    Debug,
}

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the parts that use them are being written")]
pub(crate) enum LogTarget {
    /// `--log-file`.
    File(PathBuf),
    /// `--log-stderr`.
    Stderr,
    /// `--log-syslog`: the system's log, by this socket.
    Syslog(PathBuf),
    /// Not said.
    Default,
}

/// Checked flags.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the parts that use them are being written")]
pub(crate) struct DaemonSettings {
    /// Serve the one client on standard input and output.
    pub(crate) inetd: bool,
    /// Be a server of its own, whatever standard input is.
    pub(crate) daemon: bool,
    /// Go to the background.
    pub(crate) detach: bool,
    /// TCP port.
    pub(crate) port: u16,
    /// Addresses to serve on; empty: all.
    pub(crate) listen: Vec<IpAddr>,
    /// `--allow` as typed; `policy::access` reads it.
    pub(crate) allow: Vec<String>,
    /// `--allow-private`.
    pub(crate) allow_private: bool,
    /// Jobs at once, if said.
    pub(crate) jobs: Option<u16>,
    /// Added to the nice value.
    pub(crate) nice: i32,
    /// Where the log goes.
    pub(crate) log: LogTarget,
    /// How much is logged.
    pub(crate) log_level: LogLevel,
    /// Where the process id is written.
    pub(crate) pid_file: Option<PathBuf>,
    /// The user to become, if said.
    pub(crate) user: Option<String>,
    /// Advertise.
    pub(crate) zeroconf: bool,
    /// Any program on the PATH may be run.
    pub(crate) any_program: bool,
    /// The daemon's own end, if any.
    pub(crate) lifetime: Option<Duration>,
    /// The longest compile, if bounded.
    pub(crate) job_lifetime: Option<Duration>,
    /// `--state-dir`.
    pub(crate) state_dir: Option<PathBuf>,
    /// Where the page of statistics is served, if at all: `--stats`, `--stats-port`.
    pub(crate) stats_port: Option<u16>,
    /// `--no-fork`, `--wizard`: one job at a time.
    pub(crate) one_at_a_time: bool,
    /// `--oom-score-adj`.
    pub(crate) oom_score_adj: Option<i16>,
    /// How much a client may ask for.
    pub(crate) limits: ServerLimits,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Serve.
    Serve(Box<DaemonSettings>),
    /// Print this (help, version) and end.
    Print(String),
}

/// A command line that cannot be used: one line saying what and how it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsageError(String);

impl Display for UsageError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Reads a command line, the program's name included. Relative paths are taken from `cwd`, since
/// the daemon will work elsewhere.
pub(crate) fn parse<I>(args: I, cwd: &Path) -> Result<Request, UsageError>
where
    I: IntoIterator<Item = OsString>,
{
    let raw = match RawFlags::try_parse_from(args) {
        Ok(raw) => raw,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok(Request::Print(error.to_string()));
        }
        Err(error) => return Err(UsageError(first_paragraph(&error.to_string()))),
    };
    if raw.version {
        return Ok(Request::Print(version_text("distccd")));
    }
    Ok(Request::Serve(Box::new(raw.check(cwd))))
}

/// The part of clap's report that says what is wrong, as one line.
fn first_paragraph(report: &str) -> String {
    let report = report.strip_prefix("error: ").unwrap_or(report);
    let paragraph: Vec<&str> =
        report.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

/// The answer to `--version`: name, version and host on the first line, then what is spoken; the
/// original's test-suite checks the shape.
pub(crate) fn version_text(program: &str) -> String {
    format!(
        "{program} {} {}\n  (protocols 1 and 2) (default port {DEFAULT_PORT})\n  \
         finds other machines by DNS-SD, service _distcc._tcp\n",
        env!("CARGO_PKG_VERSION"),
        host_triple(),
    )
}

/// The machine type that this program was built for, as GNU writes it: `x86_64-linux-gnu`.
pub(crate) fn host_triple() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-{}-{libc}", env::consts::ARCH, env::consts::OS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse_words(words: &[&str]) -> Result<Request, UsageError> {
        let args = ["distccd"].iter().chain(words).map(OsString::from);
        parse(args, Path::new("/start"))
    }

    fn settings(words: &[&str]) -> DaemonSettings {
        match parse_words(words).unwrap() {
            Request::Serve(settings) => *settings,
            Request::Print(text) => panic!("{text}"),
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        RawFlags::command().debug_assert();
    }

    #[test]
    fn the_advertised_command_line_detaches_and_advertises() {
        let settings = settings(&["--zeroconf", "--allow", "192.168.1.0/24"]);
        assert!(settings.detach && settings.zeroconf && !settings.allow_private);
        assert_eq!(settings.allow, ["192.168.1.0/24"]);
        assert_eq!((settings.port, settings.jobs, settings.nice), (3632, None, 5));
        assert_eq!(settings.log, LogTarget::Default);
        assert_eq!(settings.job_lifetime, Some(Duration::from_secs(600)));
    }

    #[test]
    fn the_original_test_suite_s_command_line_is_understood() {
        let settings = settings(&[
            "--verbose",
            "--lifetime=120",
            "--daemon",
            "--log-file",
            "d.log",
            "--pid-file",
            "/run/d.pid",
            "--port",
            "42000",
            "--allow",
            "127.0.0.1",
            "--enable-tcp-insecure",
        ]);
        assert_eq!(settings.log, LogTarget::File("/start/d.log".into()));
        assert_eq!(settings.pid_file, Some("/run/d.pid".into()));
        assert_eq!(settings.lifetime, Some(Duration::from_secs(120)));
        assert_eq!(settings.log_level, LogLevel::Debug);
        assert!(settings.any_program);
    }

    #[test]
    fn the_command_line_of_ssh_clients_is_understood() {
        let settings = settings(&["--inetd", "--enable-tcp-insecure"]);
        assert!(settings.inetd && settings.any_program);
    }

    #[test]
    fn short_forms_and_aliases_mean_the_same() {
        let settings = settings(&[
            "-p",
            "4000",
            "-a",
            "::1",
            "-j4",
            "-N",
            "-3",
            "-P",
            "p",
            "--make-me-a-botnet",
        ]);
        assert_eq!((settings.port, settings.jobs, settings.nice), (4000, Some(4), -3));
        assert_eq!(settings.pid_file, Some("/start/p".into()));
        assert!(settings.any_program);
    }

    #[test]
    fn syslog_s_socket_may_be_named() {
        let log = |word| settings(&[word, "ignored"]).log;
        assert_eq!(log("--log-syslog"), LogTarget::Syslog("/dev/log".into()));
        assert_eq!(log("--log-syslog=sock"), LogTarget::Syslog("/start/sock".into()));
    }

    #[test]
    fn a_wrong_word_is_reported_in_one_line_with_what_was_expected() {
        for (words, expected) in [
            (&["--port", "80000"][..], "80000 is not in 1..=65535"),
            (&["--port", "0"], "0 is not in 1..=65535"),
            (&["--jobs", "0"], "0 is not in 1..=4096"),
            (&["gcc", "--bogus-option"], "unexpected argument '--bogus-option'"),
            (&["--listen", "everywhere"], "invalid IP address syntax"),
            (&["--log-level", "loud"], "possible values: error, warning, info, debug"),
            (&["--log-stderr", "--log-file", "x"], "cannot be used with"),
            (&["--log-syslog", "--log-file", "x"], "cannot be used with"),
        ] {
            let error = parse_words(words).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n') && !error.contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn help_names_every_flag() {
        let Request::Print(help) = parse_words(&["--help"]).unwrap() else { panic!("no help") };
        assert!(help.contains("Usage:"), "{help}");
        for flag in RawFlags::command().get_arguments().filter_map(|arg| arg.get_long()) {
            assert!(help.contains(&format!("--{flag}")), "--{flag} is missing");
        }
        assert!(help.contains("--make-me-a-botnet"), "{help}");
    }

    #[test]
    fn the_version_has_the_original_s_shape() {
        let Request::Print(text) = parse_words(&["--version"]).unwrap() else { panic!("none") };
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() >= 3 && text.ends_with('\n'));
        assert_eq!(lines[0].split(' ').count(), 3, "{text}");
        assert!(lines[0].starts_with("distccd "));
        assert!(lines[1].trim_start().starts_with("(protocol"), "{text}");
        assert!(lines[1].ends_with(") (default port 3632)"), "{text}");
    }
}
