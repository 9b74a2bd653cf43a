//! Jobs that came to nothing at a host which answers: whoever leaves such hosts out for a while
//! learns here since when and why.

use std::time::{Duration, Instant};

/// A host that refused or broke this many jobs in a row is left out, each client says for how long.
const MAX_SETBACKS: u32 = 3;

/// A peer answers, yet job upon job came to nothing there.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    pub(super) since: Instant,
    /// For people: `it refuses jobs`.
    pub(super) reason: String,
}

/// The setbacks of one host since a job ran there.
#[derive(Clone, Debug, Default)]
pub(super) struct Setbacks {
    refusals: u32,
    broken_jobs: u32,
    backoff: Option<Backoff>,
}

impl Setbacks {
    /// It did not take a job, for this reason.
    pub(super) fn refused(&mut self, now: Instant, reason: String) {
        self.refusals += 1;
        if self.refusals >= MAX_SETBACKS {
            self.back_off(now, reason);
        }
    }

    /// It failed in the middle of a job, or of several that one breakdown ended.
    pub(super) fn broke(&mut self, now: Instant, reason: &str) {
        self.broken_jobs += 1;
        if self.broken_jobs >= MAX_SETBACKS {
            self.back_off(now, format!("its jobs failed: {reason}"));
        }
    }

    fn back_off(&mut self, now: Instant, reason: String) {
        self.forgive();
        self.backoff = Some(Backoff { since: now, reason });
    }

    /// A job ran there, or it has been started anew.
    pub(super) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// Why whoever leaves failed hosts out for so long sends nothing there.
    pub(super) fn backoff(&self, now: Instant, period: Duration) -> Option<&Backoff> {
        self.backoff.as_ref().filter(|backoff| backoff.since + period > now)
    }
}
