//! distccd's flags and environment: as typed to checked. The flags mean what the original's mean
//! (distcc 3.4, `dopt.c`).

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};

use crate::settings::hosts::DEFAULT_PORT;

/// What compilers' priority is lowered by, as the original does.
const DEFAULT_NICE: i32 = 5;
/// A compile that takes longer has lost its way.
const DEFAULT_JOB_LIFETIME: Duration = Duration::from_secs(600);
/// The compilers' search path where the environment names none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Compiles for other machines; with --zeroconf they find this one by themselves.
#[derive(Debug, Parser)]
#[command(
    name = "distccd",
    disable_version_flag = true,
    override_usage = "distccd [--daemon] [--zeroconf] [--allow ADDRESS[/BITS]]... [OPTIONS]",
    after_help = "Example: distccd --zeroconf --allow 192.168.1.0/24"
)]
struct RawFlags {
    /// Run as a server of its own (the default)
    #[arg(long)]
    daemon: bool,
    /// Serve the one client on standard input and output, then end, as ssh and inetd start it
    #[arg(long, conflicts_with_all = ["daemon", "zeroconf"])]
    inetd: bool,
    /// Stay in the foreground
    #[arg(long)]
    no_detach: bool,
    /// TCP port to serve on
    #[arg(short, long, value_name = "PORT", default_value_t = DEFAULT_PORT,
          value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Serve on this address only; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<IpAddr>,
    /// Serve clients of this address or network; may be given several times (default: private
    /// networks and this machine)
    #[arg(short, long, value_name = "ADDRESS[/BITS]")]
    allow: Vec<String>,
    /// Serve clients of the private networks and this machine
    #[arg(long)]
    allow_private: bool,
    /// Compile this many files at once (default: usable cores + 2)
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    jobs: Option<u16>,
    /// Lower the priority of compilers by this much
    #[arg(short = 'N', long, value_name = "N", default_value_t = DEFAULT_NICE,
          value_parser = clap::value_parser!(i32).range(-20..=20), allow_negative_numbers = true)]
    nice: i32,
    /// Write the log to this file (default in the background and with --inetd:
    /// /var/log/distccd.log for root, else in the state directory; in the foreground: standard
    /// error)
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Write the log to standard error
    #[arg(long, conflicts_with = "log_file")]
    log_stderr: bool,
    /// How much to log
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
    /// As --log-level debug
    #[arg(long)]
    verbose: bool,
    /// Write the server's process id to this file, which is removed at the end; started by root
    /// and in a directory of root's, it can only be emptied (/run/distccd, which is made, is not)
    #[arg(short = 'P', long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Started by root, run as this user (default: distcc, distccd or nobody)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Let clients find this server by DNS-SD
    #[arg(long)]
    zeroconf: bool,
    /// Run any program on the PATH that a client names, not only compilers
    #[arg(long, visible_alias = "make-me-a-botnet")]
    enable_tcp_insecure: bool,
    /// End after this many seconds (0: never)
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lifetime: u64,
    /// End a compile that takes longer than this many seconds (0: never)
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_JOB_LIFETIME.as_secs())]
    job_lifetime: u64,
    /// Keep the node's id and what is known of compilers in this directory
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// Print the version
    #[arg(long)]
    version: bool,
    /// The original ignores words that are no options, and so do we.
    #[arg(hide = true)]
    ignored: Vec<OsString>,
}

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
pub(crate) enum LogTarget {
    /// `--log-file`.
    File(PathBuf),
    /// `--log-stderr`.
    Stderr,
    /// Not said.
    Default,
}

/// Checked flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DaemonSettings {
    /// Serve the one client on standard input and output.
    pub(crate) inetd: bool,
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
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Serve.
    Serve(DaemonSettings),
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
    Ok(Request::Serve(raw.check(cwd)))
}

