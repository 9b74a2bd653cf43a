//! Names of compilers, `[PREFIX-]STEM[-VERSION]`.

use crate::base::stand_in::stand_in;

const STEMS: [&str; 6] = ["gcc", "g++", "cc", "c++", "clang", "clang++"];
/// Programs called `X-gcc` that are no compiler for a target X, beside those that stand in for one:
/// POSIX front ends that choose another language standard.
const NOT_TARGETS: [&str; 4] = ["c89", "c99", "c11", "color"];

/// The parts of a compiler's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompilerName<'a> {
    /// `x86_64-linux-gnu`, or empty.
    pub(crate) prefix: &'a str,
    /// `gcc`, `c++`, ...
    pub(crate) stem: &'a str,
    /// Does a version follow: `12`, `12.2.0`, `12-posix` (Debian's mingw-w64)?
    pub(crate) versioned: bool,
}

impl<'a> CompilerName<'a> {
    /// None for anything else, such as `gcc-ar-12` or `clang-format`.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let unversioned = without_version(name);
        let (prefix, stem) = unversioned.rsplit_once('-').unwrap_or(("", unversioned));
        // `-gcc` has a prefix that is empty, which is no target.
        if !STEMS.contains(&stem)
            || NOT_TARGETS.contains(&prefix)
            || stand_in(prefix.as_ref()).is_some()
            || (unversioned.contains('-') && prefix.is_empty())
        {
            return None;
        }
        Some(Self { prefix, stem, versioned: unversioned.len() < name.len() })
    }
}

/// Cuts `-12`, `-12.2.0`, `-posix`, `-12-posix` off.
fn without_version(name: &str) -> &str {
    let mut at = name.len();
    for thread_model in ["-posix", "-win32"] {
        at = name[..at].strip_suffix(thread_model).map_or(at, str::len);
    }
    if let Some((before, last)) = name[..at].rsplit_once('-')
        && last.starts_with(|first: char| first.is_ascii_digit())
        && last.chars().all(|char| char.is_ascii_digit() || char == '.')
    {
        at = before.len();
    }
    &name[..at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_of_compilers() {
        for (name, prefix, stem, versioned) in [
            ("gcc", "", "gcc", false),
            ("g++-12", "", "g++", true),
            ("gcc-13.2.0", "", "gcc", true),
            ("clang++-14", "", "clang++", true),
            ("x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu", "gcc", true),
            ("arm-none-eabi-g++", "arm-none-eabi", "g++", false),
            ("avr-gcc", "avr", "gcc", false),
            ("x86_64-w64-mingw32-gcc-12-posix", "x86_64-w64-mingw32", "gcc", true),
            ("x86_64-w64-mingw32-c++-win32", "x86_64-w64-mingw32", "c++", true),
        ] {
            assert_eq!(CompilerName::parse(name), Some(CompilerName { prefix, stem, versioned }));
        }
        for other in [
            "gcc-ar-12",
            "gcc-ar",
            "clang-cpp-14",
            "clang-format",
            "c99",
            "c89-gcc",
            "c99-gcc",
            "cpp-12",
            "ccache",
            "gcc-",
            "-gcc",
            "",
            "12",
            "mygcc",
            "ccache-gcc",
            "gcc-1x",
        ] {
            assert_eq!(CompilerName::parse(other), None, "{other}");
        }
    }
}
