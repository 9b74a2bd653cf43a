//! Names of sources: the language that a compiler takes them for, and the name under which the
//! preprocessed text travels.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How a driver takes a file called `x.c`: `g++` and `clang++` take it as C++.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Driver {
    /// `gcc`, `clang`, `cc`.
    C,
    /// `g++`, `clang++`, `c++`.
    Cxx,
}

impl Driver {
    /// Judged by the program's file name.
    pub(crate) fn of_program(program: &[u8]) -> Self {
        if base_name(program).windows(2).any(|pair| pair == b"++") { Self::Cxx } else { Self::C }
    }
}

/// The languages that travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Objective-C.
    ObjC,
    /// Objective-C++.
    ObjCxx,
}

impl Language {
    /// The suffix by which compilers know preprocessed text of this language.
    pub(crate) fn preprocessed_suffix(self) -> &'static str {
        match self {
            Self::C => ".i",
            Self::Cxx => ".ii",
            Self::ObjC => ".mi",
            Self::ObjCxx => ".mii",
        }
    }
}

/// What a compiler takes a source for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceKind {
    /// Its language.
    pub(super) language: Language,
    /// It needs no preprocessing.
    pub(super) preprocessed: bool,
}

impl SourceKind {
    const fn plain(language: Language) -> Self {
        Self { language, preprocessed: false }
    }

    const fn preprocessed(language: Language) -> Self {
        Self { language, preprocessed: true }
    }

    /// By the name's extension, as gcc and clang agree on it; none for anything else
    /// (assembler, headers, objects, other languages).
    pub(super) fn of_name(name: &[u8], driver: Driver) -> Option<Self> {
        let kind = match extension(name)? {
            b"c" => Self::plain(Language::C),
            b"i" => Self::preprocessed(Language::C),
            b"cc" | b"cp" | b"cxx" | b"cpp" | b"CPP" | b"c++" | b"C" => Self::plain(Language::Cxx),
            b"ii" => Self::preprocessed(Language::Cxx),
            b"m" => Self::plain(Language::ObjC),
            b"mi" => Self::preprocessed(Language::ObjC),
            b"mm" | b"M" => Self::plain(Language::ObjCxx),
            b"mii" => Self::preprocessed(Language::ObjCxx),
            _ => return None,
        };
        Some(match (driver, kind.language) {
            // gcc's manual on g++: it "treats .c, .h and .i files as C++ source files".
            (Driver::Cxx, Language::C) => Self { language: Language::Cxx, ..kind },
            _ => kind,
        })
    }

    /// By the value of `-x`; none for languages that do not travel.
    pub(super) fn of_language_option(language: &[u8]) -> Option<Self> {
        Some(match language {
            b"c" => Self::plain(Language::C),
            b"c++" => Self::plain(Language::Cxx),
            b"objective-c" => Self::plain(Language::ObjC),
            b"objective-c++" => Self::plain(Language::ObjCxx),
            b"cpp-output" => Self::preprocessed(Language::C),
            b"c++-cpp-output" => Self::preprocessed(Language::Cxx),
            b"objective-c-cpp-output" => Self::preprocessed(Language::ObjC),
            b"objective-c++-cpp-output" => Self::preprocessed(Language::ObjCxx),
            _ => return None,
        })
    }
}

/// The suffix under which the preprocessed text of this source travels; none for a file that is
/// not a source.
pub(crate) fn preprocessed_suffix(source: &Path, driver: Driver) -> Option<&'static str> {
    let kind = SourceKind::of_name(source.as_os_str().as_bytes(), driver)?;
    Some(kind.language.preprocessed_suffix())
}

/// The name to send for a source so that the original's server, too, gives the text the suffix
/// `suffix`: it goes by the extension alone (distcc 3.4, `filename.c`), knows no `-x` and takes
/// `x.c` for C whatever the driver.
pub(super) fn name_that_maps_to(suffix: &str, source: &[u8]) -> Vec<u8> {
    if suffix_at_stock_server(source) == Some(suffix) {
        return source.to_vec();
    }
    let stem = match extension(source) {
        Some(extension) => &source[..source.len() - extension.len() - 1],
        None => source,
    };
    [stem, suffix.as_bytes()].concat()
}

fn suffix_at_stock_server(name: &[u8]) -> Option<&'static str> {
    Some(match extension(name)? {
        b"c" | b"i" => ".i",
        b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"ii" => ".ii",
        b"m" | b"mi" => ".mi",
        b"mm" | b"M" | b"mii" => ".mii",
        _ => return None,
    })
}

/// How sources are called that `configure` scripts, Meson and CMake make to learn about the compiler,
/// up to their ending.
const PROBES: [&[u8]; 7] = [
    b"conftest",
    b"tmp.conftest",
    b"sanitycheckc",
    b"sanitycheckcpp",
    b"sanitycheckobjc",
    b"CMakeCCompilerId",
    b"CMakeCXXCompilerId",
];
/// And directories in which such sources or their objects lie.
const PROBE_DIRS: [&[u8]; 4] = [
    b"/CMakeScratch/TryCompile-",
    b"CMakeFiles/CMakeTmp/",
    b"CMakeFiles/cmTC_",
    b"meson-private/tmp",
];

