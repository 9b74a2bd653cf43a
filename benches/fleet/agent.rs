//! The agent as the kernel sees it.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::Host;
use crate::processes::process;

/// For an agent that ends.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether it has.
const POLL: Duration = Duration::from_millis(10);

/// The one of a host.
pub(crate) struct Agent(Pid);

impl Agent {
    /// It must be running.
    pub(crate) fn of(host: &Host) -> io::Result<Self> {
        match host.pids("distccd")[..] {
            [pid] => Ok(Self(pid)),
            ref pids => Err(io::Error::other(format!("{} agents run, not one", pids.len()))),
        }
    }

    /// CPU that it has used so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let gone = || io::Error::other("the agent has ended");
        process(self.0.as_raw().unsigned_abs()).map(|process| process.cpu).ok_or_else(gone)
    }

    /// KiB of memory: `VmRSS`, or `VmHWM` for the most that it ever had.
    pub(crate) fn memory(&self, what: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let value = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
        let value = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("no {what} of the agent")))
    }

    /// Has it leave, as at the end of a day.
    pub(crate) fn end(self) -> io::Result<()> {
        kill(self.0, Signal::SIGTERM)?;
        let deadline = Instant::now() + PATIENCE;
        while fs::exists(format!("/proc/{}", self.0))? {
            if Instant::now() > deadline {
                return Err(io::Error::other("the agent does not end"));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}
