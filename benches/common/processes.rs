//! What processes have used.

use std::fs;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// A living process.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// Its own, ended threads included, to the nanosecond; and that of the children it has waited
    /// for, in the steps of `/proc/PID/stat`.
    pub(crate) cpu: Duration,
}

/// All of this machine.
pub(crate) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The one with this id, if it lives.
pub(crate) fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; after the last one come state and parent, and as
    // 16th and 17th of all fields user and system time of the children.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let ticks: u64 = fields.get(13..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let own = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok()?.now().ok()?;
    let cpu = Duration::from(own) + Duration::from_millis(ticks * 1000 / per_second);
    Some(Process { pid, parent: fields.get(1)?.parse().ok()?, cpu })
}

/// CPU of a process and all its living descendants.
pub(crate) fn tree_cpu(processes: &[Process], root: u32) -> Duration {
    let own: Duration =
        processes.iter().filter(|process| process.pid == root).map(|process| process.cpu).sum();
    let children = processes.iter().filter(|process| process.parent == root);
    own + children.map(|child| tree_cpu(processes, child.pid)).sum::<Duration>()
}
