//! A process that sees to the end of what a killed daemon leaves behind.
//!
//! It is forked from the daemon and does nothing but wait at a pipe until the daemon has ended. It
//! need not be told of any job: all that runs for one carries the daemon's directory in its
//! environment, or works in it, or descends from such a process.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

use super::supervisor::GivenSockets;
use super::{children, process, process_table};

/// Not the daemon's, so that `killall -9 distccd` leaves the guard to do its work.
const NAME: &std::ffi::CStr = c"dcc-guard";
/// What the daemon says when it ends by itself and nothing of it is left.
const ALL_IS_WELL: u8 = b'.';
/// Between two looks for processes. A compiler that was being started when the daemon was killed
/// shows itself at the second.
const PAUSE: Duration = Duration::from_millis(20);
/// So often in a row nothing was found.
const N_EMPTY_LOOKS: u32 = 3;
/// What does not end after so many looks does not end.
const MAX_LOOKS: u32 = 500;

/// The daemon's end.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Its other end tells the guard of our end, whatever that is.
    pipe: PipeWriter,
    pid: Pid,
}

impl Guard {
    /// Starts a guard for the run of a daemon whose jobs work below `run_dir`, an absolute path.
    /// `clear` removes what is left there. To be called while there is one thread.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    pub(crate) fn start(run_dir: &Path, clear: fn(&Path)) -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        // SAFETY: no other thread runs yet (the caller's duty), so the child inherits no lock held
        // by a thread that it does not have.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => {
                children::keep(child);
                Ok(Self { pipe, pid: child })
            }
            ForkResult::Child => {
                // Nothing of the daemon's is dropped here, and none of its exit handlers runs.
                let watched = catch_unwind(|| watch(&reader, run_dir, clear).is_ok());
                // SAFETY: takes a plain number and does not return.
                unsafe { libc::_exit(i32::from(!watched.unwrap_or(false))) }
            }
        }
    }

    /// For whoever wants to know whether it lives.
    pub(crate) fn watched(&self) -> Watched {
        Watched(self.pid)
    }

    /// Ends the guard of a daemon that leaves nothing behind.
    pub(crate) fn dismiss(mut self) {
        if self.pipe.write_all(&[ALL_IS_WELL]).is_ok() {
            while waitpid(self.pid, None) == Err(Errno::EINTR) {}
        }
    }
}

/// A guard that somebody looks after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched(Pid);

impl Watched {
    /// Has it died? It is reaped then; to be asked no more after a yes.
    pub(crate) fn has_died(self) -> bool {
        !matches!(waitpid(self.0, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
    }
}

/// The guard's life.
fn watch(reader: &io::PipeReader, run_dir: &Path, clear: fn(&Path)) -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(reader.as_fd())?;
    dup2_stdout(null.as_fd())?;
    dup2_stderr(null.as_fd())?;
    process::close_inherited(GivenSockets::NONE);
    setsid()?;
    std::env::set_current_dir("/")?;
    let _ = prctl::set_name(NAME);
    ignore_requests_to_end()?;
    let mut word = [0];
    loop {
        match io::stdin().read(&mut word) {
            Ok(0) => break,
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    end_all_of(run_dir);
    clear(run_dir);
    Ok(())
}

/// systemd asks every process of a service; the daemon still has compiles to finish then.
#[expect(unsafe_code, reason = "the process talks to the kernel about signals")]
fn ignore_requests_to_end() -> io::Result<()> {
    for request in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { signal(request, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// Kills what runs for a job of this directory until nothing does.
fn end_all_of(run_dir: &Path) {
    let mut n_empty = 0;
    for _ in 0..MAX_LOOKS {
        let found = processes_of(run_dir);
        n_empty = if found.is_empty() { n_empty + 1 } else { 0 };
        if n_empty == N_EMPTY_LOOKS {
            return;
        }
        for pid in found {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(PAUSE);
    }
}

/// The living processes that belong to a job of this directory.
fn processes_of(run_dir: &Path) -> Vec<i32> {
    let us = Pid::this().as_raw();
    let living: Vec<_> = process_table::all()
        .filter(|process| process.pid > 1 && process.pid != us && !"ZX".contains(process.state))
        .collect();
    let mut found: Vec<i32> =
        living.iter().map(|process| process.pid).filter(|pid| is_of(*pid, run_dir)).collect();
    loop {
        let n_before = found.len();
        for process in &living {
            if found.contains(&process.parent) && !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
        if found.len() == n_before {
            return found;
        }
    }
}

fn is_of(pid: i32, run_dir: &Path) -> bool {
    let works_there =
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(run_dir));
    let carries_it = || {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| {
            entry.strip_prefix(b"TMPDIR=").is_some_and(|value| {
                PathBuf::from(OsString::from_vec(value.to_vec())).starts_with(run_dir)
            })
        })
    };
    works_there || carries_it()
}
