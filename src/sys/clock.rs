//! What the monotonic clock does not count.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// For how long this machine has been suspended since it was started.
pub(crate) fn slept() -> Duration {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    // In this order the difference is never below the truth.
    let awake = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(awake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_grow_while_awake() {
        let before = slept();
        let grown = slept().saturating_sub(before);
        assert!(grown < Duration::from_secs(1), "{grown:?}");
    }
}
