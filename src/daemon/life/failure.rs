//! Why a daemon does not start, and what its parent gets to know.

use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

use super::pid_file::PidFileError;
use super::start::RunError;
use crate::base::exit;
use crate::daemon::jobs::workspace::WorkspaceError;
use crate::daemon::network::listener::BindError;
use crate::policy::access::AllowError;
use crate::settings::daemon::{EnvironmentError, UsageError};
use crate::sys::privileges::PrivilegeError;

/// Why a daemon does not start. `Display` is one line for the user.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line.
    Usage(UsageError),
    /// A value of `--allow`.
    Allow {
        /// As typed.
        text: String,
        /// What is wrong with it.
        error: AllowError,
    },
    /// A host name in `--allow`.
    Unresolved {
        /// As typed.
        text: String,
        /// Why it has no address.
        error: io::Error,
    },
    /// A variable.
    Environment(EnvironmentError),
    /// The port.
    Bind(BindError),
    /// What systemd gave us to listen on.
    Sockets(io::Error),
    /// Root cannot be given up.
    Privileges(PrivilegeError),
    /// The priority cannot be set.
    Nice(io::Error),
    /// `--oom-score-adj` cannot be set.
    OomScore(io::Error),
    /// No place for state.
    State {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The log.
    Log {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// In the background, with nowhere to write to.
    NoLog,
    /// The pid file.
    PidFile(PidFileError),
    /// No compiler.
    NoCompiler {
        /// Where they were looked for.
        search_path: OsString,
        /// Why those found there cannot be used.
        unusable: Vec<String>,
    },
    /// No place for jobs.
    Workspace(WorkspaceError),
    /// The background cannot be reached, or died there.
    Detach(io::Error),
    /// No threads.
    Runtime(io::Error),
    /// It cannot be served or found.
    Run(RunError),
    /// What is needed at the start cannot be written.
    Unwritable {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// All that `--check` found, in the order in which a start would.
    Several(Box<Failure>, Vec<Failure>),
    /// The background process has said so.
    Reported {
        /// Its exit code.
        code: u8,
        /// Its line.
        text: String,
    },
}

impl Failure {
    /// The original's number for it.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Allow { .. }
            | Self::Unresolved { .. }
            | Self::Environment(_) => exit::BAD_ARGUMENTS,
            Self::Bind(_) | Self::Sockets(_) => exit::BIND_FAILED,
            Self::NoCompiler { .. } => exit::COMPILER_MISSING,
            Self::Privileges(_) => exit::SETUID_FAILED,
            Self::Reported { code, .. } => *code,
            Self::Several(first, _) => first.exit_code(),
            Self::Nice(_)
            | Self::OomScore(_)
            | Self::State { .. }
            | Self::Log { .. }
            | Self::NoLog
            | Self::Unwritable { .. }
            | Self::PidFile(_)
            | Self::Workspace(_)
            | Self::Detach(_)
            | Self::Runtime(_)
            | Self::Run(_) => exit::GENERAL,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Allow { text, error } => write!(f, "cannot use --allow '{text}': {error}"),
            Self::Unresolved { text, error } => {
                write!(f, "cannot use --allow '{text}': no address of that host: {error}")?;
                f.write_str(" (a network is written like 192.168.1.0/24)")
            }
            Self::Environment(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Sockets(error) => write!(f, "cannot use the sockets of systemd: {error}"),
            Self::Privileges(error) => write!(f, "cannot give up root: {error}"),
            Self::Nice(error) => write!(f, "cannot set the priority: {error}"),
            Self::OomScore(error) => write!(f, "cannot set --oom-score-adj: {error}"),
            Self::State { path, error } => {
                write!(f, "cannot keep state in {}: {error}", path.display())
            }
            Self::Log { path, error } => {
                write!(f, "cannot write the log {}: {error} (see --log-file)", path.display())
            }
            Self::NoLog => {
                f.write_str("no place for a log, give --log-file, --log-syslog or --no-detach")
            }
            Self::PidFile(error) => error.fmt(f),
            Self::NoCompiler { search_path, unusable } => {
                let path = search_path.to_string_lossy();
                match unusable.as_slice() {
                    [] => write!(f, "no compiler found in {path}"),
                    [reason] => write!(f, "no compiler in {path} can be used: {reason}"),
                    [reason, others @ ..] => write!(
                        f,
                        "none of {} compilers in {path} can be used, the first: {reason}",
                        others.len() + 1
                    ),
                }
            }
            Self::Workspace(error) => write!(f, "cannot make a directory for jobs: {error}"),
            Self::Detach(error) => write!(f, "cannot go to the background: {error}"),
            Self::Runtime(error) => write!(f, "cannot start threads: {error}"),
            Self::Run(error) => error.fmt(f),
            Self::Unwritable { what, path, error } => {
                write!(f, "cannot write {what} {}: {error}", path.display())
            }
            Self::Several(first, others) => {
                first.fmt(f)?;
                others.iter().try_for_each(|other| write!(f, "\ndistccd: {other}"))
            }
            Self::Reported { text, .. } => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<EnvironmentError> for Failure {
    fn from(error: EnvironmentError) -> Self {
        Self::Environment(error)
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<PrivilegeError> for Failure {
    fn from(error: PrivilegeError) -> Self {
        Self::Privileges(error)
    }
}

impl From<PidFileError> for Failure {
    fn from(error: PidFileError) -> Self {
        Self::PidFile(error)
    }
}

impl From<WorkspaceError> for Failure {
    fn from(error: WorkspaceError) -> Self {
        Self::Workspace(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}
