//! One `[[rule]]` of a policy: what it asks of a host, and whether it holds.
//!
//! Several keys in a rule must all hold. `net`, `interface` and `network` must hold for one and the
//! same address of the host. `gcc`, `clang`, `binutils` and `target` ask for a compiler: the one that
//! the job would run there if it is of the family named, else any that the host offers; `binutils`
//! is the assembler which that compiler uses, so it never holds for a clang with its own.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use glob::{MatchOptions, Pattern};
use ipnet::IpNet;

use super::networks::Standing;
use super::target::normalised;
use super::version::Requirement;
use crate::base::node::NodeId;
use crate::fingerprint::{Family, Offered};

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The host may be used.
    Allow,
    /// It may not.
    Deny,
}

/// Where a host is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Discovered.
    Zeroconf,
    /// Listed by the user.
    Hosts,
}

impl Source {
    /// The words of a policy file.
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("zeroconf", Self::Zeroconf), ("hosts", Self::Hosts)];
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zeroconf => "zeroconf",
            Self::Hosts => "hosts",
        })
    }
}

/// A host that a policy is to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Name as advertised or listed.
    pub(crate) host: String,
    /// Node id, if it is known.
    pub(crate) id: Option<NodeId>,
    /// Where it is known from.
    pub(crate) source: Source,
    /// Its addresses, the best first; none if its name is not resolved yet.
    pub(crate) addrs: Vec<CandidateAddr>,
}

/// An address of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CandidateAddr {
    /// Address and port.
    pub(crate) addr: SocketAddr,
    /// The interface it was heard on; empty for a listed host.
    pub(crate) interface: String,
    /// True if it lies in a prefix of that interface.
    pub(crate) on_link: bool,
    /// Names of the network it was heard on, the usual one first, as [`Test::Network`] asks for
    /// them; for a listed host, of every network that this machine is on.
    pub(crate) networks: Vec<String>,
    /// How the user stands to that network; listed hosts are trusted everywhere.
    pub(crate) standing: Standing,
}

/// What is known of a candidate's compilers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compilers<'a> {
    /// All that it offers.
    pub(crate) offered: &'a [Offered],
    /// Index of the one that the job in question would run, if any will do.
    pub(crate) matched: Option<usize>,
}

/// A rule that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What it does.
    pub(crate) action: Action,
    /// All of these must hold; none at all always do.
    pub(crate) conditions: Vec<Condition>,
}

/// One key of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The key, as written.
    pub(crate) key: &'static str,
    /// Its value, as written.
    pub(crate) text: String,
    /// What it asks.
    pub(crate) test: Test,
}

/// What a key of a rule asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// The host's name, with or without `.local`.
    Host(Pattern),
    /// An address in this network.
    Net(IpNet),
    /// The interface it was heard on.
    Interface(Pattern),
    /// A compiler for this target.
    Target(TargetPattern),
    /// A gcc of this version.
    Gcc(Requirement),
    /// A clang of this version.
    Clang(Requirement),
    /// A compiler with an assembler of this version.
    Binutils(Requirement),
    /// This node.
    Id(NodeId),
    /// Discovered or listed.
    Source(Source),
    /// An address on the network of this name.
    Network(Pattern),
}

/// A target without its vendor word, or a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetPattern(pub(crate) Pattern);

impl TargetPattern {
    fn holds(&self, target: &str) -> bool {
        self.0.matches_with(&normalised(target), NO_CASE) || self.0.matches_with(target, NO_CASE)
    }
}

/// Names of hosts are the same in either case.
const NO_CASE: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

/// Does a rule hold for a host?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It does not.
    No,
    /// It depends on the host's compilers, which are not known.
    Unknown,
    /// It does, for these addresses (indices); all of them unless a key asks for an address.
    For(Vec<usize>),
}

impl Rule {
    /// Does it say on which network it holds?
    pub(crate) fn names_network(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition.test, Test::Network(_)))
    }

    /// Does it hold? `compilers` is none while nobody has asked the host yet.
    pub(crate) fn held(&self, candidate: &Candidate, compilers: Option<Compilers<'_>>) -> Held {
        let tests = || self.conditions.iter().map(|condition| &condition.test);
        if !tests().all(|test| holds_for_host(test, candidate)) {
            return Held::No;
        }
        let addrs: Vec<usize> = (0..candidate.addrs.len())
            .filter(|&idx| tests().all(|test| holds_for_addr(test, &candidate.addrs[idx])))
            .collect();
        let asks_for_addr = tests()
            .any(|test| matches!(test, Test::Net(_) | Test::Interface(_) | Test::Network(_)));
        if asks_for_addr && addrs.is_empty() {
            return Held::No;
        }
        let wanted = WantedCompiler::of(tests());
        match compilers {
            _ if wanted.is_nothing() => Held::For(addrs),
            None => Held::Unknown,
            Some(compilers) if wanted.is_among(compilers) => Held::For(addrs),
            Some(_) => Held::No,
        }
    }
}

impl Display for Rule {
    /// `host=laptop-*, net=10.0.0.0/8`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.conditions.is_empty() {
            return f.write_str("every host");
        }
        for (idx, condition) in self.conditions.iter().enumerate() {
            let separator = if idx == 0 { "" } else { ", " };
            write!(f, "{separator}{}={}", condition.key, condition.text)?;
        }
        Ok(())
    }
}

