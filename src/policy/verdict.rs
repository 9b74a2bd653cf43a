//! May a host be used, for which compiler, and why (not).

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use super::compat::{MatchedCompiler, Unknown, compare};
use super::file::Policy;
use super::networks::Standing;
use super::rule::{Action, Candidate, CandidateAddr, Compilers, Held, Source};
use crate::fingerprint::{Driver, Family, Offered, Toolchain};

/// What the rules say of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// May be used.
    pub(crate) allowed: bool,
    /// What decided, a lowercase fragment.
    pub(crate) reason: String,
    /// The addresses at which it may be used, in the candidate's order; empty if none or unknown.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Number of the rule that decided, from 1; none after the last rule.
    pub(crate) rule: Option<usize>,
    /// It would be allowed if the user trusted the network it was heard on.
    pub(crate) held_back: Option<HeldBack>,
}

/// Why a discovered host gets nothing yet on the network it was heard on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeldBack {
    /// The user has not said that hosts there may be used.
    New {
        /// The network's name.
        network: String,
    },
    /// Which network that is cannot be told yet.
    Unidentified,
    /// That link cannot be told from any other.
    Bare,
}

impl Display for HeldBack {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { network } => write!(
                f,
                "new network {network}: distcc --trust-network lets its hosts compile for you"
            ),
            Self::Unidentified => {
                f.write_str("the network cannot be told yet: its gateway does not answer")
            }
            Self::Bare => f.write_str(
                "the network cannot be told: it has only link-local addresses, as every link",
            ),
        }
    }
}

/// Judges a host by the rules, in order: the first that holds decides. After the last one a
/// discovered host is allowed at its on-link addresses, a listed one always. A discovered host is
/// held back where the user does not trust the network, unless a rule allows it that names one.
///
/// A rule about addresses denies a host that has any such address, and allows it at such addresses
/// only. While `compilers` are not known, a rule that depends on them is taken to turn out well:
/// the verdict then means whether the host may be asked at all.
pub(crate) fn judge_host(
    policy: &Policy,
    candidate: &Candidate,
    compilers: Option<Compilers<'_>>,
) -> Verdict {
    for (idx, rule) in policy.rules.iter().enumerate() {
        let number = idx + 1;
        let (held, undecided) = match rule.held(candidate, compilers) {
            Held::No => continue,
            Held::Unknown if rule.action == Action::Deny => continue,
            // At which addresses is left open; the question is put to all of them.
            Held::Unknown => ((0..candidate.addrs.len()).collect(), true),
            Held::For(held) => (held, false),
        };
        return match (rule.action, undecided) {
            (Action::Deny, _) => denied(format!("denied by rule {number} ({rule})"), Some(number)),
            (Action::Allow, undecided) => {
                let said = if undecided { "not known yet, needed" } else { "allowed" };
                let reason = format!("{said} by rule {number} ({rule})");
                match rule.names_network() {
                    true => allowed(candidate, &held, reason, Some(number)),
                    false => allowed_if_trusted(candidate, &held, reason, Some(number)),
                }
            }
        };
    }
    after_the_last_rule(candidate)
}

fn after_the_last_rule(candidate: &Candidate) -> Verdict {
    if candidate.source == Source::Hosts {
        let all: Vec<usize> = (0..candidate.addrs.len()).collect();
        return allowed(candidate, &all, "listed".to_owned(), None);
    }
    let on_link: Vec<usize> =
        (0..candidate.addrs.len()).filter(|&idx| candidate.addrs[idx].on_link).collect();
    if on_link.is_empty() {
        return denied("not on the network it was heard on".to_owned(), None);
    }
    allowed_if_trusted(candidate, &on_link, "on the network it was heard on".to_owned(), None)
}

fn denied(reason: String, rule: Option<usize>) -> Verdict {
    Verdict { allowed: false, reason, addrs: Vec::new(), rule, held_back: None }
}

/// Allows it at those of the addresses that are on trusted networks.
fn allowed_if_trusted(
    candidate: &Candidate,
    addrs: &[usize],
    reason: String,
    rule: Option<usize>,
) -> Verdict {
    let is_trusted = |idx: &usize| candidate.addrs[*idx].standing == Standing::Trusted;
    let trusted: Vec<usize> = addrs.iter().copied().filter(is_trusted).collect();
    let held_back = addrs.iter().find_map(|&idx| held_back(&candidate.addrs[idx]));
    match held_back {
        Some(held_back) if trusted.is_empty() => {
            Verdict { held_back: Some(held_back.clone()), ..denied(held_back.to_string(), rule) }
        }
        _ => allowed(candidate, &trusted, reason, rule),
    }
}

fn held_back(addr: &CandidateAddr) -> Option<HeldBack> {
    match addr.standing {
        Standing::Trusted => None,
        Standing::New => {
            Some(HeldBack::New { network: addr.networks.first().cloned().unwrap_or_default() })
        }
        Standing::Unidentified => Some(HeldBack::Unidentified),
        Standing::Bare => Some(HeldBack::Bare),
    }
}

fn allowed(candidate: &Candidate, addrs: &[usize], reason: String, rule: Option<usize>) -> Verdict {
    let addrs = addrs.iter().map(|&idx| candidate.addrs[idx].addr).collect();
    Verdict { allowed: true, reason, addrs, rule, held_back: None }
}

