//! Runs a compiler that is asked about itself: alone in a directory, without the user's
//! environment, and not for ever.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::sys::children;

/// What a compiler says is not read beyond this many bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// How a run ended.
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Why there is nothing to read.
#[derive(Debug)]
pub(super) enum RunError {
    /// It could not be started.
    Start(io::Error),
    /// It did not end in time and was killed, with all its children.
    TimedOut,
    /// Its output could not be kept.
    Output(io::Error),
}

/// A command with nothing of our environment but PATH. `dir` becomes its working directory and
/// takes its temporary files.
pub(super) fn command(program: &Path, search_path: &OsStr, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", search_path)
        .env("TMPDIR", dir)
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end or the deadline. Output goes to unnamed files: a pipe would be held open by
/// any grandchild that stays behind.
pub(super) fn run(mut command: Command, deadline: Duration) -> Result<Ran, RunError> {
    let stdout = tempfile::tempfile().map_err(RunError::Output)?;
    let stderr = tempfile::tempfile().map_err(RunError::Output)?;
    command.stdout(stdout.try_clone().map_err(RunError::Output)?);
    command.stderr(stderr.try_clone().map_err(RunError::Output)?);
    // A group of its own, so that what it starts can be ended with it.
    command.process_group(0);
    let started = children::start(|| command.spawn(), |child| Some(child.id()));
    let (child, _until_reaped) = started.map_err(RunError::Start)?;
    let status = end(child, deadline)?;
    Ok(Ran { status, stdout: read(stdout)?, stderr: read(stderr)? })
}

fn end(mut child: Child, deadline: Duration) -> Result<ExitStatus, RunError> {
    let pid = i32::try_from(child.id()).map(Pid::from_raw);
    let pid = pid.map_err(|error| RunError::Output(io::Error::other(error)))?;
    let (ended, has_ended) = mpsc::channel();
    // The thread only watches. The child stays a zombie until `wait` below, so that its number
    // cannot pass to another process before the group is killed.
    let watcher = thread::Builder::new().spawn(move || {
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR)
        {
        }
        // Nobody listens any more after a timeout.
        let _ = ended.send(());
    });
    // Without the watcher nobody holds the other end.
    let in_time = has_ended.recv_timeout(deadline).is_ok();
    // Also what a child that ended by itself left behind. An empty group is no error to us.
    let _ = killpg(pid, Signal::SIGKILL);
    // A killed process ends, so the watcher does.
    let watched = watcher.map(|watcher| drop(watcher.join()));
    let status = child.wait().map_err(RunError::Output)?;
    watched.map_err(RunError::Start)?;
    if in_time { Ok(status) } else { Err(RunError::TimedOut) }
}

fn read(mut file: File) -> Result<String, RunError> {
    let mut bytes = Vec::new();
    file.rewind().map_err(RunError::Output)?;
    file.take(MAX_OUTPUT).read_to_end(&mut bytes).map_err(RunError::Output)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, dir: &Path) -> Command {
        let mut command = command(Path::new("/bin/sh"), OsStr::new("/usr/bin:/bin"), dir);
        command.args(["-c", script]);
        command
    }

    #[test]
    fn hands_over_output_and_status() {
        let dir = tempfile::tempdir().unwrap();
        let script = "pwd; echo $LC_ALL $PATH >&2; exit 3";
        let ran = run(shell(script, dir.path()), Duration::from_secs(60)).unwrap();
        assert_eq!(ran.status.code(), Some(3));
        assert_eq!(Path::new(ran.stdout.trim_end()), dir.path().canonicalize().unwrap());
        assert_eq!(ran.stderr, "C /usr/bin:/bin\n");
    }

    /// Every process that runs on behalf of the script holds the writing end; reading to the end
    /// waits for the last of them.
    fn with_witness(script: &str, dir: &Path) -> (Command, io::PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        let mut command = shell(&format!("exec 3<&0; {script}"), dir);
        command.stdin(writer);
        (command, reader)
    }

    #[test]
    fn kills_what_does_not_end_and_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let (command, mut witness) = with_witness("sleep 1000 & wait", dir.path());
        assert!(matches!(run(command, Duration::from_millis(200)), Err(RunError::TimedOut)));
        witness.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn ends_what_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (command, mut witness) = with_witness("sleep 1000 & exit 0", dir.path());
        assert!(run(command, Duration::from_secs(60)).unwrap().status.success());
        witness.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn names_what_cannot_be_started() {
        let dir = tempfile::tempdir().unwrap();
        let none = command(Path::new("/nonexistent/cc"), OsStr::new(""), dir.path());
        assert!(matches!(run(none, Duration::from_secs(60)), Err(RunError::Start(_))));
    }
}
