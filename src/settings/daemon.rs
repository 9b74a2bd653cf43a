//! distccd's settings: what is typed and set, checked. The flags (`flags`) mean what the original's
//! mean (distcc 3.4, `dopt.c`); `environment` are the variables, `limits` how much a client may ask
//! for.

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};

use self::flags::RawFlags;
use self::words::Words;
use crate::settings::hosts::DEFAULT_PORT;

pub(crate) use self::environment::{DaemonEnvironment, EnvironmentError};
pub(crate) use self::flags::SYSLOG_SOCKET;
pub(crate) use self::limits::ServerLimits;

mod environment;
mod file;
mod flags;
mod limits;
pub(crate) mod names;
mod words;

/// Where settings stand, if the command line does not say.
const SYSTEM_FILE: &str = "/etc/distcc/distccd.toml";

/// syslog's levels, as the original names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What needs the administrator.
    #[value(aliases = ["emerg", "emergency", "alert", "crit", "critical", "err"])]
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
    /// The file that settings were read from, if there is one.
    pub(crate) file: Option<PathBuf>,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Serve.
    Serve(Box<DaemonSettings>),
    /// Print this (help, version) and end.
    Print(String),
}

/// Settings that cannot be used: a line for each problem, saying what and how it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsageError {
    lines: Vec<String>,
    /// `--help` says more.
    is_of_command_line: bool,
}

impl UsageError {
    /// One of the command line.
    fn of(line: String) -> Self {
        Self { lines: vec![line], is_of_command_line: true }
    }

    /// Those of a file, each line with its place.
    fn of_file(lines: Vec<String>) -> Self {
        Self { lines, is_of_command_line: false }
    }
}

impl Display for UsageError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))?;
        f.write_str(if self.is_of_command_line { " (see distccd --help)" } else { "" })
    }
}

impl std::error::Error for UsageError {}

/// What else than words decides what is meant.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Relative paths are taken from here, since the daemon will work elsewhere.
    pub(crate) cwd: PathBuf,
    /// `$DISTCC_IO_TIMEOUT`
    pub(crate) io_timeout: Option<OsString>,
    /// May files of the machine be written?
    pub(crate) is_root: bool,
    /// The file of settings if none is named.
    pub(crate) system_file: PathBuf,
}

impl Caller {
    /// Of this process.
    pub(crate) fn of_process(is_root: bool) -> Self {
        Self {
            cwd: env::current_dir().unwrap_or_else(|_| "/".into()),
            io_timeout: env::var_os("DISTCC_IO_TIMEOUT").filter(|value| !value.is_empty()),
            is_root,
            system_file: SYSTEM_FILE.into(),
        }
    }
}

/// Reads a command line, the program's name included, and the file of settings.
pub(crate) fn parse<I>(args: I, caller: &Caller) -> Result<Request, UsageError>
where
    I: IntoIterator<Item = OsString>,
{
    let words = Words::read(args);
    // What the command line says alone, and where the file is.
    let alone = match RawFlags::try_parse_from(words.after(&[])) {
        Ok(raw) => raw,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok(Request::Print(error.to_string()));
        }
        Err(error) => return Err(UsageError::of(first_paragraph(&error.to_string()))),
    };
    if alone.version {
        return Ok(Request::Print(version_text("distccd")));
    }
    let mut before = io_timeout_words(caller)?;
    let named = alone.config.as_ref().map(|path| caller.cwd.join(path));
    let entries = match &named {
        Some(path) => Some(file::read(path)?),
        None => file::read_if_there(&caller.system_file)?,
    };
    let is_visit = alone.inetd && !caller.is_root && named.is_none();
    let file = entries.is_some().then(|| named.unwrap_or_else(|| caller.system_file.clone()));
    before.extend(words.left_open(entries.unwrap_or_default(), is_visit));
    let raw = read_flags(words.after(&before))?;
    let settings = DaemonSettings { file, ..raw.settings(&caller.cwd)? };
    Ok(Request::Serve(Box::new(settings)))
}

fn read_flags(words: Vec<OsString>) -> Result<RawFlags, UsageError> {
    RawFlags::try_parse_from(words)
        .map_err(|error| UsageError::of(first_paragraph(&error.to_string())))
}