/// The compiler of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// What the client would run.
    pub(crate) toolchain: &'a Toolchain,
    /// How it takes `x.c`.
    pub(crate) driver: Driver,
    /// As the job names it, `gcc` or `/usr/bin/gcc`.
    pub(crate) name: &'a str,
}

/// What is known of a host's compilers, and from whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inventory<'a> {
    /// The host said so itself.
    Told(&'a [Offered]),
    /// A stock host, probed for this job's compiler.
    Probed(&'a [Offered]),
    /// A stock host that has not been probed.
    Silent,
}

/// What to do with a host for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It may run the job.
    Use {
        /// The compiler's name to send.
        name: String,
        /// That compiler's index in the inventory; none if the host is used unseen.
        idx: Option<usize>,
        /// Where; empty if a listed host's name is not resolved yet.
        addrs: Vec<SocketAddr>,
        /// What decided.
        reason: String,
    },
    /// It must be probed first.
    Probe {
        /// Where; empty if a listed host's name is not resolved yet.
        addrs: Vec<SocketAddr>,
        /// Why it may be.
        reason: String,
    },
    /// It may not run the job.
    Refuse {
        /// Index of the compiler that came nearest, if any is of the family.
        idx: Option<usize>,
        /// What decided.
        reason: String,
    },
}

/// Judges a host for a job: rules, then the toolchain match.
pub(crate) fn judge(
    policy: &Policy,
    candidate: &Candidate,
    inventory: Inventory<'_>,
    job: Job<'_>,
) -> Judgement {
    let unknown = policy.matching.unknown;
    // As the original does: whoever lists a host answers for programs that we do not know. A host
    // that tells its names and not this one would only turn the job away.
    let is_other = matches!(job.toolchain.family, Family::Other(_));
    if is_other && candidate.source == Source::Hosts && !lacks(inventory, base_name(job)) {
        return unseen(policy, candidate, job, "listed, and nothing is known of this compiler");
    }
    match inventory {
        Inventory::Silent | Inventory::Probed(_) if unknown == Unknown::Deny => {
            match judge_host(policy, candidate, None) {
                Verdict { allowed: false, reason, .. } => Judgement::Refuse { idx: None, reason },
                _ => {
                    let reason = "does not say its toolchain (unknown=deny)".to_owned();
                    Judgement::Refuse { idx: None, reason }
                }
            }
        }
        Inventory::Silent if unknown == Unknown::Allow => {
            unseen(policy, candidate, job, "toolchain there unknown (unknown=allow)")
        }
        Inventory::Silent => match judge_host(policy, candidate, None) {
            Verdict { allowed: false, reason, .. } => Judgement::Refuse { idx: None, reason },
            Verdict { addrs, reason, .. } => Judgement::Probe { addrs, reason },
        },
        Inventory::Told(offered) | Inventory::Probed(offered) => {
            matched(policy, candidate, offered, job)
        }
    }
}

/// Does the host say that it has no compiler of this name?
fn lacks(inventory: Inventory<'_>, name: &str) -> bool {
    match inventory {
        Inventory::Told(offered) => {
            !offered.iter().any(|offer| offer.names.iter().any(|n| n == name))
        }
        Inventory::Probed(_) | Inventory::Silent => false,
    }
}

/// Uses a host of whose compilers nothing is known; rules that ask for them do not hold.
fn unseen(policy: &Policy, candidate: &Candidate, job: Job<'_>, why: &str) -> Judgement {
    let nothing = Compilers { offered: &[], matched: None };
    let verdict = judge_host(policy, candidate, Some(nothing));
    if !verdict.allowed {
        return Judgement::Refuse { idx: None, reason: verdict.reason };
    }
    Judgement::Use {
        name: base_name(job).to_owned(),
        idx: None,
        reason: with_rule(why.to_owned(), &verdict),
        addrs: verdict.addrs,
    }
}

fn matched(policy: &Policy, candidate: &Candidate, offered: &[Offered], job: Job<'_>) -> Judgement {
    let found = compare(job.toolchain, job.driver, offered, job.name, &policy.matching);
    let matched = found.as_ref().ok().map(|compiler| compiler.idx);
    let verdict = judge_host(policy, candidate, Some(Compilers { offered, matched }));
    match found {
        // What the user ordered comes before what would have decided otherwise.
        Ok(MatchedCompiler { idx, .. }) if !verdict.allowed => {
            Judgement::Refuse { idx: Some(idx), reason: verdict.reason }
        }
        Err(difference) if !verdict.allowed => {
            Judgement::Refuse { idx: difference.idx, reason: verdict.reason }
        }
        Err(difference) => {
            Judgement::Refuse { idx: difference.idx, reason: difference.to_string() }
        }
        Ok(compiler) => Judgement::Use {
            reason: with_rule(compiler.to_string(), &verdict),
            name: compiler.name,
            idx: Some(compiler.idx),
            addrs: verdict.addrs,
        },
    }
}

/// Adds the rule that allowed the host, if it was one.
fn with_rule(reason: String, verdict: &Verdict) -> String {
    match verdict.rule {
        Some(_) => format!("{reason}, {}", verdict.reason),
        None => reason,
    }
}

/// The file name of the job's compiler.
fn base_name(job: Job<'_>) -> &str {
    job.name.rsplit('/').next().unwrap_or(job.name)
}

#[cfg(test)]
mod tests;
