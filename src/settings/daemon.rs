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

pub(crate) use self::command_list::CommandList;
pub(crate) use self::environment::{DaemonEnvironment, EnvironmentError};
pub(crate) use self::flags::SYSLOG_SOCKET;
pub(crate) use self::limits::ServerLimits;

mod command_list;
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

impl Display for LogLevel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        })
    }
}

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Words that are no options.
    pub(crate) ignored: Vec<String>,
    /// How much a client may ask for.
    pub(crate) limits: ServerLimits,
    /// The file that settings were read from, if there is one.
    pub(crate) file: Option<PathBuf>,
}

impl DaemonSettings {
    /// What the administrator should know of the words that are ignored.
    pub(crate) fn note_of_ignored(&self) -> Option<String> {
        let quoted: Vec<String> = self.ignored.iter().map(|word| format!("{word:?}")).collect();
        let words = Some(quoted.join(", ")).filter(|words| !words.is_empty());
        words.map(|words| format!("{words} on the command line is no option, and ignored"))
    }
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Serve.
    Serve(Box<DaemonSettings>),
    /// Say what would be served.
    Check(Box<DaemonSettings>),
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
    let is_check = raw.check;
    let settings = Box::new(DaemonSettings { file, ..raw.settings(&caller.cwd)? });
    Ok(if is_check { Request::Check(settings) } else { Request::Serve(settings) })
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
mod tests;
