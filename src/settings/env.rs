//! The environment of the client, read once.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use super::hosts::DEFAULT_BACKOFF;
use super::ssh::{self, SshProgram};

/// Without progress for so long an exchange with a host has failed, `DISTCC_IO_TIMEOUT`.
const DEFAULT_IO_TIMEOUT: Duration = Duration::from_secs(300);
/// How long connecting to one address may take, `DISTCC_CONNECT_TIMEOUT`; as in the original.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// The longest pause between two looks at the lock files, `DISTCC_PAUSE_TIME_MSEC`.
const DEFAULT_PAUSE: Duration = Duration::from_millis(1000);
/// Variables with which a compiler runs other programs than its own, or writes other files.
const COMPILER_VARIABLES: [&str; 3] = ["COMPILER_PATH", "GCC_EXEC_PREFIX", "CCC_OVERRIDE_OPTIONS"];

/// Variables by which gcc adds to a file of dependencies.
const DEPENDENCY_VARIABLES: [&str; 2] = ["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"];

/// What the environment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `DISTCC_HOSTS`; an empty one is set all the same.
    pub(crate) hosts: Option<String>,
    /// `DISTCC_DIR`, else `~/.distcc`; none without a home.
    pub(crate) distcc_dir: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `TMPDIR`, else `/tmp`.
    pub(crate) tmpdir: PathBuf,
    /// `PATH`; empty if unset.
    pub(crate) path: OsString,
    /// `DISTCC_VERBOSE=1`.
    pub(crate) verbose: bool,
    /// `DISTCC_LOG`; an empty one means standard error and is none here.
    pub(crate) log: Option<PathBuf>,
    /// `UNCACHED_ERR_FD`: where ccache lets messages go that it must not remember.
    pub(crate) uncached_err_fd: Option<i32>,
    /// False with `DISTCC_FALLBACK=0`: what cannot travel for want of a host fails.
    pub(crate) fallback: bool,
    /// `DISTCC_SKIP_LOCAL_RETRY` with any value: a compiler's error is not tried again here.
    pub(crate) skip_local_retry: bool,
    /// `DISTCC_IO_TIMEOUT`, in seconds. With one that is no time to wait nothing is distributed.
    pub(crate) io_timeout: Result<Duration, VariableProblem>,
    /// `DISTCC_CONNECT_TIMEOUT`, in seconds and fractions of one.
    pub(crate) connect_timeout: Duration,
    /// `DISTCC_BACKOFF_PERIOD`, in seconds; zero: a host that failed is not left out.
    pub(crate) backoff_period: Duration,
    /// `DISTCC_PAUSE_TIME_MSEC`, in milliseconds.
    pub(crate) pause: Duration,
    /// `DISTCC_SSH`, as it is and as it is understood.
    pub(crate) ssh: (Option<String>, SshProgram),
    /// `SSH_AUTH_SOCK`: where ssh finds the user's unlocked keys.
    pub(crate) ssh_auth_sock: Option<PathBuf>,
    /// `DISTCC_SAVE_TEMPS=1`.
    pub(crate) save_temps: bool,
    /// False with `DISTCC_NATIVE=local`: what is for this processor is compiled here.
    pub(crate) native_travels: bool,
    /// False with `DISTCC_NO_REWRITE_CROSS` or, as the manual has it, `DISTCC_NO_CROSS_REWRITE`:
    /// without an agent a compiler is asked for as typed.
    pub(crate) rewrite_names: bool,
    /// `DISTCC_POLICY`.
    pub(crate) policy: Option<PathBuf>,
    /// False with `DISTCC_AGENT=off`: no agent is started (one that runs is used).
    pub(crate) may_start_agent: bool,
    /// `_DISTCC_SAFEGUARD`: how deep we are inside ourselves; anything but a number counts as 1.
    pub(crate) safeguard: u32,
    /// The first variable set with which the compiler here is not the one that it seems to be.
    pub(crate) compiler_override: Option<&'static str>,
    /// The first variable set by which gcc adds to a file of dependencies: a preprocessor run does
    /// so too, and a compile here after it would do it twice.
    pub(crate) dependency_variable: Option<&'static str>,
    /// Values that could not be used; the default holds instead.
    pub(crate) problems: Vec<VariableProblem>,
    /// The same, where everybody relies on being told nothing of it.
    pub(crate) tolerated: Vec<VariableProblem>,
}

