//! Versions as text: how far two may lie apart ([`Tolerance`]), and what a rule asks of one
//! ([`Requirement`]).
//!
//! A tolerance names the largest step between releases that two versions may differ by. A release
//! of gcc or clang is named by one number (12), a release of binutils by two (2.40: the leading 2
//! has not changed in decades), so the steps stand at other components:
//!
//! | word | gcc, clang | binutils |
//! |---|---|---|
//! | `exact` | the same text | the same text |
//! | `patch` | 12.2.0 with 12.2.1 | 2.41 with 2.41.0.20230908 |
//! | `minor` | 12.2.0 with 12.3.0 | 2.40 with 2.40.1 |
//! | `major` | 12.2.0 with 13.1.0 | 2.40 with 2.41 |
//! | `any` | all, also where a version is not known | likewise |
//!
//! Each word tolerates all that the words above it do. A component that is not written counts as
//! 0; what follows the leading numbers (`2.40-14.fc39`) counts for `exact` only.

use semver::{Version, VersionReq};

/// A version has at most this many components that count; a peer's text may be of any length.
const MAX_COMPONENTS: usize = 6;

/// The largest step between releases that two versions may differ by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tolerance {
    /// None: the same text.
    Exact,
    /// Another patch level of the same release.
    Patch,
    /// Another minor version of the same release.
    Minor,
    /// Another release.
    Major,
    /// Everything, a version that is not known included.
    Any,
}

/// How many components name a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Numbering {
    /// gcc, clang: 12.
    Compiler,
    /// binutils: 2.40.
    Binutils,
}

impl Tolerance {
    /// The words of a policy file.
    pub(crate) const WORDS: [(&'static str, Self); 5] = [
        ("exact", Self::Exact),
        ("patch", Self::Patch),
        ("minor", Self::Minor),
        ("major", Self::Major),
        ("any", Self::Any),
    ];

    /// May a job of version `here` be run by version `there`?
    pub(crate) fn admits(self, numbering: Numbering, here: &str, there: &str) -> bool {
        let release = match numbering {
            Numbering::Compiler => 1,
            Numbering::Binutils => 2,
        };
        let equal_components = match self {
            Self::Any => return true,
            // An unknown version is not the same as another unknown one.
            _ if here.is_empty() || there.is_empty() => return false,
            Self::Exact => return here == there,
            Self::Patch => release + 1,
            Self::Minor => release,
            Self::Major => 0,
        };
        if here == there {
            return true;
        }
        let (here, there) = (components(here), components(there));
        // Texts without a number are versions that nobody can compare: only `any` takes them.
        !here.is_empty()
            && !there.is_empty()
            && (0..equal_components).all(|at| component(&here, at) == component(&there, at))
    }
}

/// How far two versions lie apart; the smaller, the closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Distance {
    /// Number of components from the first that differs to the last that counts.
    step: usize,
    /// By how much that first one differs.
    by: u64,
}

impl Distance {
    /// The same text.
    pub(crate) const NONE: Self = Self { step: 0, by: 0 };
    /// Between a version and nothing known.
    pub(crate) const UNKNOWN: Self = Self { step: usize::MAX, by: 0 };

    /// Between these two.
    pub(crate) fn between(here: &str, there: &str) -> Self {
        if here == there {
            return Self::NONE;
        }
        let (here, there) = (components(here), components(there));
        if here.is_empty() || there.is_empty() {
            return Self::UNKNOWN;
        }
        (0..MAX_COMPONENTS).find(|&at| component(&here, at) != component(&there, at)).map_or(
            Self { step: 1, by: 0 },
            |at| Self {
                step: MAX_COMPONENTS + 1 - at,
                by: component(&here, at).abs_diff(component(&there, at)),
            },
        )
    }
}

/// The leading numbers of a version: 12, 2, 0 of `12.2.0-14+deb12u1`.
fn components(version: &str) -> Vec<u64> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version[..end]
        .split('.')
        .take(MAX_COMPONENTS)
        .map_while(|number| match number.parse() {
            Ok(value) => Some(value),
            // Digits only, so it can but be too large; saturating keeps it comparable.
            Err(_) if !number.is_empty() => Some(u64::MAX),
            Err(_) => None,
        })
        .collect()
}

/// The component at this index, 0 if it is not written.
fn component(components: &[u64], at: usize) -> u64 {
    components.get(at).copied().unwrap_or(0)
}

/// What a rule asks of a version: `>=12.2, <13`, or `12.2.0` for just that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement(VersionReq);

