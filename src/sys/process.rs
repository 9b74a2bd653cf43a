//! Processes: detaching from the terminal, process groups, inherited descriptors and limits.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

use super::supervisor::GivenSockets;

/// Which side of [`detach`] this is.
pub(crate) enum Detached {
    /// The process that the user started: waits for the word of the other, then ends.
    Parent(Readiness),
    /// The background process, in a session of its own, its standard descriptors on `/dev/null`.
    Child(Starter),
}

/// The parent's end: yields how the start of the background process went.
pub(crate) struct Readiness(PipeReader);

/// The background process's end: says once how its start went.
pub(crate) struct Starter(PipeWriter);

/// How the background process's start went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StartReport {
    /// It serves; the text is for the user.
    Ready(String),
    /// It ends with this exit code; the text says why.
    Failed(u8, String),
}

impl Readiness {
    /// Waits for the report. A background process that dies first reports nothing, which is an
    /// error.
    pub(crate) fn wait(mut self) -> io::Result<StartReport> {
        let mut report = Vec::new();
        self.0.read_to_end(&mut report)?;
        let Some((&code, text)) = report.split_first() else {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the background process died at its start",
            ));
        };
        let text = String::from_utf8_lossy(text).into_owned();
        Ok(if code == 0 { StartReport::Ready(text) } else { StartReport::Failed(code, text) })
    }
}

impl Starter {
    /// Sends the report. The parent may have been killed meanwhile; that is nobody's problem.
    pub(crate) fn report(mut self, report: &StartReport) {
        let (code, text) = match report {
            StartReport::Ready(text) => (0, text),
            StartReport::Failed(code, text) => (*code, text),
        };
        let mut bytes = vec![code];
        bytes.extend_from_slice(text.as_bytes());
        let _ = self.0.write_all(&bytes);
    }
}

/// Goes on in a background process with a session of its own, in `/`, with its standard
/// descriptors on `/dev/null`. To be called while there is one thread.
#[expect(unsafe_code, reason = "fork has no safe form")]
pub(crate) fn detach() -> io::Result<Detached> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let (reader, writer) = io::pipe()?;
    // SAFETY: no other thread runs yet (the caller's duty: runtime and discovery start later), so
    // the child inherits no lock held by a thread that it does not have.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(Detached::Parent(Readiness(reader))),
        ForkResult::Child => {
            drop(reader);
            setsid()?;
            std::env::set_current_dir("/")?;
            silence(&null)?;
            Ok(Detached::Child(Starter(writer)))
        }
    }
}

/// Puts the three standard descriptors on `null`.
fn silence(null: &File) -> io::Result<()> {
    dup2_stdin(null.as_fd())?;
    dup2_stdout(null.as_fd())?;
    dup2_stderr(null.as_fd())?;
    Ok(())
}

/// Has what is written to standard error go nowhere.
pub(crate) fn silence_stderr() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(dup2_stderr(null.as_fd())?)
}

/// Closes every descriptor but the standard three and `given`, so that a pipe that make waits on does not
/// stay open in a process that lives on. To be called first of all in `main`.
#[expect(unsafe_code, reason = "closes descriptors that no value owns")]
pub(crate) fn close_inherited(given: GivenSockets) {
    let first = given.end();
    // SAFETY: nothing in this process has opened a descriptor yet (the caller's duty), so none
    // that is closed here has an owner.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return;
    }
    // Kernels before 5.9 do not know the call.
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd >= first)
        .collect();
    for fd in open {
        // SAFETY: as above; the descriptor of the listing itself is closed already and its
        // number only yields EBADF.
        unsafe { libc::close(fd) };
    }
}

/// Has the child of `command` told to end when the thread that starts it ends.
#[expect(unsafe_code, reason = "what runs between fork and exec")]
pub(crate) fn ends_with_us(command: &mut Command) {
    // SAFETY: prctl takes and returns plain numbers and may be called between fork and exec.
    unsafe {
        command
            .pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(io::Error::from));
    }
}

/// A process group whose leader this process started and has not reaped yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessGroup(Pid);

impl ProcessGroup {
    /// The group that the child with this id leads; none for a number that is no process id.
    pub(crate) fn led_by(pid: u32) -> Option<Self> {
        // 0 would be our own group and 1 everything.
        i32::try_from(pid).ok().filter(|pid| *pid > 1).map(|pid| Self(Pid::from_raw(pid)))
    }

    /// Lets no file of its leader, and of what that starts from now on, grow beyond `limit` bytes:
    /// whoever writes more is ended by SIGXFSZ.
    #[expect(unsafe_code, reason = "nix does not wrap prlimit")]
    pub(crate) fn limit_files(self, limit: u64) -> io::Result<()> {
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: the kernel only reads `limits`, and is given no place for the old ones.
        let set = unsafe {
            libc::prlimit(self.0.as_raw(), libc::RLIMIT_FSIZE, &raw const limits, ptr::null_mut())
        };
        Errno::result(set).map(drop).map_err(io::Error::from)
    }

    /// Asks every member to end.
    pub(crate) fn terminate(self) {
        self.send(Signal::SIGTERM);
    }

    /// Ends every member.
    pub(crate) fn kill(self) {
        self.send(Signal::SIGKILL);
    }

    fn send(self, signal: Signal) {
        // A group without members is what is wanted; no other failure can be mended.
        let _ = killpg(self.0, signal);
    }
}

/// Adds `increment` to the nice value of this process and all that it starts. Must run before
/// other threads start: on Linux each has its own.
#[expect(unsafe_code, reason = "nix does not wrap nice")]
pub(crate) fn add_nice(increment: i32) -> io::Result<()> {
    Errno::clear();
    // SAFETY: takes and returns plain numbers. -1 may be a valid answer, so errno decides.
    let now = unsafe { libc::nice(increment) };
    if now == -1 && Errno::last_raw() != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// No core dumps of this process and all that it starts.
pub(crate) fn forbid_core_dumps() {
    // Lowering a limit cannot fail, and a core file more would only be litter.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Raises the number of open descriptors to what the administrator allows at most; the number
/// that holds then.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// Files made by this process get exactly the mode that is asked for, less what others may write.
pub(crate) fn set_umask() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;

    #[test]
    fn kills_every_member_of_a_group() {
        let mut leader = Command::new("sh")
            .args(["-c", "sleep 1000 & sleep 1000"])
            .process_group(0)
            .spawn()
            .unwrap();
        let group = ProcessGroup::led_by(leader.id()).unwrap();
        group.kill();
        assert_eq!(leader.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn no_group_stands_for_everything_or_ourselves() {
        for pid in [0, 1, u32::MAX] {
            assert_eq!(ProcessGroup::led_by(pid), None, "{pid}");
        }
    }

    #[test]
    fn a_report_reaches_the_parent_and_silence_is_an_error() {
        for report in
            [StartReport::Ready("serving".into()), StartReport::Failed(102, "port taken".into())]
        {
            let (reader, writer) = io::pipe().unwrap();
            Starter(writer).report(&report);
            assert_eq!(Readiness(reader).wait().unwrap(), report);
        }
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert!(Readiness(reader).wait().is_err());
    }
}
