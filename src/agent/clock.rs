//! The agent's time. It goes on while the machine sleeps, as that of every other machine does, and
//! tells when this process has missed a part of it.

use std::time::{Duration, Instant};

use crate::sys::clock;

/// Less than that is no sleep but the time between two looks at clocks.
const SLEPT: Duration = Duration::from_secs(1);
/// A process that is so late was stopped; a busy machine delays it by less.
const LATE: Duration = Duration::from_secs(3);
/// While clients are connected, the agent looks at the clock so often: it may have no other reason
/// to, and connections that a sleep has killed are to be noticed soon after it.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// The clock of the one task that owns the books.
#[derive(Debug)]
pub(super) struct Clock {
    /// How long the machine had slept when last looked at.
    slept: Duration,
    /// When this task wanted to be woken, by the clock that stands still in sleep.
    expected: Option<Instant>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { slept: clock::slept(), expected: None }
    }

    /// The time that has passed, asleep or awake.
    pub(super) fn now(&self) -> Instant {
        Instant::now() + self.slept
    }

    /// When to wake for `deadline`, by the runtime's clock. It is not slept through while somebody
    /// is connected.
    pub(super) fn alarm(&mut self, deadline: Option<Instant>, connected: bool) -> Option<Instant> {
        let now = Instant::now();
        let deadline = deadline.map(|at| at.checked_sub(self.slept).unwrap_or(now));
        let heartbeat = connected.then(|| now + HEARTBEAT);
        self.expected = deadline.into_iter().chain(heartbeat).min();
        self.expected
    }

    /// Looks at the time. True if this process has missed some of it.
    pub(super) fn look(&mut self) -> bool {
        self.look_at(Instant::now(), clock::slept())
    }

    fn look_at(&mut self, now: Instant, slept: Duration) -> bool {
        let stopped = self.expected.is_some_and(|at| now > at + LATE);
        let has_slept = slept > self.slept + SLEPT;
        if has_slept {
            self.slept = slept;
        }
        stopped || has_slept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn time_goes_on_while_the_machine_sleeps() {
        let mut clock = Clock::new();
        let (before, slept) = (clock.now(), clock.slept);
        let in_two_minutes = Some(before + 2 * MINUTE);
        let awake = clock.alarm(in_two_minutes, false).unwrap();
        assert!(!clock.look_at(Instant::now(), slept + SLEPT / 2));
        assert!(clock.look_at(Instant::now(), slept + MINUTE));
        assert!(!clock.look_at(Instant::now(), slept + MINUTE), "told once");
        assert!(clock.now() >= before + MINUTE);
        assert_eq!(clock.alarm(in_two_minutes, false), Some(awake - MINUTE));
    }

    #[test]
    fn a_stopped_process_notices_although_no_deadline_was_set() {
        let mut clock = Clock::new();
        let slept = clock.slept;
        assert_eq!(clock.alarm(None, false), None);
        let alarm = clock.alarm(None, true).unwrap();
        assert!(!clock.look_at(alarm + LATE, slept));
        assert!(clock.look_at(alarm + 2 * LATE, slept));
    }
}