/// The original's variable for how long it waits for a peer that does nothing, as a word of the
/// command line before all others.
fn io_timeout_words(caller: &Caller) -> Result<Vec<OsString>, UsageError> {
    let Some(value) = &caller.io_timeout else { return Ok(Vec::new()) };
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = value.to_str().filter(is_number).unwrap_or_default();
    match ServerLimits::default().set("progress_time", text) {
        Ok(()) => Ok(vec![format!("--limit=progress_time={text}").into()]),
        Err(_) => Err(UsageError::of(format!(
            "DISTCC_IO_TIMEOUT must be a number of seconds above 0, not {value:?}"
        ))),
    }
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

    fn caller() -> Caller {
        Caller {
            cwd: "/start".into(),
            io_timeout: None,
            is_root: false,
            system_file: "/nonexistent/distccd.toml".into(),
        }
    }

    fn parse_as(words: &[&str], caller: &Caller) -> Result<Request, UsageError> {
        parse(["distccd"].iter().chain(words).map(OsString::from), caller)
    }

    fn parse_words(words: &[&str]) -> Result<Request, UsageError> {
        parse_as(words, &caller())
    }

    fn settings(words: &[&str]) -> DaemonSettings {
        match parse_words(words).unwrap() {
            Request::Serve(settings) => *settings,
            other => panic!("{other:?}"),
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
            (&["--listen", "a..b"], "--listen a..b: expected an address or a host name"),
            (&["--limit", "jobs"], "--limit jobs: expected NAME=VALUE"),
            (&["--limit", "jobs=1"], "--limit jobs=1: no such limit, expected one of connections,"),
            (&["--limit", "head_time=0"], "expected a time of at most a week"),
            (&["--auth"], "--auth cannot be used: built without GSS-API"),
            (&["--blacklist=f"], "--blacklist cannot be used: built without GSS-API"),
            (&["--whitelist", "f"], "--whitelist cannot be used: built without GSS-API"),
            (&["--show-principal"], "--show-principal cannot be used: built without GSS-API"),
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
    fn the_last_of_two_counts_and_negative_times_mean_none() {
        let said = settings(&["--port=1", "-p", "2", "--job-lifetime=-5", "--lifetime", "-1"]);
        assert_eq!((said.port, said.job_lifetime, said.lifetime), (2, None, None));
        let level = |words: &[&str]| settings(words).log_level;
        assert_eq!(level(&["--log-level", "error", "--verbose"]), LogLevel::Debug);
        assert_eq!(level(&["--verbose", "--log-level", "error"]), LogLevel::Error);
    }

    #[test]
    fn all_names_of_syslog_s_levels_are_known() {
        for (name, expected) in [
            ("emerg", LogLevel::Error),
            ("emergency", LogLevel::Error),
            ("alert", LogLevel::Error),
            ("crit", LogLevel::Error),
            ("critical", LogLevel::Error),
            ("err", LogLevel::Error),
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warning),
            ("warning", LogLevel::Warning),
            ("notice", LogLevel::Info),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("NOTICE", LogLevel::Info),
        ] {
            assert_eq!(settings(&["--log-level", name]).log_level, expected, "{name}");
        }
    }

    /// The lines that services of distributions make of their settings, as their scripts and units
    /// expand them.
    #[test]
    fn the_lines_of_distributions_services_are_understood() {
        let debian = "--pid-file=/var/run/distccd.pid --log-file=/var/log/distccd.log --daemon";
        let allowed = |settings: DaemonSettings| settings.allow;
        for (line, allow) in [
            (&*format!("{debian}"), &[][..]),
            (
                &format!(
                    "{debian}  --allow 127.0.0.1 --allow 10.0.0.0/8 --listen 127.0.0.1 --nice 10 \
                     --jobs 4 --zeroconf"
                ),
                &["127.0.0.1", "10.0.0.0/8"],
            ),
            // Gentoo's OpenRC script with its /etc/conf.d/distccd, and with a line of the user's.
            (
                "--user distcc --daemon --no-detach  --port 3632 --log-level critical --allow \
                 192.168.0.0/24 -N 15 --zeroconf",
                &["192.168.0.0/24"],
            ),
            (
                "--user distcc --daemon --no-detach  --port 3632 --log-level notice --log-file \
                 /var/log/distccd.log -N 15 --allow 192.168.0.4 --allow 192.168.0.5 --port 3633",
                &["192.168.0.4", "192.168.0.5"],
            ),
            // Its unit, with each way of writing ALLOWED_SERVERS that is in use.
            ("--no-detach --daemon --port 3632 -N 15 --allow 127.0.0.1", &["127.0.0.1"]),
            (
                "--no-detach --daemon --port 3632 -N 15 --allow 10.0.0.5 --allow 10.0.0.6",
                &["10.0.0.5", "10.0.0.6"],
            ),
            (
                "--no-detach --daemon --port 3632 -N 15 --allow 10.0.0.5 10.1.0.0/16 --zeroconf",
                &["10.0.0.5", "10.1.0.0/16"],
            ),
            // Arch's unit with its /etc/conf.d/distccd.
            ("--no-detach --daemon", &[]),
            (
                "--no-detach --daemon --allow 192.168.0.0/24 --log-level error --log-file \
                 /tmp/distccd.log",
                &["192.168.0.0/24"],
            ),
            ("--no-detach --daemon --user nobody --allow-private --listen=127.0.0.1", &[]),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            let settings = settings(&words);
            assert_eq!(settings.detach, !line.contains("--no-detach"), "{line}");
            assert_eq!(settings.zeroconf, line.contains("--zeroconf"), "{line}");
            assert_eq!(allowed(settings), allow, "{line}");
        }
    }

    #[test]
    fn variables_of_services_may_stand_in_a_line_unset_and_as_they_are() {
        let line = |allow, zeroconf, jobs| {
            settings(&[
                &format!("--allow={allow}"),
                "--listen=",
                "--nice=",
                &format!("--jobs={jobs}"),
                &format!("--zeroconf={zeroconf}"),
            ])
        };
        let unset = line("", "", "");
        assert!(unset.allow.is_empty() && unset.listen.is_empty() && !unset.zeroconf);
        assert_eq!((unset.nice, unset.jobs), (5, None));
        let set = line("127.0.0.1 10.0.0.0/8", "YES", "4");
        assert_eq!(set.allow, ["127.0.0.1", "10.0.0.0/8"]);
        assert!(set.zeroconf && set.jobs == Some(4));
        assert!(!line("", "false", "").zeroconf);
        // Without its `=` an empty value is the mistake that it is in the original.
        assert!(parse_words(&["--jobs", ""]).is_err());
    }

    #[test]
    fn a_network_is_allowed_behind_allow_only() {
        let settings = settings(&["--listen", "127.0.0.1", "10.0.0.1", "-a", "::1", "gcc", "::2"]);
        assert_eq!(settings.allow, ["::1"]);
    }

    #[test]
    fn the_command_line_counts_instead_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("distccd.toml");
        let text = "allow = [\"10.0.0.0/8\"]\nzeroconf = true\nport = 4000\nverbose = true\n\
                    log-file = \"log\"\nstate-dir = \"/s\"\n\
                    [limits]\nconnections = 7\narguments = 8\n";
        std::fs::write(&path, text).unwrap();
        let with = |words: &[&str], is_root| {
            let caller = Caller { system_file: path.clone(), is_root, ..caller() };
            match parse_as(words, &caller).unwrap() {
                Request::Serve(settings) => *settings,
                other => panic!("{other:?}"),
            }
        };
        let settings = with(&[], false);
        assert_eq!((settings.port, settings.allow), (4000, vec!["10.0.0.0/8".to_owned()]));
        assert_eq!(settings.file, Some(path.clone()));
        assert_eq!(settings.log, LogTarget::File(dir.path().join("log")));
        assert_eq!((settings.limits.connections, settings.limits.arguments), (7, 8));
        assert!(settings.zeroconf && settings.log_level == LogLevel::Debug);

        let words = "-p 5 --allow ::1 --zeroconf=no --log-level info --limit connections=9 \
                     --log-stderr";
        let settings = with(&words.split_whitespace().collect::<Vec<_>>(), false);
        assert_eq!((settings.port, settings.allow), (5, vec!["::1".to_owned()]));
        assert!(!settings.zeroconf && settings.log_level == LogLevel::Info);
        assert_eq!((settings.limits.connections, settings.limits.arguments), (9, 8));
        assert_eq!(settings.log, LogTarget::Stderr);
        assert_eq!(with(&["--wizard"], false).log, LogTarget::Stderr);

        // Who comes by ssh cannot write the daemon's log, nor is that advertised.
        let visit = with(&["--inetd"], false);
        assert!(visit.log == LogTarget::Default && visit.state_dir.is_none() && !visit.zeroconf);
        assert_eq!(with(&["--inetd"], true).state_dir, Some("/s".into()));

        let named = Caller { cwd: dir.path().to_owned(), ..caller() };
        assert!(parse_as(&["--config", "distccd.toml"], &named).is_ok());
        let error = parse_as(&["--config", "other.toml"], &named).unwrap_err().to_string();
        assert!(error.contains("/other.toml: cannot be read: "), "{error}");
    }

    #[test]
    fn the_original_s_variable_for_waiting_counts_before_all_else() {
        let progress = |value: &str, words: &[&str]| {
            let caller = Caller { io_timeout: Some(value.into()), ..caller() };
            parse_as(words, &caller).map(|request| match request {
                Request::Serve(settings) => settings.limits.progress_time.as_secs(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(progress("77", &[]), Ok(77));
        assert_eq!(progress("77", &["--limit", "progress_time=5"]), Ok(5));
        for value in ["0", "-1", "soon", "10s"] {
            let error = progress(value, &[]).unwrap_err().to_string();
            assert!(error.starts_with("DISTCC_IO_TIMEOUT must be a number"), "{error}");
        }
    }

    #[test]
    fn help_names_every_flag() {
        let Request::Print(help) = parse_words(&["--help"]).unwrap() else { panic!("no help") };
        assert!(help.contains("Usage:"), "{help}");
        let command = RawFlags::command();
        let told = command.get_arguments().filter(|arg| !arg.is_hide_set());
        for flag in told.filter_map(|arg| arg.get_long()) {
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
