//! `policy.toml`: where it is, and what it says. `config/policy.toml` explains every key.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::compat::Matching;
use super::read::Reader;
use super::rule::Rule;

/// The policy of the whole machine.
const SYSTEM_POLICY: &str = "/etc/distcc/policy.toml";
/// The file's name in `$DISTCC_DIR`.
const FILE_NAME: &str = "policy.toml";

/// Which hosts and toolchains may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How equal toolchains must be.
    pub(crate) matching: Matching,
    /// In the order written; the first that holds decides.
    pub(crate) rules: Vec<Rule>,
}

impl Policy {
    /// What holds without a file.
    pub(crate) fn built_in() -> Self {
        Self { matching: Matching::BUILT_IN, rules: Vec::new() }
    }
}

/// A problem in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyError {
    /// The file, as it is to be named to the user.
    pub(crate) origin: String,
    /// From 1; none if the file could not be read at all.
    pub(crate) line: Option<usize>,
    /// As `match.gcc` or `rule.net`; empty where none can be named.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) problem: PolicyProblem,
}

/// What is wrong in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PolicyProblem {
    /// The file cannot be read.
    Unreadable(String),
    /// Not TOML; in the parser's words.
    Syntax(String),
    /// A key that does not exist.
    UnknownKey {
        /// Those that do.
        known: Vec<&'static str>,
    },
    /// A key that must be there is not.
    Missing {
        /// What was expected.
        expected: String,
    },
    /// A value of another type.
    WrongType {
        /// What was expected.
        expected: String,
        /// TOML's name of the type found.
        found: &'static str,
    },
    /// A value that means nothing.
    BadValue {
        /// What was expected.
        expected: String,
        /// As written.
        found: String,
    },
}

impl Display for PolicyError {
    /// `policy.toml:7: match.gcc: expected exact, patch, minor, major or any, not "minr"`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for PolicyError {}

impl Display for PolicyProblem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Syntax(message) => f.write_str(message),
            Self::UnknownKey { known } => {
                write!(f, "no such key, expected {}", one_of(known))
            }
            Self::Missing { expected } => write!(f, "missing, expected {expected}"),
            Self::WrongType { expected, found } => write!(f, "expected {expected}, not {found}"),
            Self::BadValue { expected, found } => write!(f, "expected {expected}, not {found:?}"),
        }
    }
}

/// `exact, patch or any`
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Reads the text of a policy; all problems of it are reported, by line. `origin` names the file
/// in them.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Policy, Vec<PolicyError>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(text, origin);
    if syntax.is_empty() {
        let policy = reader.policy(document.get_ref());
        return reader.into_problems().map_or(Ok(policy), Err);
    }
    // What the parser saved of a broken file may be torn apart; judging it would only add
    // problems that are none.
    for error in syntax {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().trim().replace('\n', ", ");
        reader.report(at, String::new(), PolicyProblem::Syntax(message));
    }
    reader.into_problems().map_or_else(|| Ok(Policy::built_in()), Err)
}

/// The files in which a policy may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The first that exists counts.
    pub(crate) paths: Vec<PathBuf>,
    /// True if the user named the file: then it must exist.
    pub(crate) is_explicit: bool,
}

/// Where to look: in the file that `$DISTCC_POLICY` names and nowhere else, or in `distcc_dir`
/// and then in `/etc/distcc`. An empty variable counts as unset.
pub(crate) fn locate(explicit: Option<&Path>, distcc_dir: &Path) -> Located {
    match explicit.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Located { paths: vec![path.to_owned()], is_explicit: true },
        None => Located {
            paths: vec![distcc_dir.join(FILE_NAME), PathBuf::from(SYSTEM_POLICY)],
            is_explicit: false,
        },
    }
}

/// A policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// What it says.
    pub(crate) policy: Policy,
    /// The file it was read from; none if it is built in.
    pub(crate) path: Option<PathBuf>,
}

impl Display for Loaded {
    /// The file, or `built in`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("built in"),
        }
    }
}

/// Identifies the state of a file without reading it: device, inode, size, and time of the last
/// change of its contents and of its inode in nanoseconds (the latter cannot be set back).
pub(crate) type FileStamp = (u64, u64, u64, i128, i128);

impl Located {
    /// Reads the policy. A file that exists and cannot be read, or that the user named and that
    /// does not exist, is an error: it may have been meant to deny.
    pub(crate) fn load(&self) -> Result<Loaded, Vec<PolicyError>> {
        for path in &self.paths {
            let origin = path.display().to_string();
            match fs::read_to_string(path) {
                Ok(text) => {
                    let policy = parse(&text, &origin)?;
                    return Ok(Loaded { policy, path: Some(path.clone()) });
                }
                Err(error) if !self.is_explicit && is_absent(&error) => {}
                Err(error) => {
                    let problem = PolicyProblem::Unreadable(error.to_string());
                    let key = String::new();
                    return Err(vec![PolicyError { origin, line: None, key, problem }]);
                }
            }
        }
        Ok(Loaded { policy: Policy::built_in(), path: None })
    }

    /// Differs from the last time if the policy must be read again. All paths count: a file may
    /// appear before the one in force.
    pub(crate) fn stamps(&self) -> Vec<Option<FileStamp>> {
        self.paths.iter().map(|path| fs::metadata(path).ok().map(|meta| stamp(&meta))).collect()
    }
}

pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(crate) fn stamp(meta: &fs::Metadata) -> FileStamp {
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    (
        meta.dev(),
        meta.ino(),
        meta.size(),
        nanoseconds(meta.mtime(), meta.mtime_nsec()),
        nanoseconds(meta.ctime(), meta.ctime_nsec()),
    )
}

#[cfg(test)]
mod tests;