/// A variable with a value that cannot be used. `Display` is a lowercase fragment but for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VariableProblem {
    /// Without its dollar sign.
    pub(crate) name: &'static str,
    /// As found.
    pub(crate) value: String,
    /// A lowercase fragment, `0 or 1`.
    pub(crate) expected: &'static str,
}

impl Display for VariableProblem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "${}: {:?}: expected {}", self.name, self.value, self.expected)
    }
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn from_process() -> Self {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// Reads variables by `lookup`.
    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut reader = Reader { lookup, problems: Vec::new(), tolerated: Vec::new() };
        let home = reader.path("HOME");
        let distcc_dir =
            reader.path("DISTCC_DIR").or_else(|| home.as_ref().map(|home| home.join(".distcc")));
        Self {
            hosts: (reader.lookup)("DISTCC_HOSTS")
                .map(|hosts| hosts.to_string_lossy().into_owned()),
            distcc_dir,
            home,
            runtime_dir: reader.path("XDG_RUNTIME_DIR"),
            tmpdir: reader.path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")),
            path: (reader.lookup)("PATH").unwrap_or_default(),
            verbose: reader.flag("DISTCC_VERBOSE", false),
            log: reader.path("DISTCC_LOG"),
            uncached_err_fd: reader.number("UNCACHED_ERR_FD", "a file descriptor"),
            fallback: reader.flag("DISTCC_FALLBACK", true),
            skip_local_retry: (reader.lookup)("DISTCC_SKIP_LOCAL_RETRY").is_some(),
            io_timeout: reader.io_timeout(),
            connect_timeout: reader.connect_timeout(),
            backoff_period: reader
                .number("DISTCC_BACKOFF_PERIOD", "a number of seconds, 0 or more")
                .map_or(DEFAULT_BACKOFF, |seconds: u32| Duration::from_secs(seconds.into())),
            pause: reader
                .number("DISTCC_PAUSE_TIME_MSEC", "a number of milliseconds, 0 or more")
                .map_or(DEFAULT_PAUSE, |millis: u32| Duration::from_millis(millis.into())),
            ssh: reader.ssh(),
            ssh_auth_sock: reader.path("SSH_AUTH_SOCK"),
            save_temps: reader.flag("DISTCC_SAVE_TEMPS", false),
            native_travels: reader.native_travels(),
            rewrite_names: ["DISTCC_NO_REWRITE_CROSS", "DISTCC_NO_CROSS_REWRITE"]
                .into_iter()
                .all(|name| (reader.lookup)(name).is_none()),
            policy: reader.path("DISTCC_POLICY"),
            may_start_agent: reader.may_start_agent(),
            safeguard: (reader.lookup)("_DISTCC_SAFEGUARD").map_or(0, |level| depth(&level)),
            compiler_override: COMPILER_VARIABLES
                .into_iter()
                .find(|name| (reader.lookup)(name).is_some()),
            dependency_variable: DEPENDENCY_VARIABLES
                .into_iter()
                .find(|name| (reader.lookup)(name).is_some()),
            problems: reader.problems,
            tolerated: reader.tolerated,
        }
    }
}

/// The original reads the level as a number and takes anything else for 1.
fn depth(level: &OsStr) -> u32 {
    level.to_str().and_then(|level| level.parse().ok()).unwrap_or(1)
}

struct Reader<F> {
    lookup: F,
    problems: Vec<VariableProblem>,
    tolerated: Vec<VariableProblem>,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// An empty path is none.
    fn path(&self, name: &str) -> Option<PathBuf> {
        (self.lookup)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn report(&mut self, name: &'static str, value: &OsStr, expected: &'static str) {
        let value = value.to_string_lossy().into_owned();
        self.problems.push(VariableProblem { name, value, expected });
    }

    /// Only `0` and `1` are answers, as in the original; anything else is none.
    fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let value = (self.lookup)(name).unwrap_or_default();
        match value.to_str() {
            Some("0") => false,
            Some("1") => true,
            Some("") => default,
            _ => {
                let value = value.to_string_lossy().into_owned();
                self.tolerated.push(VariableProblem { name, value, expected: "0 or 1" });
                default
            }
        }
    }

