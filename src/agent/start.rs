//! `distccd --agent`: becomes the one agent of this user and directory, listens before it
//! detaches, so that whoever started it finds the socket ready when this process ends.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::mem;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::getuid;
use tracing::Level;

use super::shell::{self, Setting};
use crate::base::exit;
use crate::settings::agent_socket;
use crate::sys::process::{self, Detached, StartReport};
use crate::sys::supervisor::GivenSockets;

/// The agent leaves when nobody has been connected for this long.
const DEFAULT_IDLE: Duration = Duration::from_secs(600);
/// The longest that it can be told to stay.
const MAX_IDLE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Runs `distccd --agent [--no-detach]`.
pub(crate) fn main() -> ExitCode {
    process::close_inherited(GivenSockets::NONE);
    let detach = !env::args_os().any(|argument| argument == "--no-detach");
    match start(detach) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("distccd: cannot start the agent: {e}");
            ExitCode::from(exit::GENERAL)
        }
    }
}

fn start(detach: bool) -> io::Result<ExitCode> {
    let distcc_dir =
        distcc_dir().ok_or_else(|| io::Error::other("neither DISTCC_DIR nor HOME is set"))?;
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR");
    let socket = agent_socket::path(&distcc_dir, getuid().as_raw(), runtime_dir.as_deref());
    let dir = socket.parent().map(Path::to_path_buf).unwrap_or_default();
    make_dirs(&distcc_dir, &dir)?;
    // Two clients may start an agent at the same moment: the second waits here until the first
    // listens, finds it alive and ends, so that its client connects.
    let starting = lock(&dir.join("starting"), FlockArg::LockExclusive)?
        .ok_or_else(|| io::Error::other("cannot lock"))?;
    let Some(alive) = lock(&agent_socket::lock_path(&socket), FlockArg::LockExclusiveNonblock)?
    else {
        return Ok(ExitCode::SUCCESS);
    };
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", socket.display())))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
    let setting = Setting { distcc_dir, dir, socket, idle: DEFAULT_IDLE };
    if !detach {
        drop(starting);
        return Ok(run(setting, listener, alive));
    }
    match process::detach()? {
        Detached::Parent(readiness) => {
            // The lock is the agent's now: to let go of it here would free it for both.
            mem::forget(alive);
            match readiness.wait()? {
                StartReport::Ready(_) => Ok(ExitCode::SUCCESS),
                StartReport::Failed(code, text) => {
                    eprintln!("distccd: {text}");
                    Ok(ExitCode::from(code))
                }
            }
        }
        Detached::Child(starter) => {
            drop(starting);
            starter.report(&StartReport::Ready(String::new()));
            Ok(run(setting, listener, alive))
        }
    }
}

fn run(mut setting: Setting, listener: UnixListener, alive: Flock<File>) -> ExitCode {
    begin_log(&setting.dir);
    match idle_time(env::var_os("DISTCC_AGENT_IDLE").as_deref()) {
        Ok(idle) => setting.idle = idle,
        Err(problem) => tracing::warn!(problem, "left out of account"),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => match runtime.block_on(shell::run(setting, listener, alive)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                tracing::error!(error = %e, "the agent ends");
                ExitCode::from(exit::GENERAL)
            }
        },
        Err(e) => {
            tracing::error!(error = %e, "cannot build a runtime");
            ExitCode::from(exit::GENERAL)
        }
    }
}

/// `$DISTCC_DIR`, else `~/.distcc`.
fn distcc_dir() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let dir = set("DISTCC_DIR")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".distcc")))?;
    // The agent runs in `/`; a relative directory means the one of its starter.
    std::path::absolute(dir).ok()
}

/// What `$DISTCC_AGENT_IDLE` asks for; if that is no number, what is wrong with it.
fn idle_time(said: Option<&OsStr>) -> Result<Duration, String> {
    let Some(said) = said else { return Ok(DEFAULT_IDLE) };
    match said.to_str().map(str::parse) {
        Some(Ok(seconds)) => Ok(Duration::from_secs(seconds).min(MAX_IDLE)),
        _ => Err(format!("DISTCC_AGENT_IDLE={}: expected seconds", said.to_string_lossy())),
    }
}

/// The agent's directory, and `distcc_dir` around it. Nothing above is made: a home that does not
/// exist was left out on purpose (by a package builder, say).
fn make_dirs(distcc_dir: &Path, dir: &Path) -> io::Result<()> {
    if dir.starts_with(distcc_dir)
        && let Err(e) = fs::create_dir(distcc_dir)
        && e.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(io::Error::new(e.kind(), format!("{}: {e}", distcc_dir.display())));
    }
    make_private_dir(dir)
}

/// The directory, with access for this user only. One that somebody else made first is refused:
/// in `/tmp` anyone may do that.
fn make_private_dir(dir: &Path) -> io::Result<()> {
    let in_words = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", dir.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(in_words)?;
    let meta = fs::symlink_metadata(dir).map_err(in_words)?;
    let mine = std::os::unix::fs::MetadataExt::uid(&meta) == getuid().as_raw();
    if !meta.is_dir() || !mine {
        return Err(io::Error::other(format!("{} belongs to somebody else", dir.display())));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(in_words)
}

/// `None` if somebody else holds the lock and `how` does not wait.
fn lock(path: &Path, how: FlockArg) -> io::Result<Option<Flock<File>>> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// The agent's own log, begun anew at each start: what it decided and why, for the curious.
fn begin_log(dir: &Path) {
    let Ok(file) = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(dir.join("log"))
    else {
        return;
    };
    let verbose = env::var_os("DISTCC_VERBOSE").is_some_and(|value| value == "1");
    let level = if verbose { Level::DEBUG } else { Level::INFO };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(file).finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_time_is_bounded_and_nonsense_is_named() {
        let idle = |said: &str| idle_time(Some(said.as_ref()));
        assert_eq!(idle_time(None), Ok(DEFAULT_IDLE));
        assert_eq!(idle("1"), Ok(Duration::from_secs(1)));
        assert_eq!(idle("18446744073709551615"), Ok(MAX_IDLE));
        for nonsense in ["", "soon", "-1", "18446744073709551616"] {
            let problem = idle(nonsense).unwrap_err();
            assert_eq!(problem, format!("DISTCC_AGENT_IDLE={nonsense}: expected seconds"));
        }
    }
}
