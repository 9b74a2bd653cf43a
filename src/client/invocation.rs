//! How we were called: explicitly (`distcc gcc -c x.c`), implicitly (`distcc -c x.c`), under a
//! compiler's name, or with a request of our own (distcc-behaviour 2.1 and 2.2).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::command::{self, Driver};
use crate::wire::control::NetworksOrder;

use super::compiler;

/// An `@file` with more bytes is the compiler's own affair.
const MAX_WORDS: u64 = 4 << 20;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// `--show-hosts [--why] [COMPILER...]`
    ShowHosts {
        /// `--why`: with the verdict on each.
        why: bool,
        /// The compilers to judge for; the usual ones if empty.
        compilers: Vec<OsString>,
    },
    /// `--networks`, `--trust-network[=NAME|all]`, `--forget-network=NAME|all`
    Networks(NetworksOrder),
    /// `-j`: how many jobs the hosts take.
    Concurrency,
    /// `--scan-includes`, a pump-mode question.
    ScanIncludes,
    /// A compiler's command line.
    Command(Invocation),
    /// Nothing that can be done.
    Unusable {
        /// A lowercase fragment.
        reason: String,
    },
}

/// A compiler's command line, and where its programs are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// The command, compiler first.
    pub(super) argv: Vec<OsString>,
    /// PATH without the directories that only lead back to us; given to children.
    pub(super) search_path: OsString,
    /// The PATH was cut: one recursion is explained by it.
    pub(super) trimmed: bool,
}

impl Invocation {
    /// The command with the words that stand in files.
    pub(super) fn expanded(&self) -> Vec<OsString> {
        command::expand(self.argv.clone(), read_words)
    }
}

/// The bytes of an `@file`. A pipe could be read once only, and the compiler may have to.
fn read_words(path: &Path) -> Option<Vec<u8>> {
    let meta = fs::metadata(path).ok()?;
    (meta.is_file() && meta.len() <= MAX_WORDS).then(|| fs::read(path).ok())?
}

/// Reads the command line. `search_path` is PATH as it was given to us.
pub(super) fn understand(args: Vec<OsString>, search_path: &OsStr) -> Request {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_else(|| OsString::from("distcc"));
    let name = Path::new(&program).file_name().unwrap_or(&program).to_os_string();
    let rest: Vec<OsString> = args.collect();
    if contains(&name, b"distcc") {
        return called_by_our_name(rest, search_path);
    }
    let (search_path, trimmed) = trim(&program, &name, search_path);
    let argv = [name].into_iter().chain(rest).collect();
    Request::Command(Invocation { argv, search_path, trimmed })
}

fn called_by_our_name(rest: Vec<OsString>, search_path: &OsStr) -> Request {
    let Some(first) = rest.first() else {
        return Request::Unusable { reason: "missing option/operand".to_owned() };
    };
    match first.to_str() {
        Some("--help") => return Request::Help,
        Some("--version") => return Request::Version,
        Some("--show-hosts") => {
            let why = rest[1..].iter().any(|word| word == "--why");
            let compilers = rest[1..].iter().filter(|word| *word != "--why").cloned().collect();
            return Request::ShowHosts { why, compilers };
        }
        Some(option) if is_about_networks(option) => return about_networks(option, &rest[1..]),
        Some("-j") => return Request::Concurrency,
        Some("--scan-includes") => return Request::ScanIncludes,
        _ => {}
    }
    let argv = if names_no_compiler(first) {
        [OsString::from("cc")].into_iter().chain(rest).collect()
    } else {
        rest
    };
    Request::Command(Invocation { argv, search_path: search_path.to_os_string(), trimmed: false })
}

fn is_about_networks(option: &str) -> bool {
    let word = option.split('=').next().unwrap_or(option);
    ["--networks", "--trust-network", "--forget-network"].contains(&word)
}

fn about_networks(option: &str, rest: &[OsString]) -> Request {
    if let Some(word) = rest.first() {
        let reason = format!("{option} is followed by nothing, not by {}", word.display());
        return Request::Unusable { reason };
    }
    Request::Networks(match option.split_once('=') {
        None if option == "--networks" => NetworksOrder::List,
        None if option == "--trust-network" => NetworksOrder::TrustCurrent,
        Some(("--trust-network", "all")) => NetworksOrder::TrustAll,
        Some(("--trust-network", name)) if !name.is_empty() => {
            NetworksOrder::Trust(name.to_owned())
        }
        Some(("--forget-network", name)) if !name.is_empty() => {
            NetworksOrder::Forget(name.to_owned())
        }
        _ => {
            let reason = format!(
                "{option}: expected --networks, --trust-network, \
                 --trust-network=NAME, --trust-network=all, --forget-network=NAME or \
                 --forget-network=all"
            );
            return Request::Unusable { reason };
        }
    })
}

/// True for a first argument that belongs to an implied `cc`.
fn names_no_compiler(first: &OsStr) -> bool {
    matches!(first.as_bytes().first(), Some(b'-' | b'@'))
        || first.as_bytes().ends_with(b".o")
        || command::preprocessed_suffix(Path::new(first), Driver::C).is_some()
        || command::is_assembler(first.as_bytes())
}

