//! distccd's flags as clap reads them.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

use super::{DaemonSettings, LogLevel, LogTarget, ServerLimits};
use crate::settings::hosts::DEFAULT_PORT;

/// What compilers' priority is lowered by, as the original does.
const DEFAULT_NICE: i32 = 5;
/// The original's.
const DEFAULT_STATS_PORT: u16 = 3633;
/// Where syslog daemons listen, and journald.
pub(crate) const SYSLOG_SOCKET: &str = "/dev/log";
/// A compile that takes longer has lost its way.
const DEFAULT_JOB_LIFETIME: Duration = Duration::from_secs(600);

/// Compiles for other machines; with --zeroconf they find this one by themselves.
#[derive(Debug, Parser)]
#[command(
    name = "distccd",
    disable_version_flag = true,
    override_usage = "distccd [--daemon] [--zeroconf] [--allow ADDRESS[/BITS]]... [OPTIONS]",
    after_help = "Example: distccd --zeroconf --allow 192.168.1.0/24"
)]
pub(super) struct RawFlags {
    /// Run as a server of its own (the default, unless standard input is a client's connection)
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
    /// Send the log to syslog, or to the one that listens at SOCKET
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, require_equals = true,
          default_missing_value = SYSLOG_SOCKET, conflicts_with_all = ["log_file", "log_stderr"])]
    log_syslog: Option<PathBuf>,
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
    /// Serve a page of statistics over HTTP
    #[arg(long)]
    stats: bool,
    /// TCP port of that page
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_STATS_PORT,
          value_parser = clap::value_parser!(u16).range(1..))]
    stats_port: u16,
    /// Compile one file at a time
    #[arg(long)]
    no_fork: bool,
    /// To find mistakes: --log-stderr --no-detach --no-fork --verbose
    #[arg(short = 'W', long)]
    wizard: bool,
    /// Accepted and of no effect, as in the original
    #[arg(long)]
    no_fifo: bool,
    /// Accepted and of no effect: -specs is refused, wherever its files are
    #[arg(long, value_name = "DIRECTORY")]
    sysroot: Option<PathBuf>,
    /// What the kernel adds to the score by which it chooses a process to end when memory is short
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(-1000..=1000),
          allow_negative_numbers = true)]
    oom_score_adj: Option<i16>,
    /// Print the version
    #[arg(long)]
    pub(super) version: bool,
    /// The original ignores words that are no options, and so do we.
    #[arg(hide = true)]
    ignored: Vec<OsString>,
}

impl RawFlags {
    /// Checks them; relative paths are taken from `cwd`.
    pub(super) fn check(self, cwd: &Path) -> DaemonSettings {
        let Self { no_fifo: _, sysroot: _, .. } = &self;
        let seconds = |n: u64| (n > 0).then(|| Duration::from_secs(n));
        DaemonSettings {
            inetd: self.inetd,
            daemon: self.daemon || self.wizard,
            detach: !(self.no_detach || self.wizard),
            port: self.port,
            listen: self.listen,
            allow: self.allow,
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
            limits: ServerLimits::default(),
        }
    }
}
