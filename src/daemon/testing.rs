//! What several tests of the daemon need.

use std::fs;
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Yields to other tasks until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "still waiting: {what}");
        tokio::task::yield_now().await;
    }
}

/// Waits until no member of the process group is alive; zombies that init has yet to reap are
/// dead.
pub(crate) async fn group_dies(leader: u32) {
    until("every member of the group ends", || living_members(leader) == 0).await;
}

fn living_members(group: u32) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let is_living_member = |stat: &str| {
        // pid (name) state parent group ...; the name may hold anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else { return false };
        let fields: Vec<&str> = rest.split(' ').take(3).collect();
        matches!(fields[..], [state, _, of] if !"ZX".contains(state) && of == group.to_string())
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| is_living_member(stat))
        .count()
}