/// Cuts PATH behind the directory through which we were called, so that the real compiler is what
/// comes next; further elements that lead back to us go too. Directories are compared as files,
/// not as text: `//`, `.` and links do not confuse it.
fn trim(program: &OsStr, name: &OsStr, search_path: &OsStr) -> (OsString, bool) {
    let elements: Vec<PathBuf> = env::split_paths(search_path).collect();
    let called_through = if program.as_bytes().contains(&b'/') {
        let parent = Path::new(program).parent().and_then(|dir| fs::canonicalize(dir).ok());
        parent.and_then(|dir| {
            elements
                .iter()
                .position(|element| fs::canonicalize(element).is_ok_and(|element| element == dir))
        })
    } else {
        elements.iter().position(|element| compiler::is_executable(&element.join(name)))
    };
    let Some(position) = called_through else { return (search_path.to_os_string(), false) };
    let behind: Vec<&PathBuf> = elements[position + 1..]
        .iter()
        .filter(|element| !compiler::leads_to_us(&element.join(name)))
        .collect();
    match env::join_paths(&behind) {
        Ok(path) if !behind.is_empty() => (path, true),
        _ => (search_path.to_os_string(), false),
    }
}

fn contains(text: &OsStr, part: &[u8]) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn understand_words(words: &[&str]) -> Request {
        understand(words.iter().map(OsString::from).collect(), OsStr::new("/usr/bin:/bin"))
    }

    fn argv_of(words: &[&str]) -> Vec<OsString> {
        match understand_words(words) {
            Request::Command(invocation) => invocation.argv,
            other => panic!("{other:?} is not a command"),
        }
    }

    #[test]
    fn tells_explicit_from_implicit_calls() {
        for (words, expected) in [
            (&["distcc", "gcc", "-c", "x.c"][..], &["gcc", "-c", "x.c"][..]),
            (&["/usr/bin/distcc", "-c", "x.c"], &["cc", "-c", "x.c"]),
            (&["my-distcc2", "x.c", "-c"], &["cc", "x.c", "-c"]),
            (&["distcc", "x.o", "-o", "x"], &["cc", "x.o", "-o", "x"]),
            (&["distcc", "d/x.s", "-c"], &["cc", "d/x.s", "-c"]),
            (&["distcc", "x.S", "-c"], &["cc", "x.S", "-c"]),
            (&["distcc", "@words", "-c"], &["cc", "@words", "-c"]),
            (&["/somewhere/gcc", "-c", "x.c"], &["gcc", "-c", "x.c"]),
            (&["distcc", "gcc", "--help"], &["gcc", "--help"]),
        ] {
            assert_eq!(argv_of(words), expected, "{words:?}");
        }
    }

    #[test]
    fn our_own_options_count_only_as_the_first_argument() {
        assert_eq!(understand_words(&["distcc", "--version"]), Request::Version);
        assert_eq!(understand_words(&["distcc", "--help"]), Request::Help);
        assert_eq!(understand_words(&["distcc", "-j"]), Request::Concurrency);
        assert_eq!(
            understand_words(&["distcc", "--show-hosts", "clang", "--why"]),
            Request::ShowHosts { why: true, compilers: vec![OsString::from("clang")] }
        );
        assert!(matches!(understand_words(&["distcc"]), Request::Unusable { .. }));
        for (option, order) in [
            ("--networks", NetworksOrder::List),
            ("--trust-network", NetworksOrder::TrustCurrent),
            ("--trust-network=all", NetworksOrder::TrustAll),
            ("--trust-network=10.0.0.0/8", NetworksOrder::Trust("10.0.0.0/8".to_owned())),
            ("--forget-network=all", NetworksOrder::Forget("all".to_owned())),
        ] {
            assert_eq!(understand_words(&["distcc", option]), Request::Networks(order));
            let more = understand_words(&["distcc", option, "x"]);
            assert!(matches!(more, Request::Unusable { .. }), "{more:?}");
        }
        for option in ["--networks=x", "--trust-network=", "--forget-network"] {
            let request = understand_words(&["distcc", option]);
            assert!(matches!(request, Request::Unusable { .. }), "{option}: {request:?}");
        }
        assert_eq!(argv_of(&["gcc", "--version"]), ["gcc", "--version"]);
    }

    /// A directory with `masq/gcc -> distcc` and `real/gcc`.
    fn masquerade() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["masq", "real"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::copy("/bin/sh", dir.path().join("distcc")).unwrap();
        symlink("../distcc", dir.path().join("masq/gcc")).unwrap();
        fs::copy("/bin/sh", dir.path().join("real/gcc")).unwrap();
        symlink("masq", dir.path().join("alias")).unwrap();
        dir
    }

    #[test]
    fn cuts_the_path_behind_the_masquerade_directory() {
        let dir = masquerade();
        let root = dir.path().display();
        let full = format!("{root}/before:{root}/masq/:{root}/real:{root}/alias");
        let cut = format!("{root}/real");
        for program in [
            "gcc".to_owned(),
            format!("{root}/masq/gcc"),
            format!("{root}//masq//gcc"),
            format!("{root}/alias/gcc"),
        ] {
            let request = understand(vec![program.clone().into()], OsStr::new(&full));
            let Request::Command(invocation) = request else { panic!("{program}: {request:?}") };
            assert_eq!(invocation.search_path, OsStr::new(&cut), "{program}");
            assert!(invocation.trimmed, "{program}");
        }
    }

    #[test]
    fn leaves_a_path_alone_that_does_not_hold_the_masquerade_directory() {
        let dir = masquerade();
        let program = dir.path().join("masq/gcc").into_os_string();
        let request = understand(vec![program], OsStr::new("/usr/bin:/bin"));
        let Request::Command(invocation) = request else { panic!("{request:?}") };
        assert_eq!(invocation.search_path, OsStr::new("/usr/bin:/bin"));
        assert!(!invocation.trimmed);
    }
}
