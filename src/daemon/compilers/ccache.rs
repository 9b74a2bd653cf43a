//! How a link to ccache is run in a compiler's place: it looks in its cache, and has the compiler
//! that was looked at, and no other, do what is not in there.

use std::ffi::OsString;
use std::path::Path;

use crate::fingerprint::inventory::Found;

/// The cache's directory in that of the daemon's state: neither ccache's own default, which needs a
/// home, nor one that users write to.
const DEFAULT_DIR: &str = "ccache";
/// Variables that are not passed on: they choose another compiler, or another program before it, as
/// `CCACHE_PREFIX=distcc` does for clients; what tells compilers apart is better known here.
const NOT_PASSED: [&str; 5] = [
    "CCACHE_COMPILER",
    "CCACHE_PATH",
    "CCACHE_PREFIX",
    "CCACHE_PREFIX_CPP",
    "CCACHE_COMPILERCHECK",
];

/// What ccache is given in its environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ccache {
    variables: Vec<(OsString, OsString)>,
}

impl Ccache {
    /// With the `CCACHE_*` of the daemon's environment; none where there is no place for a cache.
    pub(crate) fn new(given: &[(OsString, OsString)], state_dir: Option<&Path>) -> Option<Self> {
        let is_given = |name: &str| given.iter().any(|(key, _)| key == name);
        let passed = given.iter().filter(|(key, value)| {
            let is_dir = key == "CCACHE_DIR";
            !NOT_PASSED.iter().any(|name| key == name)
                && (!is_dir || Path::new(value).is_absolute())
        });
        let mut variables: Vec<(OsString, OsString)> = passed.cloned().collect();
        if !variables.iter().any(|(key, _)| key == "CCACHE_DIR") {
            variables.push(("CCACHE_DIR".into(), state_dir?.join(DEFAULT_DIR).into()));
        }
        // Each job has a directory of its own. A source tells for itself where it comes from.
        if !is_given("CCACHE_HASHDIR") && !is_given("CCACHE_NOHASHDIR") {
            variables.push(("CCACHE_NOHASHDIR".into(), "1".into()));
        }
        Some(Self { variables })
    }

    /// What is in the cache was made by this very toolchain; ccache by itself looks at the driver
    /// alone.
    pub(crate) fn environment(&self, found: &Found) -> Vec<(OsString, OsString)> {
        let digest = found.offered.toolchain.digest.iter();
        let digest: String = digest.map(|byte| format!("{byte:02x}")).collect();
        let ours = [
            ("CCACHE_COMPILER", found.path.as_os_str().to_owned()),
            ("CCACHE_COMPILERCHECK", format!("string:{digest}").into()),
            // Empty ones hold against a configuration file.
            ("CCACHE_PREFIX", OsString::new()),
            ("CCACHE_PREFIX_CPP", OsString::new()),
        ];
        let ours = ours.map(|(key, value)| (OsString::from(key), value));
        self.variables.iter().cloned().chain(ours).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn what_would_run_another_program_is_not_passed_on() {
        let given = pairs(&[
            ("CCACHE_PREFIX", "distcc"),
            ("CCACHE_COMPILER", "/tmp/evil"),
            ("CCACHE_MAXSIZE", "1G"),
            ("CCACHE_DIR", "relative"),
        ]);
        let state = Path::new("/var/lib/distccd");
        let ccache = Ccache::new(&given, Some(state)).unwrap();
        let expected = [
            ("CCACHE_MAXSIZE", "1G"),
            ("CCACHE_DIR", "/var/lib/distccd/ccache"),
            ("CCACHE_NOHASHDIR", "1"),
        ];
        assert_eq!(ccache.variables, pairs(&expected));
        assert_eq!(Ccache::new(&given, None), None);
        let given = pairs(&[("CCACHE_DIR", "/cache"), ("CCACHE_HASHDIR", "1")]);
        assert_eq!(Ccache::new(&given, None).unwrap().variables, given);
    }
}