/// True for tests that ask for something else than the host itself.
fn holds_for_host(test: &Test, candidate: &Candidate) -> bool {
    match test {
        Test::Host(pattern) => {
            names_of(&candidate.host).any(|name| pattern.matches_with(&name, NO_CASE))
        }
        Test::Id(id) => candidate.id == Some(*id),
        Test::Source(source) => candidate.source == *source,
        Test::Net(_)
        | Test::Interface(_)
        | Test::Network(_)
        | Test::Target(_)
        | Test::Gcc(_)
        | Test::Clang(_)
        | Test::Binutils(_) => true,
    }
}

/// True for tests that do not ask for an address.
fn holds_for_addr(test: &Test, addr: &CandidateAddr) -> bool {
    match test {
        Test::Net(net) => net.contains(&addr.addr.ip().to_canonical()),
        Test::Interface(pattern) => pattern.matches(&addr.interface),
        Test::Network(pattern) => {
            addr.networks.iter().any(|name| pattern.matches_with(name, NO_CASE))
        }
        _ => true,
    }
}

/// The names that `host` may be meant by: `box.local.`, `box.local`, `box`. A bare name gets its
/// `.local` too: hosts are discovered by either, and a rule must hold for both.
fn names_of(host: &str) -> impl Iterator<Item = Cow<'_, str>> {
    const LOCAL: &str = ".local";
    let undotted = host.strip_suffix('.').unwrap_or(host);
    let suffix_at = undotted.len().checked_sub(LOCAL.len());
    let bare = suffix_at
        .and_then(|at| undotted.split_at_checked(at))
        .filter(|(_, suffix)| suffix.eq_ignore_ascii_case(LOCAL))
        .map(|(bare, _)| bare);
    let local = (!undotted.contains(['.', ':'])).then(|| format!("{undotted}{LOCAL}"));
    let written = [Some(host), Some(undotted), bare].into_iter().flatten().map(Cow::Borrowed);
    written.chain(local.map(Cow::Owned))
}

/// What a rule asks of a compiler.
#[derive(Default)]
struct WantedCompiler<'a> {
    gcc: Option<&'a Requirement>,
    clang: Option<&'a Requirement>,
    binutils: Option<&'a Requirement>,
    target: Option<&'a TargetPattern>,
}

impl<'a> WantedCompiler<'a> {
    fn of(tests: impl Iterator<Item = &'a Test>) -> Self {
        let mut wanted = Self::default();
        for test in tests {
            match test {
                Test::Gcc(requirement) => wanted.gcc = Some(requirement),
                Test::Clang(requirement) => wanted.clang = Some(requirement),
                Test::Binutils(requirement) => wanted.binutils = Some(requirement),
                Test::Target(pattern) => wanted.target = Some(pattern),
                Test::Host(_)
                | Test::Net(_)
                | Test::Interface(_)
                | Test::Id(_)
                | Test::Source(_)
                | Test::Network(_) => {}
            }
        }
        wanted
    }

    fn is_nothing(&self) -> bool {
        self.families().next().is_none() && self.binutils.is_none() && self.target.is_none()
    }

    fn families(&self) -> impl Iterator<Item = (Family, &'a Requirement)> {
        let gcc = self.gcc.map(|requirement| (Family::Gcc, requirement));
        let clang = self.clang.map(|requirement| (Family::Clang, requirement));
        gcc.into_iter().chain(clang)
    }

    fn is_among(&self, compilers: Compilers<'_>) -> bool {
        if self.families().next().is_none() {
            return eligible(compilers, None).any(|offer| self.fits_apart_from_version(offer));
        }
        self.families().all(|(family, requirement)| {
            eligible(compilers, Some(&family)).any(|offer| {
                requirement.holds(&offer.toolchain.version) && self.fits_apart_from_version(offer)
            })
        })
    }

    fn fits_apart_from_version(&self, offer: &Offered) -> bool {
        let toolchain = &offer.toolchain;
        // Where a rule names gcc and clang, its `binutils` means gcc's: a clang rarely has any.
        let assembler_counts = self.gcc.is_none() || toolchain.family == Family::Gcc;
        let assembler_fits = self.binutils.is_none_or(|requirement| {
            toolchain.assembler.as_deref().is_some_and(|version| requirement.holds(version))
        });
        (assembler_fits || !assembler_counts)
            && self.target.is_none_or(|pattern| pattern.holds(&toolchain.target))
    }
}

/// The compilers that a rule about this family may mean.
fn eligible<'a>(
    compilers: Compilers<'a>,
    family: Option<&Family>,
) -> impl Iterator<Item = &'a Offered> {
    let is_of_family =
        move |offer: &&Offered| family.is_none_or(|family| offer.toolchain.family == *family);
    let matched = compilers.matched.and_then(|idx| compilers.offered.get(idx)).filter(is_of_family);
    let all = if matched.is_some() { &[][..] } else { compilers.offered };
    matched.into_iter().chain(all.iter().filter(is_of_family))
}
