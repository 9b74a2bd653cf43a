//! What distccd takes from its environment.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The compilers' search path where the environment names none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What the daemon takes from its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the parts that use them are being written")]
pub(crate) struct DaemonEnvironment {
    /// Where compilers are looked for: `$DISTCCD_PATH`, else `$PATH`.
    pub(crate) search_path: OsString,
    /// Where job directories are made: `$TMPDIR`, else `/tmp`.
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
    /// `DISTCC_SAVE_TEMPS`: job directories are left behind.
    pub(crate) save_temps: bool,
}

impl DaemonEnvironment {
    /// Reads the process's environment, once. `is_root` decides where state belongs.
    pub(crate) fn from_process(is_root: bool) -> Self {
        Self::read(&env::vars_os().collect::<Vec<_>>(), is_root)
    }

    fn read(variables: &[(OsString, OsString)], is_root: bool) -> Self {
        let get = |name: &str| {
            let (_, value) =
                variables.iter().find(|(key, value)| key == name && !value.is_empty())?;
            Some(value.clone())
        };
        let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            search_path: get("DISTCCD_PATH")
                .or_else(|| get("PATH"))
                .unwrap_or_else(|| DEFAULT_PATH.into()),
            temp_dir: absolute("TMPDIR").unwrap_or_else(|| "/tmp".into()),
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
            command_list: get("DISTCC_CMDLIST").map(|path| {
                let n_words = get("DISTCC_CMDLIST_NUMWORDS");
                let n_words = n_words.and_then(|n| n.to_str()?.parse().ok()).unwrap_or(1);
                (path.into(), n_words)
            }),
            save_temps: get("DISTCC_SAVE_TEMPS").is_some_and(|value| value == "1"),
        }
    }
}

fn names_locale(key: &OsString) -> bool {
    key.to_str().is_some_and(|key| key == "LANG" || key == "LANGUAGE" || key.starts_with("LC_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_belongs_to_the_machine_for_root_and_to_the_home_for_others() {
        let variables = |pairs: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            pairs.iter().map(|(key, value)| (key.into(), value.into())).collect()
        };
        let state = |pairs, is_root| DaemonEnvironment::read(&variables(pairs), is_root).state_dir;
        let home = [("HOME", "/home/u")];
        assert_eq!(state(&home, true), Some("/var/lib/distccd".into()));
        assert_eq!(state(&home, false), Some("/home/u/.local/state/distccd".into()));
        let xdg = [("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")];
        assert_eq!(state(&xdg, false), Some("/s/distccd".into()));
        assert_eq!(state(&[("STATE_DIRECTORY", "/d")], true), Some("/d".into()));
        assert_eq!(state(&[], false), None);
        let read = DaemonEnvironment::read(
            &variables(&[
                ("PATH", "/bin"),
                ("DISTCCD_PATH", "/opt"),
                ("LC_ALL", "C"),
                ("TMPDIR", "t"),
            ]),
            false,
        );
        assert_eq!((read.search_path, read.temp_dir), ("/opt".into(), "/tmp".into()));
        assert_eq!(read.locale, [("LC_ALL".into(), "C".into())]);
    }
}
