//! distccd's flags as clap reads them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use super::{DaemonSettings, LogLevel, LogTarget, ServerLimits, UsageError, names};
use crate::settings::hosts::DEFAULT_PORT;

/// What compilers' priority is lowered by, as the original does.
const DEFAULT_NICE: i32 = 5;
/// The original's.
const DEFAULT_STATS_PORT: u16 = 3633;
/// Where syslog daemons listen, and journald.
pub(crate) const SYSLOG_SOCKET: &str = "/dev/log";
/// A compile that takes longer has lost its way.
const DEFAULT_JOB_LIFETIME: i64 = 600;

/// Headings of the help.
const CLIENTS: &str = "Whom to serve, and where";
const JOBS: &str = "What to run, and how much";
const RUNNING: &str = "How to run";
const LOG: &str = "What to log, and where";
const NOTHING: &str = "Accepted for the sake of the original's users";

/// Compiles for other machines; with --zeroconf they find this one by themselves.
#[derive(Debug, Parser)]
#[command(
    name = "distccd",
    disable_version_flag = true,
    // A service gives an option that its file of settings gives once more: the last one counts.
    args_override_self = true,
    override_usage = "distccd [--daemon] [--zeroconf] [--allow ADDRESS[/BITS]]... [OPTIONS]",
    after_help = "Example: distccd --zeroconf --allow 192.168.1.0/24"
)]
pub(super) struct RawFlags {
    /// Run as a server of its own (the default, unless standard input is a client's connection)
    #[arg(help_heading = RUNNING, long)]
    daemon: bool,
    /// Serve the one client on standard input and output, then end, as ssh and inetd start it
    #[arg(help_heading = RUNNING, long, conflicts_with_all = ["daemon", "zeroconf"])]
    pub(super) inetd: bool,
    /// Stay in the foreground
    #[arg(help_heading = RUNNING, long)]
    no_detach: bool,
    /// TCP port to serve on
    #[arg(help_heading = CLIENTS, short, long, value_name = "PORT", default_value_t = DEFAULT_PORT,
          value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Serve on this address, or those of this host name, only; may be given several times
    #[arg(help_heading = CLIENTS, long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Serve clients of this address, network or host name; may be given several times, and hold
    /// several with blanks or commas between them (default: private networks and this machine)
    #[arg(help_heading = CLIENTS, short, long, value_name = "ADDRESS[/BITS]")]
    allow: Vec<String>,
    /// Serve clients of the private networks and this machine
    #[arg(help_heading = CLIENTS, long)]
    allow_private: bool,
    /// Compile this many files at once (default: usable cores + 2)
    #[arg(help_heading = JOBS, short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    jobs: Option<u16>,
    /// Lower the priority of compilers by this much
    #[arg(help_heading = JOBS, short = 'N', long, value_name = "N", default_value_t = DEFAULT_NICE,
          value_parser = clap::value_parser!(i32).range(-20..=20), allow_negative_numbers = true)]
    nice: i32,
    /// Write the log to this file (default in the background and with --inetd:
    /// /var/log/distccd.log for root, else in the state directory; in the foreground: standard
    /// error)
    #[arg(help_heading = LOG, long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Write the log to standard error
    #[arg(help_heading = LOG, long, conflicts_with = "log_file")]
    log_stderr: bool,
    /// Send the log to syslog, or to the one that listens at SOCKET
    #[arg(help_heading = LOG, long, value_name = "SOCKET", num_args = 0..=1, require_equals = true,
          default_missing_value = SYSLOG_SOCKET, conflicts_with_all = ["log_file", "log_stderr"])]
    log_syslog: Option<PathBuf>,
    /// How much to log
    #[arg(help_heading = LOG, long, value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info,
          ignore_case = true, overrides_with = "verbose")]
    log_level: LogLevel,
    /// As --log-level debug
    #[arg(help_heading = LOG, long)]
    verbose: bool,
    /// Write the server's process id to this file, which is removed at the end; started by root
    /// and in a directory of root's, it can only be emptied (/run/distccd, which is made, is not)
    #[arg(help_heading = RUNNING, short = 'P', long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Started by root, run as this user (default: distcc, distccd or nobody)
    #[arg(help_heading = RUNNING, long, value_name = "USER")]
    user: Option<String>,
    /// Let clients find this server by DNS-SD
    #[arg(help_heading = CLIENTS, long)]
    zeroconf: bool,
    /// Run any program on the PATH that a client names, not only compilers
    #[arg(help_heading = JOBS, long, visible_alias = "make-me-a-botnet")]
    enable_tcp_insecure: bool,
    /// End after this many seconds (0: never)
    #[arg(help_heading = RUNNING, long, value_name = "SECONDS", default_value_t = 0,
          allow_negative_numbers = true)]
    lifetime: i64,
    /// End a compile that takes longer than this many seconds (0: never)
    #[arg(help_heading = JOBS, long, value_name = "SECONDS", default_value_t = DEFAULT_JOB_LIFETIME,
          allow_negative_numbers = true)]
    job_lifetime: i64,
    /// Set one of the limits that --check shows: --limit source_bytes=64M; may be given
    /// several times
    #[arg(help_heading = JOBS, long, value_name = "NAME=VALUE")]
    limit: Vec<String>,
    /// Keep the node's id and what is known of compilers in this directory
    #[arg(help_heading = RUNNING, long, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// Serve a page of statistics over HTTP
    #[arg(help_heading = CLIENTS, long)]
    stats: bool,
    /// TCP port of that page
    #[arg(help_heading = CLIENTS, long, value_name = "PORT", default_value_t = DEFAULT_STATS_PORT,
          value_parser = clap::value_parser!(u16).range(1..))]
    stats_port: u16,
    /// Compile one file at a time
    #[arg(help_heading = JOBS, long)]
    no_fork: bool,
    /// To find mistakes: --log-stderr --no-detach --no-fork --verbose
    #[arg(help_heading = RUNNING, short = 'W', long)]
    wizard: bool,
    /// Of no effect, as in the original
    #[arg(help_heading = NOTHING, long)]
    no_fifo: bool,
    /// Of no effect: -specs is refused, wherever its files are
    #[arg(help_heading = NOTHING, long, value_name = "DIRECTORY")]
    sysroot: Option<PathBuf>,
    /// What the kernel adds to the score by which it chooses a process to end when memory is short
    #[arg(help_heading = JOBS, long, value_name = "N", value_parser = clap::value_parser!(i16).range(-1000..=1000),
          allow_negative_numbers = true)]
    oom_score_adj: Option<i16>,
    /// Read settings from this file (default: /etc/distcc/distccd.toml, if it is there)
    #[arg(help_heading = RUNNING, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Check all settings, say what would be served, to whom and with which limits, and end
    #[arg(long)]
    pub(super) check: bool,
    /// Print the version
    #[arg(long)]
    pub(super) version: bool,
    /// Of the original with GSS-API, so that they can be refused by name.
    #[arg(long, hide = true)]
    auth: bool,
    #[arg(long, hide = true)]
    blacklist: Option<OsString>,
    #[arg(long, hide = true)]
    whitelist: Option<OsString>,
    #[arg(long, hide = true)]
    show_principal: bool,
    /// The original ignores words that are no options, and so do we, but not in silence.
    #[arg(hide = true)]
    ignored: Vec<OsString>,
}