    fn number<N: std::str::FromStr>(
        &mut self,
        name: &'static str,
        expected: &'static str,
    ) -> Option<N> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
        let number = value.to_str().and_then(|text| text.trim().parse().ok());
        if number.is_none() {
            self.report(name, &value, expected);
        }
        number
    }

    /// The original ends where it would wait, exit code 101, so this is no case for the default.
    fn io_timeout(&self) -> Result<Duration, VariableProblem> {
        let name = "DISTCC_IO_TIMEOUT";
        let Some(value) = (self.lookup)(name) else { return Ok(DEFAULT_IO_TIMEOUT) };
        let seconds = value.to_str().and_then(|text| text.trim().parse::<u32>().ok());
        match seconds.filter(|seconds| *seconds > 0) {
            Some(seconds) => Ok(Duration::from_secs(seconds.into())),
            None => {
                let value = value.to_string_lossy().into_owned();
                let expected = "a number of seconds, 1 or more";
                Err(VariableProblem { name, value, expected })
            }
        }
    }

    fn connect_timeout(&mut self) -> Duration {
        let (name, expected) = ("DISTCC_CONNECT_TIMEOUT", "a number of seconds above 0, like 0.5");
        let Some(seconds) = self.number::<f64>(name, expected) else {
            return DEFAULT_CONNECT_TIMEOUT;
        };
        let timeout = Duration::try_from_secs_f64(seconds).ok();
        timeout.filter(|timeout| !timeout.is_zero()).unwrap_or_else(|| {
            self.report(name, OsStr::new(&seconds.to_string()), expected);
            DEFAULT_CONNECT_TIMEOUT
        })
    }

    fn native_travels(&mut self) -> bool {
        let value = (self.lookup)("DISTCC_NATIVE").unwrap_or_default();
        if !matches!(value.to_str(), Some("" | "local")) {
            self.report("DISTCC_NATIVE", &value, "local, or nothing");
        }
        value != "local"
    }

    fn ssh(&mut self) -> (Option<String>, SshProgram) {
        let name = "DISTCC_SSH";
        let Some(value) = (self.lookup)(name) else { return (None, SshProgram::default()) };
        match value.to_str().and_then(|said| Some((said.to_owned(), SshProgram::parse(said)?))) {
            Some((said, program)) => (Some(said), program),
            None => {
                self.report(name, &value, ssh::EXPECTED);
                (None, SshProgram::default())
            }
        }
    }

    fn may_start_agent(&mut self) -> bool {
        let value = (self.lookup)("DISTCC_AGENT").unwrap_or_default();
        match value.to_str() {
            Some("off") => false,
            Some("" | "on") => true,
            _ => {
                self.report("DISTCC_AGENT", &value, "on or off");
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_lookup(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_empty_environment_means_the_defaults() {
        let found = environment(&[]);
        assert_eq!(found.hosts, None);
        assert_eq!(found.distcc_dir, None);
        assert_eq!(found.tmpdir, PathBuf::from("/tmp"));
        assert_eq!(found.io_timeout, Ok(Duration::from_secs(300)));
        assert_eq!(found.connect_timeout, Duration::from_secs(4));
        assert_eq!(found.backoff_period, Duration::from_secs(60));
        assert!(found.fallback && !found.verbose && !found.save_temps && found.may_start_agent);
        assert_eq!((found.safeguard, found.compiler_override), (0, None));
        assert_eq!(found.problems, []);
    }

    #[test]
    fn directories_follow_the_home() {
        let found = environment(&[("HOME", "/h")]);
        assert_eq!(found.distcc_dir, Some(PathBuf::from("/h/.distcc")));
        let found = environment(&[("HOME", "/h"), ("DISTCC_DIR", "/d"), ("TMPDIR", "")]);
        assert_eq!(found.distcc_dir, Some(PathBuf::from("/d")));
        assert_eq!(found.tmpdir, PathBuf::from("/tmp"));
    }

    #[test]
    fn flags_know_two_answers_and_pass_over_others() {
        for (value, fallback, problems) in
            [("0", false, 0), ("1", true, 0), ("", true, 0), ("no", true, 1), ("2", true, 1)]
        {
            let found = environment(&[("DISTCC_FALLBACK", value)]);
            assert_eq!((found.fallback, found.tolerated.len()), (fallback, problems), "{value:?}");
            assert_eq!(found.problems, []);
        }
        assert!(environment(&[("DISTCC_VERBOSE", "1")]).verbose);
        assert!(environment(&[("DISTCC_SKIP_LOCAL_RETRY", "0")]).skip_local_retry);
    }

    #[test]
    fn names_and_processors_are_left_alone_where_that_is_asked() {
        let found = environment(&[]);
        assert!(found.rewrite_names && found.native_travels);
        for name in ["DISTCC_NO_REWRITE_CROSS", "DISTCC_NO_CROSS_REWRITE"] {
            assert!(!environment(&[(name, "")]).rewrite_names, "{name}");
        }
        assert!(!environment(&[("DISTCC_NATIVE", "local")]).native_travels);
        let found = environment(&[("DISTCC_NATIVE", "1")]);
        assert_eq!((found.native_travels, found.problems.len()), (true, 1));
    }

    #[test]
    fn numbers_that_are_none_are_reported_with_what_was_expected() {
        let found = environment(&[
            ("DISTCC_BACKOFF_PERIOD", "-1"),
            ("DISTCC_PAUSE_TIME_MSEC", "fast"),
            ("DISTCC_CONNECT_TIMEOUT", "0"),
            ("DISTCC_AGENT", "maybe"),
        ]);
        assert_eq!(found.connect_timeout, Duration::from_secs(4));
        assert_eq!(found.backoff_period, Duration::from_secs(60));
        let texts: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "$DISTCC_CONNECT_TIMEOUT: \"0\": expected a number of seconds above 0, like 0.5",
                "$DISTCC_BACKOFF_PERIOD: \"-1\": expected a number of seconds, 0 or more",
                "$DISTCC_PAUSE_TIME_MSEC: \"fast\": expected a number of milliseconds, 0 or more",
                "$DISTCC_AGENT: \"maybe\": expected on or off",
            ]
        );
    }

    #[test]
    fn times_are_seconds_and_only_a_connect_may_be_shorter_than_one() {
        let found = environment(&[("DISTCC_IO_TIMEOUT", "7"), ("DISTCC_BACKOFF_PERIOD", "0")]);
        assert_eq!(found.io_timeout, Ok(Duration::from_secs(7)));
        assert_eq!(found.backoff_period, Duration::ZERO);
        for value in ["0", "-5", "", "soon"] {
            let problem = environment(&[("DISTCC_IO_TIMEOUT", value)]).io_timeout.unwrap_err();
            assert_eq!(
                problem.to_string(),
                format!("$DISTCC_IO_TIMEOUT: {value:?}: expected a number of seconds, 1 or more")
            );
        }
        for (value, millis) in [("0.25", 250), ("2", 2000), ("-1", 4000), ("inf", 4000)] {
            let found = environment(&[("DISTCC_CONNECT_TIMEOUT", value)]);
            assert_eq!(found.connect_timeout, Duration::from_millis(millis), "{value}");
        }
    }

    #[test]
    fn the_safeguard_counts_and_takes_nonsense_for_one() {
        for (value, level) in [("0", 0), ("2", 2), ("yes", 1), ("", 1)] {
            assert_eq!(environment(&[("_DISTCC_SAFEGUARD", value)]).safeguard, level, "{value:?}");
        }
    }

    #[test]
    fn an_empty_host_list_is_set_and_an_empty_log_is_not() {
        let found = environment(&[("DISTCC_HOSTS", ""), ("DISTCC_LOG", "")]);
        assert_eq!((found.hosts.as_deref(), found.log), (Some(""), None));
    }

    #[test]
    fn variables_that_change_the_compiler_are_named() {
        let found = environment(&[("GCC_EXEC_PREFIX", "/x")]);
        assert_eq!(found.compiler_override, Some("GCC_EXEC_PREFIX"));
    }
}
