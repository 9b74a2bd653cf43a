//! What runs on this machine, read from `/proc`.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One process, as its `stat` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) name: String,
    state: char,
    parent: i32,
    /// Processor time that it had, its own.
    cpu_ticks: u64,
    /// Tells it from a later one of the same number.
    begun: u64,
}

impl Process {
    /// The one with this number, a zombie included.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let name = before.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = after.split(' ').collect();
        Some(Self {
            pid,
            name,
            state: fields[0].chars().next()?,
            parent: fields[1].parse().ok()?,
            cpu_ticks: fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?,
            begun: fields[19].parse().ok()?,
        })
    }

    /// Is it this very process that has this number, and does it still run?
    pub(crate) fn lives(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.begun == self.begun && !now.is_zombie())
    }

    pub(crate) fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Ends it if it is still the same.
    pub(crate) fn kill(&self) {
        if self.lives() {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }

    pub(crate) fn cpu_ticks(&self) -> u64 {
        self.cpu_ticks
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    }
}

/// A process and all that descend from it.
pub(crate) fn tree(root: i32) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().parse();
        if let Some(process) = pid.ok().and_then(Process::of) {
            children.entry(process.parent).or_default().push(process);
        }
    }
    let mut found: Vec<Process> = Process::of(root).into_iter().collect();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(&process.pid).unwrap_or_default());
        next += 1;
    }
    found
}
