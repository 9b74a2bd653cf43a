//! What the compiler names of one stock peer stand for. Such a peer does not say when it starts, or
//! that a compiler was replaced: what a probe job showed holds for a while only.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::remembered::{MAX_NAMES, RememberedName};
use crate::fingerprint::Toolchain;

/// A peer that nobody heard of for so long may have become another machine.
const UNPROVEN_AFTER: Duration = Duration::from_secs(60);
/// What a probe job showed is certain for so long: enough for a compiler to be replaced, but then
/// not for a job to reach it that nobody could check.
const CERTAIN_FOR: Duration = Duration::from_secs(60);
/// What is to stay certain is confirmed this long after the last time.
const CONFIRM_CERTAIN_AFTER: Duration = Duration::from_secs(30);
/// A peer without the right compiler is asked again, for it may have got it, at most this often.
const RECONSIDER_AFTER: Duration = Duration::from_secs(600);
/// A peer that closed on every name is asked again after this.
const REFUSAL_HOLDS: Duration = Duration::from_secs(30);
/// A probe job that came to nothing is not repeated sooner.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// What was found out longer ago is not used again.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This compiler.
    For(Box<Toolchain>),
    /// The peer closes on it: it has no such name, or refuses us.
    Nothing,
}

/// What a job needs to know of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Need {
    /// The object will show which compiler made it.
    Checked,
    /// Nothing in the result can be checked.
    Certain,
    /// There is no job: somebody wants to see what is true.
    Shown,
}

/// What is known of a name for such a job.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    /// This.
    Meaning(&'a Meaning),
    /// A probe job is under way.
    Asking,
    /// Too little.
    No,
    /// Too little, and the peer was too busy to answer a probe job.
    Late,
}

/// The names of one peer.
#[derive(Clone, Debug, Default)]
pub(super) struct StockNames {
    names: HashMap<String, Name>,
    /// When it last closed on a name.
    refused_at: Option<Instant>,
    /// When it last was known to be there: it ran a job or a probe.
    proven_at: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Name {
    learned: Option<Learned>,
    asking: Asking,
    /// The last probe job came to nothing then.
    failed_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Learned {
    meaning: Meaning,
    /// When it was learned here.
    at: Instant,
    /// How old it was then: something that an earlier agent found out.
    age: Option<Duration>,
}

/// Is a probe job under way?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asking {
    #[default]
    No,
    Yes,
    /// Yes, but the peer may have become another one since: its answer does not count.
    InVain,
}

impl Name {
    fn has_just_failed(&self, now: Instant) -> bool {
        self.failed_at.is_some_and(|at| now < at + TRY_AGAIN_AFTER)
    }
}

impl Learned {
    fn is_confirmed_within(&self, time: Duration, now: Instant) -> bool {
        self.age.is_none() && now < self.at + time
    }

    fn learned_at(&self, now: Instant, wall: SystemTime) -> Option<SystemTime> {
        let age = now.saturating_duration_since(self.at) + self.age.unwrap_or_default();
        wall.checked_sub(age).filter(|_| age <= MAX_AGE)
    }
}

impl StockNames {
    /// What is known of `name` for a job with this need.
    pub(super) fn get(&self, now: Instant, name: &str, need: Need) -> Known<'_> {
        let Some(known) = self.names.get(name) else { return Known::No };
        let fresh = |learned: &Learned| learned.is_confirmed_within(CERTAIN_FOR, now);
        let late = known.has_just_failed(now);
        let enough = |learned: &&Learned| match (need, &learned.meaning) {
            (Need::Checked, _) | (_, Meaning::Nothing) => true,
            (Need::Certain, Meaning::For(_)) => fresh(learned),
            (Need::Shown, Meaning::For(_)) => fresh(learned) || late,
        };
        match known.learned.as_ref().filter(enough) {
            Some(learned) => Known::Meaning(&learned.meaning),
            None if known.asking != Asking::No => Known::Asking,
            None if late => Known::Late,
            None => Known::No,
        }
    }

