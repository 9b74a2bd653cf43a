//! How much of the machine is ours.

use std::num::NonZero;
use std::thread;

use nix::unistd::{SysconfVar, sysconf};

/// Cores that this process may keep busy: the scheduler's affinity mask, cut by the CPU quota of
/// its control group (v1 and v2), at least 1. The standard library reads all of these.
pub(crate) fn usable() -> u16 {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    u16::try_from(cores).unwrap_or(u16::MAX)
}

/// Processors of the machine that are online, whoever may use them: what the original counts.
pub(crate) fn online() -> u16 {
    let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    count.and_then(|count| u16::try_from(count).ok()).map_or_else(usable, |count| count.max(1))
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn the_affinity_mask_cuts_what_is_usable_and_not_what_is_there() {
        // Affinity is a thread's own, so that the other tests keep theirs.
        let narrowed = thread::spawn(|| {
            let mut only_one = CpuSet::new();
            let all = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
            let first = (0..CpuSet::count()).find(|cpu| all.is_set(*cpu).unwrap()).unwrap();
            only_one.set(first).unwrap();
            sched_setaffinity(Pid::from_raw(0), &only_one).unwrap();
            (usable(), online())
        });
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        assert_eq!(narrowed.join().unwrap(), (1, u16::try_from(processors).unwrap()));
    }
}
