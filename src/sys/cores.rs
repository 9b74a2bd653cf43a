//! How much of the machine is ours.

use std::num::NonZero;
use std::thread;

/// Cores that this process may keep busy: the scheduler's affinity mask, cut by the CPU quota of
/// its control group (v1 and v2), at least 1. The standard library reads all of these.
pub(crate) fn usable() -> u16 {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    u16::try_from(cores).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn counts_only_the_cores_of_the_affinity_mask() {
        // Affinity is a thread's own, so that the other tests keep theirs.
        let narrowed = thread::spawn(|| {
            let mut only_one = CpuSet::new();
            let all = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
            let first = (0..CpuSet::count()).find(|cpu| all.is_set(*cpu).unwrap()).unwrap();
            only_one.set(first).unwrap();
            sched_setaffinity(Pid::from_raw(0), &only_one).unwrap();
            usable()
        });
        assert_eq!(narrowed.join().unwrap(), 1);
    }
}
