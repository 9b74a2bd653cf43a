//! What an interrupted client leaves behind: nothing. INT, QUIT, TERM and HUP end the compiler that
//! runs, half-written files are removed, then the signal does what it always does. ALRM keeps a
//! file young while the client sleeps, wherever it does so.

use std::ffi::{CString, c_char, c_int};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, raise, sigaction, signal,
};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, alarm};

/// The signals that end a client from outside.
const FATAL: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// A compiler that is asked to end removes its own files first. It is looked after so often, with
/// such a pause, before it is ended by force: whoever pressed ^C waits for us.
const N_LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// A client runs one compiler or preprocessor at a time, or that many clients for the sources of one
/// command; the spare place costs nothing.
const N_TARGETS: usize = MAX_CHILDREN + 1;

/// Processes that may run below us at once and be ended with us.
pub(crate) const MAX_CHILDREN: usize = 32;

/// A client writes one output file at a time, and its state file.
const N_FILES: usize = 4;

/// Argument of kill(2) for each compiler that runs: a process, or a group as a negative number.
static TARGETS: [AtomicI32; N_TARGETS] = [const { AtomicI32::new(0) }; N_TARGETS];

/// Path of each half-written file, NUL-terminated; the memory is never freed, because the handler
/// may run at any time.
static FILES: [AtomicPtr<c_char>; N_FILES] = [const { AtomicPtr::new(ptr::null_mut()) }; N_FILES];

/// How often, in seconds, the file of [`KeptFresh`] is touched. The original's monitors take a
/// state file for abandoned after 60 s.
const FRESH_FOR: u32 = 25;

/// The file that is touched; -1 for none.
static FRESH: AtomicI32 = AtomicI32::new(-1);

/// Value of [`PUT_OFF`] outside of [`start_passed_on`].
const NOT_PUT_OFF: i32 = -1;
/// Value of [`PUT_OFF`] while a process is being started and no signal has come.
const NONE_CAME: i32 = 0;

/// The signal that came while a process was being started, or one of the values above.
static PUT_OFF: AtomicI32 = AtomicI32::new(NOT_PUT_OFF);

/// Where kill(2) is to send a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// This process only.
    Process(u32),
    /// Every process of the group that this process leads.
    Group(u32),
}

