//! Which of a peer's compilers may stand in for a local one.
//!
//! Assemblers: a compiler without a version either has its own assembler (clang) or has one that
//! nobody could name (gcc on a stock peer whose `as` printed nothing).
//!
//! | here | there | tolerated |
//! |---|---|---|
//! | 2.40 | 2.41 | as far as the `binutils` word reaches |
//! | gcc's unknown | 2.40 | by all words but `exact` |
//! | clang's own | 2.40 | by `any` only: these are two assemblers |

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use super::difference::{Assembler, Difference, Dissent};
use super::target::normalised;
use super::version::{Distance, Numbering, Tolerance};
use crate::fingerprint::{Driver, Family, Offered, Toolchain};

/// A peer's name for a compiler that is longer than this is not sent back to it.
const MAX_NAME: usize = 64;

/// How equal two toolchains must be; the `[match]` table of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matching {
    /// For versions of gcc.
    pub(crate) gcc: Tolerance,
    /// For versions of clang.
    pub(crate) clang: Tolerance,
    /// For versions of the assembler.
    pub(crate) binutils: Tolerance,
    /// For the target.
    pub(crate) target: TargetMatch,
    /// For who built the compiler and how.
    pub(crate) build: BuildMatch,
    /// What is done with a peer that does not say what it offers.
    pub(crate) unknown: Unknown,
}

impl Matching {
    /// What a policy file leaves out, and what holds without one.
    pub(crate) const BUILT_IN: Self = Self {
        gcc: Tolerance::Exact,
        clang: Tolerance::Exact,
        binutils: Tolerance::Minor,
        target: TargetMatch::Exact,
        build: BuildMatch::Vendor,
        unknown: Unknown::Probe,
    };

    /// By this one a difference that the policy tolerates is found, to be told to the user.
    const NO_TOLERANCE: Self = Self { binutils: Tolerance::Exact, ..Self::BUILT_IN };

    fn of_family(&self, family: &Family) -> Tolerance {
        match family {
            Family::Gcc => self.gcc,
            Family::Clang => self.clang,
            Family::Other(_) => Tolerance::Exact,
        }
    }
}

/// `target` of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetMatch {
    /// The same but for the vendor word.
    Exact,
    /// Any target.
    Any,
}

/// `build` of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuildMatch {
    /// As `Vendor`, and the same revision of the package; without one, the same files.
    Same,
    /// The same distributor and the same configure words that change defaults.
    Vendor,
    /// Any build.
    Any,
}

/// `unknown` of a policy: a stock server does not say what it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is asked by a job of its own.
    Probe,
    /// It gets no jobs.
    Deny,
    /// It gets jobs unseen.
    Allow,
}

/// A compiler of a peer that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MatchedCompiler {
    /// The name to send.
    pub(crate) name: String,
    /// Its index among those offered.
    pub(crate) idx: usize,
    /// In what it differs, if the policy had to tolerate something.
    pub(crate) tolerated: Option<Dissent>,
}

impl Display for MatchedCompiler {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.tolerated {
            None => write!(f, "same toolchain as {}", self.name),
            Some(dissent) => write!(f, "near enough to {}: {dissent}", self.name),
        }
    }
}

/// Finds the compiler of a peer that may run a job of `local`, the nearest if there are several,
/// by the name that the job uses if it stands for that compiler there too.
///
/// A family that we do not know has nothing to compare but its files, so only the same file under
/// the same name will do.
pub(crate) fn compare(
    local: &Toolchain,
    local_driver: Driver,
    offered: &[Offered],
    wanted_name: &str,
    matching: &Matching,
) -> Result<MatchedCompiler, Difference> {
    let wanted = base_name(wanted_name);
    if let Family::Other(_) = local.family {
        return compare_files(local, offered, wanted);
    }
    let family: Vec<(usize, &Offered)> = offered
        .iter()
        .enumerate()
        .filter(|(_, offer)| offer.toolchain.family == local.family && name_of(offer, "").is_some())
        .collect();
    if family.is_empty() {
        return Err(Difference { what: Dissent::NoFamily(local.family.clone()), idx: None });
    }
    let mut nearest_first: Vec<_> =
        family.into_iter().filter(|(_, offer)| offer.driver == local_driver).collect();
    nearest_first.sort_by_cached_key(|&(idx, offer)| (closeness(local, offer, wanted), idx));
    let fit = nearest_first
        .iter()
        .find(|(_, offer)| dissent(local, &offer.toolchain, matching).is_none())
        .and_then(|&(idx, offer)| Some((idx, offer, name_of(offer, wanted)?)));
    if let Some((idx, offer, name)) = fit {
        return Ok(MatchedCompiler {
            name: name.to_owned(),
            idx,
            tolerated: dissent(local, &offer.toolchain, &Matching::NO_TOLERANCE),
        });
    }
    let miss = nearest_first.first().and_then(|&(idx, offer)| {
        let what = dissent(local, &offer.toolchain, matching)?;
        Some(Difference { what, idx: Some(idx) })
    });
    Err(miss.unwrap_or_else(|| {
        let what = Dissent::NoDriver(driver_name(&local.family, local_driver));
        Difference { what, idx: None }
    }))
}