impl RawFlags {
    /// Checks them; relative paths are taken from `cwd`.
    pub(super) fn settings(self, cwd: &Path) -> Result<DaemonSettings, UsageError> {
        self.refuse_gss_api()?;
        let Self { no_fifo: _, sysroot: _, .. } = &self;
        let seconds = |n: i64| u64::try_from(n).ok().filter(|&n| n > 0).map(Duration::from_secs);
        Ok(DaemonSettings {
            limits: self.limits()?,
            listen: names::to_listen_on(&self.listen)?,
            inetd: self.inetd,
            daemon: self.daemon || self.wizard,
            detach: !(self.no_detach || self.wizard),
            port: self.port,
            allow: self.allow.iter().flat_map(|text| each_of(text)).collect(),
            allow_private: self.allow_private,
            jobs: self.jobs,
            nice: self.nice,
            log: match (self.log_file, self.log_syslog) {
                (Some(path), _) => LogTarget::File(cwd.join(path)),
                (None, Some(socket)) => LogTarget::Syslog(cwd.join(socket)),
                (None, None) if self.log_stderr || self.wizard => LogTarget::Stderr,
                (None, None) => LogTarget::Default,
            },
            log_level: if self.verbose || self.wizard { LogLevel::Debug } else { self.log_level },
            pid_file: self.pid_file.map(|path| cwd.join(path)),
            user: self.user,
            zeroconf: self.zeroconf,
            any_program: self.enable_tcp_insecure,
            lifetime: seconds(self.lifetime),
            job_lifetime: seconds(self.job_lifetime),
            state_dir: self.state_dir.map(|path| cwd.join(path)),
            stats_port: self.stats.then_some(self.stats_port),
            one_at_a_time: self.no_fork || self.wizard,
            oom_score_adj: self.oom_score_adj,
            ignored: self.ignored.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            file: None,
        })
    }

    fn refuse_gss_api(&self) -> Result<(), UsageError> {
        let given = [
            (self.auth, "--auth"),
            (self.blacklist.is_some(), "--blacklist"),
            (self.whitelist.is_some(), "--whitelist"),
            (self.show_principal, "--show-principal"),
        ];
        match given.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => Err(UsageError::of(format!(
                "{flag} cannot be used: built without GSS-API; --allow says whom to serve"
            ))),
            None => Ok(()),
        }
    }

    fn limits(&self) -> Result<ServerLimits, UsageError> {
        let mut limits = ServerLimits::default();
        for text in &self.limit {
            let Some((name, value)) = text.split_once('=') else {
                return Err(UsageError::of(format!("--limit {text}: expected NAME=VALUE")));
            };
            let set = limits.set(name, value);
            set.map_err(|error| UsageError::of(format!("--limit {text}: {error}")))?;
        }
        Ok(limits)
    }
}

/// What stands between blanks and commas; the text itself if that is nothing, so that it can be
/// complained of.
fn each_of(text: &str) -> Vec<String> {
    let is_between = |c: char| c == ',' || c.is_whitespace();
    let parts: Vec<String> =
        text.split(is_between).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if parts.is_empty() { vec![text.to_owned()] } else { parts }
}