    /// Should a name that is used for such jobs be confirmed meanwhile?
    pub(super) fn is_due_in_use(&self, now: Instant, name: &str, need: Need) -> bool {
        let proven = self.proven_at.is_some_and(|at| now < at + UNPROVEN_AFTER);
        self.names.get(name).and_then(|known| known.learned.as_ref()).is_some_and(|learned| {
            learned.age.is_some()
                || !proven
                || need == Need::Certain && !learned.is_confirmed_within(CONFIRM_CERTAIN_AFTER, now)
        })
    }

    /// Should a name for which the peer is left out be looked at again?
    pub(super) fn is_due_unused(&self, now: Instant, name: &str) -> bool {
        let learned = self.names.get(name).and_then(|known| known.learned.as_ref());
        learned.is_some_and(|learned| !learned.is_confirmed_within(RECONSIDER_AFTER, now))
    }

    /// A probe job for this name is wanted. True if it is to be sent now.
    pub(super) fn ask(&mut self, now: Instant, name: &str) -> bool {
        let known = self.names.entry(name.to_owned()).or_default();
        if known.asking != Asking::No || known.has_just_failed(now) {
            return false;
        }
        known.asking = Asking::Yes;
        true
    }

    /// A probe job has shown what the name stands for. False if that does not count, for the peer
    /// may have become another one meanwhile.
    pub(super) fn answered(&mut self, now: Instant, name: &str, meaning: Meaning) -> bool {
        let known = self.names.entry(name.to_owned()).or_default();
        if known.asking == Asking::InVain {
            self.names.remove(name);
            return false;
        }
        if meaning == Meaning::Nothing {
            self.refused_at = Some(now);
        }
        *known = Name { learned: Some(Learned { meaning, at: now, age: None }), ..Name::default() };
        self.proven_at = Some(now);
        true
    }

    /// A probe job came to nothing, though the peer took it. What was known stays so; false if
    /// nothing was.
    pub(super) fn not_answered(&mut self, now: Instant, name: &str) -> bool {
        let known = self.names.remove(name);
        let Some(learned) = known.and_then(|known| known.learned) else { return false };
        let known = Name { learned: Some(learned), asking: Asking::No, failed_at: Some(now) };
        self.names.insert(name.to_owned(), known);
        true
    }