/// The part of [`compare`] for unknown families.
fn compare_files(
    local: &Toolchain,
    offered: &[Offered],
    wanted: &str,
) -> Result<MatchedCompiler, Difference> {
    let namesakes: Vec<(usize, &Offered)> = offered
        .iter()
        .enumerate()
        .filter(|(_, offer)| name_of(offer, wanted) == Some(wanted))
        .collect();
    if let Some(&(idx, _)) = namesakes.iter().find(|(_, offer)| same_files(local, &offer.toolchain))
    {
        return Ok(MatchedCompiler { name: wanted.to_owned(), idx, tolerated: None });
    }
    Err(match namesakes.first() {
        None => Difference { what: Dissent::NoProgram(wanted.to_owned()), idx: None },
        Some(&(idx, offer)) => {
            Difference { what: files_dissent(wanted, local, &offer.toolchain), idx: Some(idx) }
        }
    })
}

/// How near an offer is; the smallest is the nearest. The target comes first, because a user who
/// compiles for x86_64 learns nothing from a cross compiler's otherwise perfect version.
fn closeness(local: &Toolchain, offer: &Offered, wanted: &str) -> impl Ord {
    let there = &offer.toolchain;
    let assembler = match (&local.assembler, &there.assembler) {
        (Some(here), Some(there)) => Distance::between(here, there),
        (None, None) => Distance::NONE,
        _ => Distance::UNKNOWN,
    };
    (
        normalised(&local.target) != normalised(&there.target),
        Distance::between(&local.version, &there.version),
        build_dissent(local, there, BuildMatch::Vendor).is_some(),
        assembler,
        Reverse(same_files(local, there)),
        name_of(offer, wanted) != Some(wanted),
    )
}

/// The first thing in which `there` differs more than the policy tolerates. Both are of one known
/// family.
fn dissent(here: &Toolchain, there: &Toolchain, matching: &Matching) -> Option<Dissent> {
    let tolerance = matching.of_family(&here.family);
    if !tolerance.admits(Numbering::Compiler, &here.version, &there.version) {
        return Some(Dissent::Version {
            family: here.family.clone(),
            here: here.version.clone(),
            there: there.version.clone(),
        });
    }
    if matching.target == TargetMatch::Exact
        && normalised(&here.target) != normalised(&there.target)
    {
        let (here, there) = (here.target.clone(), there.target.clone());
        return Some(Dissent::Target { here, there });
    }
    assembler_dissent(here, there, matching.binutils)
        .or_else(|| build_dissent(here, there, matching.build))
        .or_else(|| mark_dissent(here, there, matching.build))
}

/// Objects are accepted by the mark that the peer's compiler is said to leave, so what is said must
/// be what the compiler here would write, but for versions and revisions that the policy tolerates.
fn mark_dissent(here: &Toolchain, there: &Toolchain, build: BuildMatch) -> Option<Dissent> {
    let fits = match build {
        _ if here.ident == there.ident => true,
        BuildMatch::Same => false,
        BuildMatch::Vendor => mark_form(here) == mark_form(there),
        BuildMatch::Any => has_mark_of_family(here) && has_mark_of_family(there),
    };
    (!fits).then(|| Dissent::Mark { here: here.ident.clone(), there: there.ident.clone() })
}

/// The words of a mark, its numbers replaced by whether they are the compiler's version or another:
/// of `GCC: (Debian 12.2.0-14) 12.2.0` the words `GCC:`, `Debian`, version and version.
fn mark_form(toolchain: &Toolchain) -> Vec<&str> {
    let word_form = |word| match word {
        word if !has_digit(word) => word,
        word if is_of_version(word, &toolchain.version) => "version",
        _ => "number",
    };
    let words = toolchain.ident.split([' ', '(', ')', '[', ']']);
    words.filter(|word| !word.is_empty()).map(word_form).collect()
}

