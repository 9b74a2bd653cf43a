//! What keeps a compiler from showing files of this machine to whoever sends a source.
//!
//! A preprocessed source can still name files. gcc reads the one that a line marker names to print
//! the line that a diagnostic is about. clang follows `#include`, `#embed` and `__has_include` in a
//! source of any kind. What the assembler reads for `.incbin` is not covered: that takes a cage
//! around the whole process.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::Admitted;
use crate::fingerprint::toolchain::{Family, Toolchain};

/// The file in the job's directory that describes clang's view. No source or object is called so.
const VIEW_FILE: &str = "view.yaml";
/// The first gcc that shows excerpts, and so the first that knows the option.
const FIRST_GCC_WITH_EXCERPTS: [u32; 2] = [4, 8];

/// How a compiler is kept from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shield {
    /// Not at all: a program that is no compiler we know, or a gcc that shows nothing.
    None,
    /// gcc shows no excerpts. A stock server has none of a client's own files to show either.
    NoExcerpts,
    /// gcc's words are withheld. It writes its options into an object for `-flto`, that against
    /// excerpts too, and such an object would not be that of a compile elsewhere.
    Silence,
    /// clang sees no file but the source and lists that came with it.
    OwnView,
}

impl Shield {
    /// The one for a compiler.
    pub(crate) fn against(toolchain: &Toolchain) -> Self {
        match toolchain.family {
            Family::Gcc if shows_excerpts(&toolchain.version) => Self::NoExcerpts,
            Family::Clang => Self::OwnView,
            Family::Gcc | Family::Other(_) => Self::None,
        }
    }

    /// The one for this command.
    pub(crate) fn for_command(self, command: &Admitted) -> Self {
        match self {
            Self::NoExcerpts if command.may_make_lto() => Self::Silence,
            shield => shield,
        }
    }

    /// The one for a second run, which makes the words that were withheld.
    pub(crate) fn for_words(self) -> Option<Self> {
        (self == Self::Silence).then_some(Self::NoExcerpts)
    }

    /// Options for the end of the command that compiles `source`, relative to `dir`; what they
    /// need is made in `dir`.
    pub(crate) fn options(
        self,
        compiler: &Path,
        dir: &Path,
        source: &Path,
    ) -> io::Result<Vec<OsString>> {
        match self {
            Self::None | Self::Silence => Ok(Vec::new()),
            Self::NoExcerpts => Ok(vec!["-fno-diagnostics-show-caret".into()]),
            Self::OwnView => {
                let mut visible = lists_of(compiler);
                // As `getcwd` tells it to the compiler.
                let dir = dir.canonicalize()?;
                visible.push(dir.join(source));
                fs::write(dir.join(VIEW_FILE), view(&visible)?)?;
                // The driver's own option of this name is not passed on for such sources.
                Ok(["-Xclang", "-ivfsoverlay", "-Xclang", VIEW_FILE].map(OsString::from).to_vec())
            }
        }
    }
}

fn shows_excerpts(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    [(); 2].map(|()| numbers.next().unwrap_or(0)) >= FIRST_GCC_WITH_EXCERPTS
}

/// Lists that clang reads by itself for some sanitizers: `lib/clang/VERSION/share/*list.txt`
/// beside the `bin` that it is in.
fn lists_of(clang: &Path) -> Vec<PathBuf> {
    let Ok(clang) = clang.canonicalize() else { return Vec::new() };
    let Some(prefix) = clang.parent().and_then(Path::parent) else { return Vec::new() };
    let entries = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    entries(prefix.join("lib/clang"))
        .flat_map(|version| entries(version.path().join("share")))
        .map(|list| list.path())
        .filter(|path| path.to_string_lossy().ends_with("list.txt"))
        .collect()
}

/// A description, for `-ivfsoverlay`, of a file system with these files only.
fn view(visible: &[PathBuf]) -> io::Result<String> {
    let mut roots = Vec::with_capacity(visible.len());
    for path in visible {
        let path = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let quoted = path.replace('\\', "\\\\").replace('"', "\\\"");
        roots
            .push(format!(r#"{{"name":"{quoted}","type":"file","external-contents":"{quoted}"}}"#));
    }
    Ok(format!(
        r#"{{"version":0,"case-sensitive":"true","use-external-names":"false","fallthrough":"false","roots":[{}]}}"#,
        roots.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::vet;

    #[test]
    fn excerpts_came_with_gcc_4_8() {
        for (version, shows) in
            [("12.2.0", true), ("4.8.5", true), ("4.10.0", true), ("4.7.2", false), ("", false)]
        {
            assert_eq!(shows_excerpts(version), shows, "{version}");
        }
    }

    #[test]
    fn objects_for_lto_know_of_no_shield() {
        let shield = |line: &str| {
            let argv: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
            Shield::NoExcerpts.for_command(&vet(&argv).unwrap())
        };
        for line in ["gcc -flto -c a.c -o a.o", "gcc -fno-lto -flto=auto -c a.c -o a.o"] {
            let shield = shield(line);
            let dir = Path::new("/nonexistent");
            assert!(shield.options(dir, dir, dir).unwrap().is_empty(), "{line}");
            assert_eq!(shield.for_words(), Some(Shield::NoExcerpts), "{line}");
        }
        let shield = shield("gcc -fno-lto -c a.c -o a.o");
        assert_eq!(shield, Shield::NoExcerpts);
        assert_eq!(shield.for_words(), None);
    }

    #[test]
    fn names_are_quoted_in_a_view() {
        let view = view(&[PathBuf::from(r#"/tmp/a"\b.i"#)]).unwrap();
        assert!(view.contains(r#""name":"/tmp/a\"\\b.i""#), "{view}");
    }

    #[test]
    fn clang_still_sees_the_lists_of_its_sanitizers() {
        let prefix = tempfile::tempdir().unwrap();
        let share = prefix.path().join("lib/clang/14/share");
        fs::create_dir_all(&share).unwrap();
        fs::create_dir(prefix.path().join("bin")).unwrap();
        let clang = prefix.path().join("bin/clang");
        for path in [&clang, &share.join("cfi_ignorelist.txt"), &share.join("other")] {
            fs::write(path, "").unwrap();
        }
        assert_eq!(lists_of(&clang), [share.canonicalize().unwrap().join("cfi_ignorelist.txt")]);
    }
}