    /// The peer could not be asked about this name, which ends the probe job under way.
    pub(super) fn not_reached(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// The peer ran a job: it is still there.
    pub(super) fn prove(&mut self, now: Instant) {
        self.proven_at = Some(now);
    }

    /// The peer may have lost this name since it was asked.
    pub(super) fn forget(&mut self, name: &str) {
        self.retain(|known| known != name);
    }

    /// It may have become another machine: nothing that was known of it counts any more.
    pub(super) fn forget_all(&mut self) {
        self.retain(|_| false);
        self.refused_at = None;
        self.proven_at = None;
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.names.retain(|name, known| {
            if keep(name) {
                return true;
            }
            let under_way = known.asking != Asking::No;
            *known = Name { asking: Asking::InVain, ..Name::default() };
            under_way
        });
    }

    /// It closed on every name, some time ago: it may refuse this machine no longer, or have got
    /// a compiler since.
    pub(super) fn may_have_changed_its_mind(&self, now: Instant) -> bool {
        let is_due = self.refused_at.is_some_and(|at| now >= at + REFUSAL_HOLDS);
        let nothing = |known: &Name| match &known.learned {
            Some(learned) => learned.meaning == Meaning::Nothing,
            None => false,
        };
        is_due && self.names.values().all(nothing)
    }

    /// What is worth keeping for the next agent, the latest first. That a name is missing is not: a
    /// probe finds that out as fast as a job would.
    pub(super) fn worth_remembering(&self, now: Instant, wall: SystemTime) -> Vec<RememberedName> {
        let mut remembered: Vec<RememberedName> = self
            .names
            .iter()
            .filter_map(|(name, known)| {
                let learned = known.learned.as_ref()?;
                let Meaning::For(toolchain) = &learned.meaning else { return None };
                let at = learned.learned_at(now, wall)?.duration_since(UNIX_EPOCH).ok()?;
                let (name, toolchain) = (name.clone(), toolchain.as_ref().into());
                Some(RememberedName { name, toolchain, learned: at.as_secs() })
            })
            .collect();
        remembered.sort_by(|a, b| (b.learned, &a.name).cmp(&(a.learned, &b.name)));
        remembered.truncate(MAX_NAMES);
        remembered
    }

    /// Takes in what an earlier agent found out, unless it is too old or better is known.
    pub(super) fn recollect(&mut self, now: Instant, wall: SystemTime, names: &[RememberedName]) {
        for remembered in names {
            let learned_at = UNIX_EPOCH + Duration::from_secs(remembered.learned);
            // One from the future is of a clock that was wrong then or is now.
            let Ok(age) = wall.duration_since(learned_at) else { continue };
            if age > MAX_AGE {
                continue;
            }
            let toolchain = Toolchain::from(remembered.toolchain.clone());
            let meaning = Meaning::For(Box::new(toolchain));
            let learned = Learned { meaning, at: now, age: Some(age) };
            let known = self.names.entry(remembered.name.clone()).or_default();
            known.learned.get_or_insert(learned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Family;

    const SECOND: Duration = Duration::from_secs(1);

    fn gcc(version: &str) -> Meaning {
        Meaning::For(Box::new(Toolchain {
            family: Family::Gcc,
            version: version.to_owned(),
            target: "x86_64-linux-gnu".to_owned(),
            assembler: None,
            distributor: String::new(),
            revision: String::new(),
            configure: Vec::new(),
            digest: [0; 16],
            ident: String::new(),
        }))
    }

    /// Probed just now: `gcc` is 12.2.0, and there is no `gcc-12`.
    fn probed(now: Instant) -> StockNames {
        let mut names = StockNames::default();
        for (name, meaning) in [("gcc", gcc("12.2.0")), ("gcc-12", Meaning::Nothing)] {
            assert_eq!(names.get(now, name, Need::Checked), Known::No);
            assert!(names.ask(now, name) && !names.ask(now, name));
            assert_eq!(names.get(now, name, Need::Checked), Known::Asking);
            assert!(names.answered(now, name, meaning));
        }
        names
    }

    #[test]
    fn a_job_that_cannot_be_checked_needs_a_fresh_answer() {
        let now = Instant::now();
        let mut names = probed(now);
        let gcc_12 = gcc("12.2.0");
        assert_eq!(names.get(now, "gcc", Need::Certain), Known::Meaning(&gcc_12));
        assert!(!names.is_due_in_use(now, "gcc", Need::Certain));
        // Under way again in good time, so that such jobs go on without a pause.
        let later = now + 31 * SECOND;
        assert!(names.is_due_in_use(later, "gcc", Need::Certain));
        assert!(!names.is_due_in_use(later, "gcc", Need::Checked));
        assert_eq!(names.get(later, "gcc", Need::Certain), Known::Meaning(&gcc_12));
        let late = now + 61 * SECOND;
        assert_eq!(names.get(late, "gcc", Need::Certain), Known::No);
        assert_eq!(names.get(late, "gcc", Need::Checked), Known::Meaning(&gcc_12));
        assert!(names.ask(late, "gcc"));
        assert_eq!(names.get(late, "gcc", Need::Certain), Known::Asking);
        assert!(names.answered(late, "gcc", gcc("12.2.0")));
        assert_eq!(names.get(late, "gcc", Need::Certain), Known::Meaning(&gcc_12));
    }

    #[test]
    fn a_peer_that_ran_nothing_for_a_minute_is_looked_at_again() {
        let now = Instant::now();
        let mut names = probed(now);
        names.prove(now + 50 * SECOND);
        assert!(!names.is_due_in_use(now + 100 * SECOND, "gcc", Need::Checked));
        assert!(names.is_due_in_use(now + 111 * SECOND, "gcc", Need::Checked));
        assert!(!names.is_due_unused(now + 599 * SECOND, "gcc-12"));
        assert!(names.is_due_unused(now + 600 * SECOND, "gcc-12"));
    }

    #[test]
    fn an_answer_from_before_a_restart_does_not_count() {
        let now = Instant::now();
        let mut names = probed(now);
        assert!(names.ask(now, "gcc"));
        names.forget_all();
        assert_eq!(names.get(now, "gcc", Need::Checked), Known::Asking);
        assert_eq!(names.get(now, "gcc-12", Need::Checked), Known::No);
        assert!(!names.answered(now, "gcc", gcc("12.2.0")));
        assert_eq!(names.get(now, "gcc", Need::Checked), Known::No);
        assert!(names.ask(now, "gcc") && names.answered(now, "gcc", gcc("11.3.0")));
        assert_eq!(names.get(now, "gcc", Need::Checked), Known::Meaning(&gcc("11.3.0")));
    }

    #[test]
    fn a_busy_peer_keeps_what_is_known_of_it_and_is_not_asked_at_once_again() {
        let now = Instant::now();
        let mut names = probed(now);
        assert!(names.ask(now, "gcc") && names.not_answered(now, "gcc"));
        assert_eq!(names.get(now, "gcc", Need::Checked), Known::Meaning(&gcc("12.2.0")));
        assert!(!names.ask(now + 29 * SECOND, "gcc"));
        let mut busy = probed(now);
        let late = now + 61 * SECOND;
        assert!(busy.ask(late, "gcc") && busy.not_answered(late, "gcc"));
        assert_eq!(busy.get(late, "gcc", Need::Certain), Known::Late);
        assert_eq!(busy.get(late, "gcc", Need::Shown), Known::Meaning(&gcc("12.2.0")));
        assert_eq!(busy.get(late + 30 * SECOND, "gcc", Need::Certain), Known::No);
        assert!(names.ask(now + 30 * SECOND, "gcc"));
        assert!(names.ask(now, "cc") && !names.not_answered(now, "cc"));
        assert_eq!(names.get(now, "cc", Need::Checked), Known::No);
    }

    #[test]
    fn what_an_earlier_agent_found_out_holds_for_jobs_that_are_checked_and_for_a_week() {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let kept = probed(now).worth_remembering(now, wall);
        assert_eq!(kept.iter().map(|kept| &*kept.name).collect::<Vec<_>>(), ["gcc"]);
        let after = |days: u64| {
            let mut names = StockNames::default();
            names.recollect(now, wall + Duration::from_secs(days * 24 * 60 * 60), &kept);
            names
        };
        let mut names = after(6);
        assert_eq!(names.get(now, "gcc", Need::Checked), Known::Meaning(&gcc("12.2.0")));
        assert_eq!(names.get(now, "gcc", Need::Certain), Known::No);
        assert!(names.is_due_in_use(now, "gcc", Need::Checked));
        assert!(names.ask(now, "gcc") && names.answered(now, "gcc", gcc("11.3.0")));
        assert_eq!(names.get(now, "gcc", Need::Certain), Known::Meaning(&gcc("11.3.0")));
        assert!(!names.is_due_in_use(now, "gcc", Need::Checked));

        let two_days = Duration::from_secs(2 * 24 * 60 * 60);
        let kept_again = after(6).worth_remembering(now, wall + two_days * 3);
        assert_eq!(kept_again, kept, "it does not become younger by being kept");
        assert_eq!(after(8).get(now, "gcc", Need::Checked), Known::No);
        let mut names = StockNames::default();
        names.recollect(now, wall - two_days, &kept);
        assert_eq!(names.get(now, "gcc", Need::Checked), Known::No, "from the future");
    }
}