fn has_digit(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_digit())
}

/// `12.2.0` or `12.2.0-14+deb12u1` for version 12.2.0, not `12.2.01`.
fn is_of_version(word: &str, version: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c == '.' || c.is_ascii_digit());
    word.strip_prefix(version).is_some_and(|rest| !version.is_empty() && !goes_on(rest))
}

/// `GCC: (Debian 12.2.0-14) 12.2.0`, `Debian clang version 14.0.6`
fn has_mark_of_family(toolchain: &Toolchain) -> bool {
    match toolchain.family {
        Family::Gcc => toolchain.ident.starts_with("GCC: "),
        Family::Clang => toolchain.ident.contains("clang version "),
        Family::Other(_) => false,
    }
}

fn assembler_dissent(here: &Toolchain, there: &Toolchain, tolerance: Tolerance) -> Option<Dissent> {
    let (here, there) = (assembler_of(here), assembler_of(there));
    let admitted = match (&here, &there) {
        (Assembler::Version(here), Assembler::Version(there)) => {
            tolerance.admits(Numbering::Binutils, here, there)
        }
        (Assembler::Integrated, _) | (_, Assembler::Integrated) => {
            here == there || tolerance == Tolerance::Any
        }
        // Nothing is known against it; the words of versions ask for more only where there are two.
        (Assembler::Unknown, _) | (_, Assembler::Unknown) => {
            here == there || tolerance != Tolerance::Exact
        }
    };
    (!admitted).then_some(Dissent::Assembler { here, there })
}

fn assembler_of(toolchain: &Toolchain) -> Assembler {
    match (&toolchain.assembler, &toolchain.family) {
        (Some(version), _) => Assembler::Version(version.clone()),
        (None, Family::Clang) => Assembler::Integrated,
        (None, _) => Assembler::Unknown,
    }
}

fn build_dissent(here: &Toolchain, there: &Toolchain, build: BuildMatch) -> Option<Dissent> {
    // The same files are the same build, whatever their words say.
    if build == BuildMatch::Any || same_files(here, there) {
        return None;
    }
    if !here.distributor.eq_ignore_ascii_case(&there.distributor) {
        return Some(Dissent::Distributor {
            here: here.distributor.clone(),
            there: there.distributor.clone(),
        });
    }
    let words_here: BTreeSet<&String> = here.configure.iter().collect();
    let words_there: BTreeSet<&String> = there.configure.iter().collect();
    if words_here != words_there {
        let only = |a: &BTreeSet<&String>, b| a.difference(b).copied().cloned().collect();
        return Some(Dissent::Configure {
            here: only(&words_here, &words_there),
            there: only(&words_there, &words_here),
        });
    }
    if build == BuildMatch::Vendor {
        return None;
    }
    if here.revision != there.revision {
        return Some(Dissent::Revision {
            here: here.revision.clone(),
            there: there.revision.clone(),
        });
    }
    // A package's revision stands for its files. Without one only the digest could tell, and it
    // is not the same.
    here.revision.is_empty().then(|| files_dissent(&here.family.to_string(), here, there))
}

fn files_dissent(name: &str, here: &Toolchain, there: &Toolchain) -> Dissent {
    Dissent::Files { name: name.to_owned(), here: here.digest, there: there.digest }
}

/// Are both made of the same files, as far as can be known?
fn same_files(here: &Toolchain, there: &Toolchain) -> bool {
    here.digest != [0; 16] && here.digest == there.digest
}

/// The name to ask for: `wanted` if the offer has it, else its first that is a plain name. A peer
/// chooses its names, so one with a slash or a blank is passed over.
fn name_of<'a>(offer: &'a Offered, wanted: &str) -> Option<&'a str> {
    let mut plain = offer.names.iter().map(String::as_str).filter(|name| is_plain(name));
    let first = plain.next()?;
    if first == wanted {
        return Some(first);
    }
    Some(plain.find(|&name| name == wanted).unwrap_or(first))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
        && !name.starts_with(['-', '.'])
}

/// What people call this driver.
fn driver_name(family: &Family, driver: Driver) -> String {
    match (family, driver) {
        (Family::Gcc, Driver::Cxx) => "g++".to_owned(),
        (_, Driver::Cxx) => format!("{family}++"),
        (_, Driver::C) => family.to_string(),
    }
}

/// The file name of a program.
fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
