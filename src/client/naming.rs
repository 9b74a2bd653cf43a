//! What a host is asked for where no agent knows its names: as the original does it, but of the
//! very compiler that this job has, and only where the other name is a name of the same file.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::command::{CompilerName, Driver};

use super::ask::{Question, ask};
use super::compiler::Compiler;
use super::session::Session;

/// Links are followed so far, as by the kernel.
const MAX_LINKS: usize = 40;

/// How a host is asked for the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The name to send.
    pub(super) name: Vec<u8>,
    /// An option that makes a clang there compile for our target.
    pub(super) option: Option<Vec<u8>>,
    /// The target of the compiler here; empty when unknown.
    pub(super) target: String,
}

impl Asked {
    /// For the compiler of `session`, whose file is `compiler`'s.
    pub(super) fn of(session: &Session<'_>, compiler: &Compiler) -> Self {
        let typed = session.compiler_name().as_bytes();
        let target = target(session, compiler);
        let unchanged = Self { name: typed.to_vec(), option: None, target };
        let is_path = typed.contains(&b'/');
        if is_path || !session.env.rewrite_names {
            return unchanged;
        }
        let name = behind_cc(typed, &compiler.path);
        let Ok(text) = str::from_utf8(&name) else { return unchanged };
        let target = unchanged.target;
        let (name, option) = match CompilerName::parse(text) {
            Some(CompilerName { prefix: "", stem: "gcc" | "g++", .. }) if !target.is_empty() => {
                (prefixed(session, compiler, text, &target).unwrap_or(name), None)
            }
            Some(CompilerName { prefix: "", stem: "clang" | "clang++", .. })
                if !target.is_empty() =>
            {
                (name, Some(format!("--target={target}").into_bytes()))
            }
            _ => (name, None),
        };
        Self { name, option, target }
    }
}

/// The name of the compiler that `cc` or `c++` is a link to; any other name as it is.
fn behind_cc(typed: &[u8], path: &Path) -> Vec<u8> {
    if !matches!(typed, b"cc" | b"c++") {
        return typed.to_vec();
    }
    let driver = Driver::of_program(typed);
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("/")).join(next);
        let Some(name) = path.file_name() else { break };
        let family = name.to_str().and_then(CompilerName::parse).map(|parsed| parsed.stem);
        let is_family = matches!(family, Some("gcc" | "g++" | "clang" | "clang++"));
        if is_family && Driver::of_program(name.as_bytes()) == driver {
            return name.as_bytes().to_vec();
        }
    }
    typed.to_vec()
}

/// `x86_64-linux-gnu-gcc`, if that is the same compiler: a machine may have several.
fn prefixed(
    session: &Session<'_>,
    compiler: &Compiler,
    name: &str,
    target: &str,
) -> Option<Vec<u8>> {
    let name = format!("{target}-{name}");
    let found = Compiler::find(OsStr::new(&name), &session.invocation.search_path)?;
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    (identity(&found.path)? == identity(&compiler.path)?).then(|| name.into_bytes())
}

/// The target of a compiler: in its file's name, as Debian has gcc's, else it says so itself.
fn target(session: &Session<'_>, compiler: &Compiler) -> String {
    let file = compiler.file();
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match CompilerName::parse(name) {
        Some(CompilerName { prefix, stem: "gcc" | "g++", .. }) if prefix.contains('-') => {
            return prefix.to_owned();
        }
        None => return String::new(),
        Some(_) if !compiler.is_program() => return String::new(),
        Some(_) => {}
    }
    // A clang minds the prefix of the name that it is called by.
    let depends_on = session.compiler_name().to_string_lossy().into_owned();
    let question =
        Question { words: vec![OsString::from("-dumpmachine")], depends_on, read: &read_target };
    ask(session, compiler, &question).unwrap_or_default()
}

fn read_target(said: &[u8]) -> Result<String, String> {
    let target = String::from_utf8_lossy(said).trim().to_owned();
    let is_target = |target: &str| {
        target.contains('-')
            && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if is_target(&target) { Ok(target) } else { Err("it names no target".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn cc_is_named_by_the_first_link_that_names_a_compiler() {
        let dir = tempfile::tempdir().unwrap();
        let link = |to: &str, name: &str| symlink(to, dir.path().join(name)).unwrap();
        link("alternative", "cc");
        link("gcc", "alternative");
        link("x86_64-linux-gnu-gcc-12", "gcc");
        link("clang++-14", "c++");
        link("clang", "clang++-14");
        link("tcc", "other");
        let named = |typed: &str, link: &str| {
            String::from_utf8(behind_cc(typed.as_bytes(), &dir.path().join(link))).unwrap()
        };
        assert_eq!(named("cc", "cc"), "gcc");
        assert_eq!(named("c++", "c++"), "clang++-14");
        assert_eq!(named("cc", "other"), "cc");
        assert_eq!(named("gcc", "cc"), "gcc");
        // A link of C++ to a driver of C.
        assert_eq!(named("c++", "cc"), "c++");
    }

    #[test]
    fn a_target_is_one_word_with_a_dash() {
        assert_eq!(read_target(b"x86_64-pc-linux-gnu\n").as_deref(), Ok("x86_64-pc-linux-gnu"));
        assert_eq!(read_target(b"arm-none-eabi").as_deref(), Ok("arm-none-eabi"));
        for other in ["", "a usage text - of some kind", "x86_64", "a-b\nc-d"] {
            assert!(read_target(other.as_bytes()).is_err(), "{other}");
        }
    }
}
