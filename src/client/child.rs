//! A compiler or preprocessor that runs below us: its end is waited for, and it does not outlive
//! an interrupted client.

use std::io::{self, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use crate::sys::child_end::wait_for_end;
use crate::sys::signals::{self, PassedOn, Target};

/// A child that runs. Dropped before its end it is terminated and waited for.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    target: Target,
    passed_on: Option<PassedOn>,
}

impl Running {
    /// Starts `command`, which shares our standard input and error.
    ///
    /// On a terminal the child stays in our process group: it may read and write there, and the
    /// terminal's own signals reach all of its processes. Elsewhere it is as [`Self::start_apart`].
    pub(super) fn start(command: Command) -> io::Result<Self> {
        let on_terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
        Self::start_in(command, !on_terminal)
    }

    /// Starts `command`, which has nothing to do with a terminal, as the leader of a process group,
    /// so that a signal sent to us alone ends the compiler proper and not only its driver.
    pub(super) fn start_apart(command: Command) -> io::Result<Self> {
        Self::start_in(command, true)
    }

    fn start_in(mut command: Command, own_group: bool) -> io::Result<Self> {
        if own_group {
            command.process_group(0);
        }
        let (child, target, passed_on) = signals::start_passed_on(|| {
            command.spawn().map(|child| {
                let pid = child.id();
                (child, if own_group { Target::Group(pid) } else { Target::Process(pid) })
            })
        })?;
        Ok(Self { child, target, passed_on: Some(passed_on) })
    }

    /// Its end, if that comes within `patience`.
    pub(super) fn wait_for(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        if let Some(status) = self.child.try_wait()? {
            self.passed_on = None;
            return Ok(Some(status));
        }
        wait_for_end(self.child.id(), patience)?;
        let ended = self.child.try_wait()?;
        if ended.is_some() {
            self.passed_on = None;
        }
        Ok(ended)
    }

    /// Waits for the end.
    pub(super) fn wait(mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.passed_on = None;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Taken away by `wait`, which leaves nothing to end.
        if self.passed_on.is_some() {
            let _ = self.target.terminate();
            let _ = self.child.wait();
        }
    }
}

/// The exit code by which a shell reports this status.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_reported_as_a_shell_does() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            exit_code(Running::start(command).unwrap().wait().unwrap())
        };
        assert_eq!(shell("exit 7"), 7);
        assert_eq!(shell("kill -KILL $$"), 137);
    }

    #[test]
    fn a_child_that_nobody_waits_for_is_ended() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let running = Running::start(command).unwrap();
        let pid = nix::unistd::Pid::from_raw(running.child.id().cast_signed());
        drop(running);
        assert!(nix::sys::signal::kill(pid, None).is_err());
    }
}