/// True for a source, or the output made of one, that only tells something about the compiler.
pub(super) fn is_probe(name: &[u8]) -> bool {
    let base = base_name(name);
    let is_named =
        |probe: &[u8]| base.strip_prefix(probe).is_some_and(|rest| rest.starts_with(b"."));
    PROBES.into_iter().any(is_named)
        || PROBE_DIRS.into_iter().any(|dir| name.windows(dir.len()).any(|part| part == dir))
}

/// What follows the last dot of the last component; none without a dot or with nothing after it.
pub(super) fn extension(name: &[u8]) -> Option<&[u8]> {
    let base = base_name(name);
    let dot = base.iter().rposition(|&byte| byte == b'.')?;
    Some(&base[dot + 1..]).filter(|extension| !extension.is_empty())
}

/// The last component.
pub(super) fn base_name(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'/').next().unwrap_or(name)
}

/// `name` with its extension replaced by `suffix` (which has its dot), or with it appended.
pub(super) fn with_suffix(name: &OsStr, suffix: &str) -> Vec<u8> {
    let name = name.as_bytes();
    let base_start = name.len() - base_name(name).len();
    let stem = match name[base_start..].iter().rposition(|&byte| byte == b'.') {
        Some(dot) => &name[..base_start + dot],
        None => name,
    };
    [stem, suffix.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_follows_extension_and_driver() {
        let cases = [
            ("a.c", Driver::C, Some(".i")),
            ("a.c", Driver::Cxx, Some(".ii")),
            ("a.i", Driver::C, Some(".i")),
            ("a.i", Driver::Cxx, Some(".ii")),
            ("d.x/a.cc", Driver::C, Some(".ii")),
            ("a.C", Driver::C, Some(".ii")),
            ("a.CPP", Driver::C, Some(".ii")),
            ("a.c++", Driver::C, Some(".ii")),
            ("a.m", Driver::C, Some(".mi")),
            ("a.m", Driver::Cxx, Some(".mi")),
            ("a.mm", Driver::C, Some(".mii")),
            ("a.mii", Driver::C, Some(".mii")),
            ("a.s", Driver::C, None),
            ("a.S", Driver::C, None),
            ("a.h", Driver::C, None),
            ("a.o", Driver::C, None),
            ("a.c/b", Driver::C, None),
            ("a.", Driver::C, None),
            ("c", Driver::C, None),
        ];
        for (name, driver, suffix) in cases {
            assert_eq!(preprocessed_suffix(Path::new(name), driver), suffix, "{name} {driver:?}");
        }
    }

    #[test]
    fn sent_names_keep_the_source_recognisable_and_map_right() {
        let cases = [
            (".i", "src/a.c", "src/a.c"),
            (".ii", "src/a.c", "src/a.ii"),
            (".ii", "a.cc", "a.cc"),
            (".ii", "a.CPP", "a.ii"),
            (".i", "a.cc", "a.i"),
            (".i", "a.inc", "a.i"),
            (".i", "dir.c/a", "dir.c/a.i"),
        ];
        for (suffix, name, sent) in cases {
            let made = name_that_maps_to(suffix, name.as_bytes());
            assert_eq!(String::from_utf8_lossy(&made), sent, "{name} as {suffix}");
            assert_eq!(suffix_at_stock_server(&made), Some(suffix));
        }
    }

    #[test]
    fn drivers_are_told_by_their_names() {
        for (name, driver) in [
            ("gcc", Driver::C),
            ("/opt/c++/bin/gcc-12", Driver::C),
            ("x86_64-linux-gnu-g++-12", Driver::Cxx),
            ("clang++-14", Driver::Cxx),
            ("c++", Driver::Cxx),
        ] {
            assert_eq!(Driver::of_program(name.as_bytes()), driver, "{name}");
        }
    }

    #[test]
    fn questions_of_build_systems_are_told_by_their_names() {
        for (name, expected) in [
            ("conftest.c", true),
            ("d/tmp.conftest.cc", true),
            ("conftest/a.c", false),
            ("conftests.c", false),
            ("/b/meson-private/sanitycheckcpp.cc", true),
            ("/b/meson-private/tmpk3x_/testfile.c", true),
            ("CMakeFiles/cmTC_1f2e3.dir/CMakeCCompilerABI.c.o", true),
            ("/b/CMakeFiles/CMakeScratch/TryCompile-x/src.c", true),
            ("CMakeCXXCompilerId.cpp", true),
            ("CMakeFiles/x.dir/src.c.o", false),
        ] {
            assert_eq!(is_probe(name.as_bytes()), expected, "{name}");
        }
    }
}
