//! What distccd takes from its environment.

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::command_list::{CommandList, LineError};

/// The compilers' search path where the environment names none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What the daemon takes from its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DaemonEnvironment {
    /// Where compilers are looked for: `$DISTCCD_PATH`, else `$PATH`.
    pub(crate) search_path: OsString,
    /// Where job directories are made: `$TMPDIR`, as the original does taken from where the daemon
    /// was started, else `/tmp`.
    pub(crate) temp_dir: PathBuf,
    /// Where state is kept if `--state-dir` does not say; none for a user without a home.
    pub(crate) state_dir: Option<PathBuf>,
    /// The language of diagnostics: `LANG`, `LANGUAGE`, `LC_*`.
    pub(crate) locale: Vec<(OsString, OsString)>,
    /// `CCACHE_*`, which a compiler that is a link to ccache is given.
    pub(crate) ccache: Vec<(OsString, OsString)>,
    /// `DISTCC_CMDLIST`, a file of the commands that may run, and how many words of a path tell them
    /// apart (`DISTCC_CMDLIST_NUMWORDS`, 1).
    pub(crate) command_list: Option<(PathBuf, usize)>,
    /// What stands in that file.
    pub(crate) commands: Option<CommandList>,
    /// `DISTCC_SAVE_TEMPS`: job directories are left behind.
    pub(crate) save_temps: bool,
}

/// A variable that cannot be used. Each keeps the daemon from starting: what is meant to narrow
/// what may run must not be passed over.
#[derive(Debug)]
pub(crate) enum EnvironmentError {
    /// `DISTCC_CMDLIST` cannot be read.
    UnreadableList {
        /// As set.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A line of `DISTCC_CMDLIST` is no path of a command.
    BadList {
        /// As set.
        path: PathBuf,
        /// Which line, and what it should be.
        error: LineError,
    },
    /// `DISTCC_CMDLIST` names no command.
    EmptyList(PathBuf),
    /// `DISTCC_CMDLIST_NUMWORDS` is no number above 0.
    BadNumberOfWords(OsString),
}

impl Display for EnvironmentError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreadableList { path, error } => {
                write!(f, "cannot read DISTCC_CMDLIST {}: {error}", path.display())
            }
            Self::BadList { path, error } => {
                write!(f, "cannot use DISTCC_CMDLIST {}: {error}", path.display())
            }
            Self::EmptyList(path) => {
                write!(f, "DISTCC_CMDLIST {} names no command", path.display())
            }
            Self::BadNumberOfWords(value) => {
                write!(f, "DISTCC_CMDLIST_NUMWORDS must be a number above 0, not {value:?}")
            }
        }
    }
}

impl std::error::Error for EnvironmentError {}

impl DaemonEnvironment {
    /// Reads the process's environment, once, with the list of commands that it names.
    /// `is_root` decides where state belongs.
    pub(crate) fn from_process(is_root: bool) -> Result<Self, EnvironmentError> {
        let cwd = env::current_dir().unwrap_or_else(|_| "/".into());
        let mut environment = Self::read(&env::vars_os().collect::<Vec<_>>(), &cwd, is_root)?;
        if let Some((path, n_words)) = &environment.command_list {
            let text = fs::read_to_string(path)
                .map_err(|error| EnvironmentError::UnreadableList { path: path.clone(), error })?;
            let commands = CommandList::parse(&text, *n_words)
                .map_err(|error| EnvironmentError::BadList { path: path.clone(), error })?;
            let commands = commands.ok_or_else(|| EnvironmentError::EmptyList(path.clone()))?;
            environment.commands = Some(commands);
        }
        Ok(environment)
    }

    fn read(
        variables: &[(OsString, OsString)],
        cwd: &Path,
        is_root: bool,
    ) -> Result<Self, EnvironmentError> {
        let get = |name: &str| {
            let (_, value) =
                variables.iter().find(|(key, value)| key == name && !value.is_empty())?;
            Some(value.clone())
        };
        let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let n_words = match get("DISTCC_CMDLIST_NUMWORDS") {
            Some(value) => {
                let number = value.to_str().and_then(|text| text.parse().ok());
                number.filter(|&n| n > 0).ok_or(EnvironmentError::BadNumberOfWords(value))?
            }
            None => 1,
        };
        Ok(Self {
            search_path: get("DISTCCD_PATH")
                .or_else(|| get("PATH"))
                .unwrap_or_else(|| DEFAULT_PATH.into()),
            temp_dir: get("TMPDIR").map_or_else(|| "/tmp".into(), |dir| cwd.join(dir)),
            state_dir: absolute("STATE_DIRECTORY")
                .or_else(|| is_root.then(|| "/var/lib/distccd".into()))
                .or_else(|| absolute("XDG_STATE_HOME").map(|dir| dir.join("distccd")))
                .or_else(|| absolute("HOME").map(|home| home.join(".local/state/distccd"))),
            locale: variables.iter().filter(|(key, _)| names_locale(key)).cloned().collect(),
            ccache: variables
                .iter()
                .filter(|(key, _)| key.as_bytes().starts_with(b"CCACHE_"))
                .cloned()
                .collect(),
            command_list: get("DISTCC_CMDLIST").map(|path| (cwd.join(path), n_words)),
            commands: None,
            save_temps: get("DISTCC_SAVE_TEMPS").is_some_and(|value| value == "1"),
        })
    }
}

fn names_locale(key: &OsString) -> bool {
    key.to_str().is_some_and(|key| key == "LANG" || key == "LANGUAGE" || key.starts_with("LC_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], is_root: bool) -> Result<DaemonEnvironment, EnvironmentError> {
        let variables: Vec<(OsString, OsString)> =
            pairs.iter().map(|(key, value)| (key.into(), value.into())).collect();
        DaemonEnvironment::read(&variables, Path::new("/start"), is_root)
    }

    #[test]
    fn state_belongs_to_the_machine_for_root_and_to_the_home_for_others() {
        let state = |pairs, is_root| read(pairs, is_root).unwrap().state_dir;
        let home = [("HOME", "/home/u")];
        assert_eq!(state(&home, true), Some("/var/lib/distccd".into()));
        assert_eq!(state(&home, false), Some("/home/u/.local/state/distccd".into()));
        let xdg = [("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")];
        assert_eq!(state(&xdg, false), Some("/s/distccd".into()));
        assert_eq!(state(&[("STATE_DIRECTORY", "/d")], true), Some("/d".into()));
        assert_eq!(state(&[], false), None);
    }

    #[test]
    fn relative_paths_are_taken_from_where_the_daemon_was_started() {
        let pairs = [
            ("PATH", "/bin"),
            ("DISTCCD_PATH", "/opt"),
            ("LC_ALL", "C"),
            ("TMPDIR", "t"),
            ("DISTCC_CMDLIST", "list"),
            ("DISTCC_CMDLIST_NUMWORDS", "2"),
        ];
        let environment = read(&pairs, false).unwrap();
        assert_eq!(environment.search_path, "/opt");
        assert_eq!(environment.temp_dir, Path::new("/start/t"));
        assert_eq!(environment.locale, [("LC_ALL".into(), "C".into())]);
        assert_eq!(environment.command_list, Some(("/start/list".into(), 2)));
        assert_eq!(read(&[], false).unwrap().temp_dir, Path::new("/tmp"));
    }

    #[test]
    fn a_number_of_words_that_is_none_is_refused() {
        for value in ["0", "-1", "two", "1.5"] {
            let error = read(&[("DISTCC_CMDLIST_NUMWORDS", value)], false).unwrap_err();
            assert!(error.to_string().contains(value), "{error}");
        }
    }
}
