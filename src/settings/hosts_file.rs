//! Where a host list comes from: the environment, then the hosts files, the first that
//! exists (distcc 3.4, `hosts.c`).

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::env::Environment;
use super::hosts::MAX_LIST;

/// The list of the whole machine.
const SYSTEM_LIST: &str = "/etc/distcc/hosts";

/// A host list as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostsText {
    /// `$DISTCC_HOSTS` or the path of a hosts file, for messages.
    pub(crate) origin: String,
    /// Its contents; of a file no more than suffices to see that it is too long.
    pub(crate) text: String,
}

/// A hosts file that is there and cannot be read. `Display` is a lowercase fragment but for the
/// path.
#[derive(Debug)]
pub(crate) struct Unreadable {
    path: PathBuf,
    error: io::Error,
}

impl Display for Unreadable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

/// The list in force; none if nobody has written one. `$DISTCC_HOSTS` counts even if it is empty,
/// and a file even if it cannot be read: the next one is not what its owner meant.
pub(crate) fn load(environment: &Environment) -> Result<Option<HostsText>, Unreadable> {
    if let Some(text) = &environment.hosts {
        let origin = "$DISTCC_HOSTS".to_owned();
        return Ok(Some(HostsText { origin, text: text.clone() }));
    }
    for path in search_paths(environment) {
        match read(&path) {
            Ok(hosts) => return Ok(Some(hosts)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Unreadable { path, error }),
        }
    }
    Ok(None)
}

/// The hosts files in the order in which they are looked for.
pub(crate) fn search_paths(environment: &Environment) -> Vec<PathBuf> {
    let own = environment.distcc_dir.as_ref().map(|dir| dir.join("hosts"));
    own.into_iter().chain([PathBuf::from(SYSTEM_LIST)]).collect()
}

fn read(path: &Path) -> io::Result<HostsText> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_LIST).expect("a mebibyte fits") + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(HostsText { origin: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;

    fn environment(dir: &Path, hosts: Option<&str>) -> Environment {
        Environment::from_lookup(|name| match name {
            "DISTCC_DIR" => Some(dir.as_os_str().to_owned()),
            "DISTCC_HOSTS" => hosts.map(OsString::from),
            _ => None,
        })
    }

    #[test]
    fn the_variable_comes_before_the_files_even_when_empty() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hosts"), "a b").unwrap();
        let found = |hosts| load(&environment(dir.path(), hosts)).unwrap().unwrap();
        assert_eq!(
            found(Some("x")),
            HostsText { origin: "$DISTCC_HOSTS".into(), text: "x".into() }
        );
        assert_eq!(found(Some("")).text, "");
        assert_eq!(found(None).text, "a b");
        assert!(found(None).origin.ends_with("/hosts"));
    }

    #[test]
    fn the_own_list_comes_before_that_of_the_machine() {
        let paths = search_paths(&environment(Path::new("/d"), None));
        assert_eq!(paths, [Path::new("/d/hosts"), Path::new(SYSTEM_LIST)]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        fs::create_dir(&path).unwrap();
        let error = load(&environment(dir.path(), None)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
    }

    #[test]
    fn a_file_that_is_too_long_is_seen_to_be() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hosts"), "h ".repeat(MAX_LIST)).unwrap();
        let text = load(&environment(dir.path(), None)).unwrap().unwrap().text;
        assert_eq!(text.len(), MAX_LIST + 1);
        assert_eq!(super::super::hosts::parse(&text).problems.len(), 1);
    }
}
