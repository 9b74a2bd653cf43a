//! `distccd --agent`: becomes the one agent of this user and directory, listens before it
//! detaches, so that whoever started it finds the socket ready when this process ends.

use std::env;
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

/// The agent leaves when nobody has been connected for this long.
const DEFAULT_IDLE: Duration = Duration::from_secs(600);

/// Runs `distccd --agent [--no-detach]`.
pub(crate) fn main() -> ExitCode {
    process::close_inherited();
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
    make_private_dir(&dir)?;
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
    let setting = Setting { distcc_dir, dir, socket, idle: idle_time() };
    if !detach {
        drop(starting);
        return Ok(run(setting, listener, alive));
    }
    match process::detach()? {
        Detached::Parent(readiness) => {
            // The lock is the agent's now. Dropped here, it would be given up for both.
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

fn run(setting: Setting, listener: UnixListener, alive: Flock<File>) -> ExitCode {
    begin_log(&setting.dir);
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

fn idle_time() -> Duration {
    env::var("DISTCC_AGENT_IDLE")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .map_or(DEFAULT_IDLE, Duration::from_secs)
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