impl Target {
    fn as_kill_argument(self) -> i32 {
        match self {
            Self::Process(pid) => pid.cast_signed(),
            Self::Group(pid) => -pid.cast_signed(),
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(self) -> io::Result<()> {
        kill(Pid::from_raw(self.as_kill_argument()), Signal::SIGTERM).map_err(io::Error::from)
    }
}

/// While this value lives, a signal that ends us ends its target too.
#[derive(Debug)]
pub(crate) struct PassedOn {
    slot: Option<usize>,
}

/// While this value lives, a signal that ends us removes its file.
#[derive(Debug)]
pub(crate) struct Removed {
    slot: Option<usize>,
}

/// Installs the handler. A signal that is ignored stays so (`nohup`), and SIGPIPE becomes an
/// error of write(2).
#[expect(unsafe_code, reason = "the process talks to the kernel about signals")]
pub(crate) fn install() -> io::Result<()> {
    let action =
        SigAction::new(SigHandler::Handler(on_fatal), SaFlags::empty(), SigSet::from_iter(FATAL));
    for fatal in FATAL {
        // SAFETY: `on_fatal` only makes calls that are safe in a handler: kill, waitpid, unlink,
        // signal, raise, and the nanosleep that a sleeping thread is.
        let before = unsafe { sigaction(fatal, &action) }?;
        if matches!(before.handler(), SigHandler::SigIgn) {
            // SAFETY: puts back the disposition that was there; no handler is involved.
            unsafe { sigaction(fatal, &before) }?;
        }
    }
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }?;
    Ok(())
}

/// Runs `start`, which starts a process, so that no signal can come between its start and its
/// being known here. Signals are put off, not blocked: a child would inherit the mask.
pub(crate) fn start_passed_on<T, E>(
    start: impl FnOnce() -> Result<(T, Target), E>,
) -> Result<(T, Target, PassedOn), E> {
    PUT_OFF.store(NONE_CAME, Ordering::SeqCst);
    let started = start().map(|(value, target)| {
        let slot = claim(N_TARGETS, |slot| {
            TARGETS[slot]
                .compare_exchange(0, target.as_kill_argument(), Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        });
        (value, target, PassedOn { slot })
    });
    let came = PUT_OFF.swap(NOT_PUT_OFF, Ordering::SeqCst);
    if came > NONE_CAME
        && let Ok(fatal) = Signal::try_from(came)
    {
        // Comes back to the handler, which now knows the child.
        let _ = raise(fatal);
    }
    started
}

/// Notes `path` for removal; to be called before the file is made.
pub(crate) fn remove_if_interrupted(path: &Path) -> Removed {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return Removed { slot: None };
    };
    let path = path.into_raw();
    let slot = claim(N_FILES, |slot| {
        FILES[slot]
            .compare_exchange(ptr::null_mut(), path, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    });
    Removed { slot }
}

/// The first of `n` slots that `take` gets hold of.
fn claim(n: usize, take: impl Fn(usize) -> bool) -> Option<usize> {
    (0..n).find(|slot| take(*slot))
}

/// A file whose time of change is never older than half a minute while this value lives. One at a
/// time; of two, the second is a mere file.
#[derive(Debug)]
pub(crate) struct KeptFresh {
    file: File,
}

impl KeptFresh {
    /// Begins to keep `file` fresh.
    #[expect(unsafe_code, reason = "the process talks to the kernel about signals")]
    pub(crate) fn new(file: File) -> Self {
        let fd = file.as_raw_fd();
        if FRESH.compare_exchange(-1, fd, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            let handler = SigHandler::Handler(on_alarm);
            let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
            // SAFETY: `on_alarm` only makes calls that are safe in a handler: futimens and alarm.
            if unsafe { sigaction(Signal::SIGALRM, &action) }.is_ok() {
                alarm::set(FRESH_FOR);
            }
        }
        Self { file }
    }
}

impl Deref for KeptFresh {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for KeptFresh {
    fn drop(&mut self) {
        let fd = self.file.as_raw_fd();
        // Before the file is closed: its number may then stand for another one.
        if FRESH.compare_exchange(fd, -1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            alarm::cancel();
        }
    }
}

/// Touches the file and comes again.
#[expect(unsafe_code, reason = "the process talks to the kernel about signals")]
extern "C" fn on_alarm(_: c_int) {
    let interrupted = Errno::last_raw();
    let fd = FRESH.load(Ordering::SeqCst);
    if fd >= 0 {
        // SAFETY: the file is open as long as its number stands there; no times means now.
        unsafe { libc::futimens(fd, ptr::null()) };
        alarm::set(FRESH_FOR);
    }
    Errno::set_raw(interrupted);
}

impl Drop for PassedOn {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            TARGETS[slot].store(0, Ordering::SeqCst);
        }
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            FILES[slot].store(ptr::null_mut(), Ordering::SeqCst);
        }
    }
}

/// Does the child that this argument of kill(2) stands for end before long?
fn has_ended(target: i32) -> bool {
    let child = Pid::from_raw(target.abs());
    for _ in 0..N_LOOKS {
        if !matches!(waitpid(child, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

/// Ends the compiler, tidies up and dies of the signal.
#[expect(unsafe_code, reason = "the process talks to the kernel about signals")]
extern "C" fn on_fatal(number: c_int) {
    let Ok(fatal) = Signal::try_from(number) else { return };
    let put_off = |value| (value != NOT_PUT_OFF).then_some(number);
    if PUT_OFF.fetch_update(Ordering::SeqCst, Ordering::SeqCst, put_off).is_ok() {
        return;
    }
    for target in &TARGETS {
        let target = target.load(Ordering::SeqCst);
        if target != 0 {
            // Not the signal that came: what a shell started in the background ignores SIGINT.
            let _ = kill(Pid::from_raw(target), Signal::SIGTERM);
        }
    }
    for target in &TARGETS {
        let target = target.load(Ordering::SeqCst);
        if target != 0 && !has_ended(target) && target < 0 {
            // Of a group of our own making everything may be ended.
            let _ = kill(Pid::from_raw(target), Signal::SIGKILL);
        }
    }
    for file in &FILES {
        let path = file.load(Ordering::SeqCst);
        if !path.is_null() {
            // SAFETY: the pointer comes from `CString::into_raw` and is never freed; unlink may
            // be called in a handler.
            unsafe { libc::unlink(path) };
        }
    }
    // SAFETY: restoring the default runs no code of ours; the signal raised here is blocked until
    // the handler returns, and then ends the process.
    let _ = unsafe { signal(fatal, SigHandler::SigDfl) };
    let _ = raise(fatal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_negative_argument_of_kill() {
        assert_eq!(Target::Group(17).as_kill_argument(), -17);
        assert_eq!(Target::Process(17).as_kill_argument(), 17);
    }
}
