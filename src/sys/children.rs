//! Children of this process that it did not start: what a compiler leaves behind when it puts
//! processes into the background. With [`adopt_orphans`] they become ours instead of init's, so
//! that they can be found, ended and reaped.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgid};

/// Between two looks at children that were killed and have not ended yet.
const PAUSE: Duration = Duration::from_millis(1);

/// Do orphans become ours? Without this nothing here ends anything.
static ADOPTING: AtomicBool = AtomicBool::new(false);
/// Held for reading from a child's fork until it is known, so that none is taken for a stray in
/// between.
static STARTING: RwLock<()> = RwLock::new(());
/// Children that were started on purpose. A number may stand for two for a moment: the kernel
/// gives it to a new child as soon as the old one is reaped.
static KNOWN: Mutex<BTreeMap<i32, u32>> = Mutex::new(BTreeMap::new());
/// Children that are never ended from here: those that this process had at its start, the guard.
static KEPT: Mutex<Vec<i32>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, BTreeMap<i32, u32>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kept() -> MutexGuard<'static, Vec<i32>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on orphaned descendants become children of this process. Those children that it has
/// already, such as a shell's that became this program, are left alone.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    set_child_subreaper(true)?;
    kept().extend(children());
    ADOPTING.store(true, Ordering::SeqCst);
    Ok(())
}

/// A child that was started on purpose; to be dropped when it has been reaped.
#[derive(Debug)]
pub(crate) struct Started(Option<i32>);

impl Drop for Started {
    fn drop(&mut self) {
        let Some(pid) = self.0 else { return };
        let mut known = known();
        if let Some(n) = known.get_mut(&pid) {
            *n -= 1;
            if *n == 0 {
                known.remove(&pid);
            }
        }
    }
}

/// Starts a child, which is known from its first moment on.
pub(crate) fn start<C>(
    spawn: impl FnOnce() -> io::Result<C>,
    id: impl FnOnce(&C) -> Option<u32>,
) -> io::Result<(C, Started)> {
    let _turn = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    let child = spawn()?;
    let pid = id(&child).and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        *known().entry(pid).or_default() += 1;
    }
    Ok((child, Started(pid)))
}

/// Never ends this child.
pub(super) fn keep(child: Pid) {
    kept().push(child.as_raw());
}

/// Kills and reaps the children that nobody here started, unless they belong to the group of one
/// that runs. Are none left? To be called again if some are: a killed process takes a moment to
/// end, and its own children become ours only then.
pub(crate) fn end_strays() -> bool {
    if !ADOPTING.load(Ordering::SeqCst) || strays().is_empty() {
        return true;
    }
    // Among them may have been one that was just being started; none is being started now.
    let _nobody_starts = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    strays().into_iter().for_each(end);
    strays().is_empty()
}

/// Kills and reaps all children, as the last thing that a daemon does. One that the kernel does
/// not let go within `patience` is left.
pub(crate) fn end_all(patience: Duration) {
    if !ADOPTING.load(Ordering::SeqCst) {
        return;
    }
    let begun = Instant::now();
    loop {
        let kept = kept().clone();
        let left: Vec<i32> = children().into_iter().filter(|pid| !kept.contains(pid)).collect();
        if left.is_empty() || begun.elapsed() >= patience {
            return;
        }
        left.into_iter().for_each(end);
        thread::sleep(PAUSE);
    }
}

fn strays() -> Vec<i32> {
    let mut found = children();
    if found.is_empty() {
        return found;
    }
    let (known, kept) = (known(), kept());
    found.retain(|pid| {
        let group = getpgid(Some(Pid::from_raw(*pid))).map_or(*pid, Pid::as_raw);
        ![*pid, group].iter().any(|id| known.contains_key(id) || kept.contains(id))
    });
    found
}

fn end(child: i32) {
    let child = Pid::from_raw(child);
    // Both fail only for one that has been reaped already.
    let _ = kill(child, Signal::SIGKILL);
    let _ = waitpid(child, Some(WaitPidFlag::WNOHANG));
}

/// All children of this process, dead ones that have not been reaped included.
fn children() -> Vec<i32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => children.extend(list.split(' ').filter_map(|pid| pid.parse::<i32>().ok())),
            // The thread has ended, or this kernel was built without such lists.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return children_by_parent(),
        }
    }
    children
}

fn children_by_parent() -> Vec<i32> {
    let us = Pid::this().as_raw();
    super::process_table::all()
        .filter(|process| process.parent == us)
        .map(|process| process.pid)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn children_are_found_either_way() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        assert!(children().contains(&pid));
        assert!(children_by_parent().contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children().contains(&pid));
    }

    #[test]
    fn a_number_that_two_have_in_turn_stays_known() {
        let start = || start(|| Ok(()), |()| Some(4_000_000)).unwrap().1;
        let (first, second) = (start(), start());
        drop(first);
        assert!(known().contains_key(&4_000_000));
        drop(second);
        assert!(!known().contains_key(&4_000_000));
    }
}