impl RawFlags {
    fn check(self, cwd: &Path) -> DaemonSettings {
        let seconds = |n: u64| (n > 0).then(|| Duration::from_secs(n));
        DaemonSettings {
            inetd: self.inetd,
            detach: !self.no_detach,
            port: self.port,
            listen: self.listen,
            allow: self.allow,
            allow_private: self.allow_private,
            jobs: self.jobs,
            nice: self.nice,
            log: match self.log_file {
                Some(path) => LogTarget::File(cwd.join(path)),
                None if self.log_stderr => LogTarget::Stderr,
                None => LogTarget::Default,
            },
            log_level: if self.verbose { LogLevel::Debug } else { self.log_level },
            pid_file: self.pid_file.map(|path| cwd.join(path)),
            user: self.user,
            zeroconf: self.zeroconf,
            any_program: self.enable_tcp_insecure,
            lifetime: seconds(self.lifetime),
            job_lifetime: seconds(self.job_lifetime),
            state_dir: self.state_dir.map(|path| cwd.join(path)),
        }
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

/// What the daemon takes from its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DaemonEnvironment {
    /// Where compilers are looked for: `$DISTCCD_PATH`, else `$PATH`.
    pub(crate) search_path: OsString,
    /// Where job directories are made: `$TMPDIR`, else `/tmp`.
    pub(crate) temp_dir: PathBuf,
    /// Where state is kept if `--state-dir` does not say; none for a user without a home.
    pub(crate) state_dir: Option<PathBuf>,
    /// The language of diagnostics: `LANG`, `LANGUAGE`, `LC_*`.
    pub(crate) locale: Vec<(OsString, OsString)>,
}

impl DaemonEnvironment {
    /// Reads the process's environment, once. `is_root` decides where state belongs.
    pub(crate) fn from_process(is_root: bool) -> Self {
        Self::read(&env::vars_os().collect::<Vec<_>>(), is_root)
    }

    fn read(variables: &[(OsString, OsString)], is_root: bool) -> Self {
        let get = |name: &str| {
            let (_, value) =
                variables.iter().find(|(key, value)| key == name && !value.is_empty())?;
            Some(value.clone())
        };
        let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            search_path: get("DISTCCD_PATH")
                .or_else(|| get("PATH"))
                .unwrap_or_else(|| DEFAULT_PATH.into()),
            temp_dir: absolute("TMPDIR").unwrap_or_else(|| "/tmp".into()),
            state_dir: absolute("STATE_DIRECTORY")
                .or_else(|| is_root.then(|| "/var/lib/distccd".into()))
                .or_else(|| absolute("XDG_STATE_HOME").map(|dir| dir.join("distccd")))
                .or_else(|| absolute("HOME").map(|home| home.join(".local/state/distccd"))),
            locale: variables.iter().filter(|(key, _)| names_locale(key)).cloned().collect(),
        }
    }
}

fn names_locale(key: &OsString) -> bool {
    key.to_str().is_some_and(|key| key == "LANG" || key == "LANGUAGE" || key.starts_with("LC_"))
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
            Request::Serve(settings) => settings,
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
    fn a_wrong_word_is_reported_in_one_line_with_what_was_expected() {
        for (words, expected) in [
            (&["--port", "80000"][..], "80000 is not in 1..=65535"),
            (&["--port", "0"], "0 is not in 1..=65535"),
            (&["--jobs", "0"], "0 is not in 1..=4096"),
            (&["gcc", "--bogus-option"], "unexpected argument '--bogus-option'"),
            (&["--listen", "everywhere"], "invalid IP address syntax"),
            (&["--log-level", "loud"], "possible values: error, warning, info, debug"),
            (&["--log-stderr", "--log-file", "x"], "cannot be used with"),
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

    #[test]
    fn state_belongs_to_the_machine_for_root_and_to_the_home_for_others() {
        let variables = |pairs: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            pairs.iter().map(|(key, value)| (key.into(), value.into())).collect()
        };
        let state = |pairs, is_root| DaemonEnvironment::read(&variables(pairs), is_root).state_dir;
        let home = [("HOME", "/home/u")];
        assert_eq!(state(&home, true), Some("/var/lib/distccd".into()));
        assert_eq!(state(&home, false), Some("/home/u/.local/state/distccd".into()));
        let xdg = [("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")];
        assert_eq!(state(&xdg, false), Some("/s/distccd".into()));
        assert_eq!(state(&[("STATE_DIRECTORY", "/d")], true), Some("/d".into()));
        assert_eq!(state(&[], false), None);
        let read = DaemonEnvironment::read(
            &variables(&[
                ("PATH", "/bin"),
                ("DISTCCD_PATH", "/opt"),
                ("LC_ALL", "C"),
                ("TMPDIR", "t"),
            ]),
            false,
        );
        assert_eq!((read.search_path, read.temp_dir), ("/opt".into(), "/tmp".into()));
        assert_eq!(read.locale, [("LC_ALL".into(), "C".into())]);
    }
}