impl Requirement {
    /// Reads the requirement; none if it is not one.
    ///
    /// A bare number asks for that version and no other (`12.2` for 12.2.x), not for a compatible
    /// one as in Rust's manifests: nobody who names a compiler means 12.9 by `12.2`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let comparators: Vec<String> = text
            .split(',')
            .map(|comparator| {
                let comparator = comparator.trim();
                let bare = comparator.starts_with(|c: char| c.is_ascii_digit())
                    && !comparator.contains(['*', 'x', 'X']);
                if bare { format!("={comparator}") } else { comparator.to_owned() }
            })
            .collect();
        VersionReq::parse(&comparators.join(", ")).ok().map(Self)
    }

    /// Does this version fulfil it? `2.40` is taken as 2.40.0; what follows three numbers is left
    /// out. A text without a number fulfils none.
    pub(crate) fn holds(&self, version: &str) -> bool {
        let numbers = components(version);
        if numbers.is_empty() {
            return false;
        }
        let padded =
            Version::new(component(&numbers, 0), component(&numbers, 1), component(&numbers, 2));
        self.0.matches(&padded)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Numbering::{Binutils, Compiler};
    use super::*;

    /// Numbering, the two versions, and the smallest tolerance that admits them.
    const PAIRS: &[(Numbering, &str, &str, Tolerance)] = &[
        (Compiler, "12.2.0", "12.2.0", Tolerance::Exact),
        (Compiler, "12.2.0", "12.2.1", Tolerance::Patch),
        (Compiler, "12.2", "12.2.1", Tolerance::Patch),
        (Compiler, "12.2.0", "12.2.0-rc1", Tolerance::Patch),
        (Compiler, "12.2.0", "12.3.0", Tolerance::Minor),
        (Compiler, "14.0.6", "14.1.0", Tolerance::Minor),
        (Compiler, "12.2.0", "11.3.0", Tolerance::Major),
        (Compiler, "12.2.0", "13.1.0", Tolerance::Major),
        (Compiler, "12.2.0", "", Tolerance::Any),
        (Compiler, "", "", Tolerance::Any),
        (Compiler, "12.2.0", "trunk", Tolerance::Any),
        (Binutils, "2.40", "2.40", Tolerance::Exact),
        (Binutils, "2.40", "2.40.0", Tolerance::Patch),
        (Binutils, "2.41", "2.41.0.20230908-3", Tolerance::Patch),
        (Binutils, "2.40", "2.40.1", Tolerance::Minor),
        (Binutils, "2.40", "2.40.50.20230101", Tolerance::Minor),
        (Binutils, "2.40", "2.41", Tolerance::Major),
        (Binutils, "2.40", "2.35.2", Tolerance::Major),
    ];

    #[test]
    fn tolerance_admits_its_step_and_smaller_ones_only() {
        for &(numbering, here, there, smallest) in PAIRS {
            for (word, tolerance) in Tolerance::WORDS {
                let expected = tolerance >= smallest;
                assert_eq!(tolerance.admits(numbering, here, there), expected, "{word} {there}");
                assert_eq!(tolerance.admits(numbering, there, here), expected, "{word} {there}");
            }
        }
    }

    #[test]
    fn distance_orders_versions_by_closeness() {
        let by_closeness =
            ["12.2.0", "12.2.0-rc1", "12.2.1", "12.2.9", "12.3.0", "13.1.0", "10.1.0", "trunk"];
        let distances: Vec<_> =
            by_closeness.iter().map(|there| Distance::between("12.2.0", there)).collect();
        assert!(distances.is_sorted_by(|a, b| a < b), "{distances:?}");
    }

    #[test]
    fn requirement_is_fulfilled() {
        for (requirement, version, expected) in [
            ("12.2.0", "12.2.0", true),
            ("12.2.0", "12.2.1", false),
            ("12.2", "12.2.9", true),
            ("12", "12.9.0", true),
            ("12", "13.0.0", false),
            (">=12", "13.1.0", true),
            (">=12.2, <13", "12.3.0", true),
            (">=12.2, <13", "13.0.0", false),
            (">=12.2,<13", "12.1.0", false),
            ("2.40", "2.40", true),
            ("2.40", "2.40.1", true),
            (">2.40", "2.40", false),
            (">=2.38", "2.40.50.20230101-2", true),
            ("12.*", "12.4.1", true),
            ("*", "1.0", true),
            ("*", "trunk", false),
            ("~12.2", "12.2.4", true),
        ] {
            let parsed = Requirement::parse(requirement).unwrap();
            assert_eq!(parsed.holds(version), expected, "{requirement} on {version}");
        }
    }

    #[test]
    fn refuses_what_is_no_requirement() {
        for text in ["", "twelve", ">=", "12.2.0.1", "12 13", ">=12,", "=>12"] {
            assert_eq!(Requirement::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(a in "\\PC{0,40}", b in "[0-9.]{0,60}") {
            for (_, tolerance) in Tolerance::WORDS {
                let known = !a.is_empty() || tolerance == Tolerance::Any;
                prop_assert_eq!(tolerance.admits(Compiler, &a, &a), known);
                tolerance.admits(Binutils, &a, &b);
            }
            prop_assert_eq!(Distance::between(&a, &a), Distance::NONE);
            Distance::between(&a, &b);
            if let Some(requirement) = Requirement::parse(&a) {
                requirement.holds(&b);
            }
        }
    }
}
