//! `distcc-config`: the host list, the variables and the masquerade links of this user, or as root
//! of this machine, under the options of Gentoo's program of that name.

mod file;
mod hosts;
mod links;
mod variables;

use std::env;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::unistd::geteuid;

use crate::base::exit;
use crate::settings::env::Environment;

const USAGE: &str = "\
Usage:
  distcc-config --get-hosts                 the host list in force
  distcc-config --set-hosts LIST            another one, if all of it is hosts
  distcc-config --get-env [VARIABLE]        a variable, or all that are set
  distcc-config --set-env VARIABLE VALUE    sets it for the shells to come
  distcc-config --get-verbose, --set-verbose 0|1   the same for DISTCC_VERBOSE
  distcc-config --get-log, --set-log FILE   the same for DISTCC_LOG
  distcc-config --install [DIRECTORY]       links named as compilers to distcc
  distcc-config --help | --version

Files of the user, in $DISTCC_DIR (~/.distcc), and of root, if that is not set:
  hosts    /etc/distcc/hosts          the host list
  env      /etc/profile.d/distcc.sh   the variables, for a shell to read
Links go to ~/.local/lib/distcc, root's to /usr/local/lib/distcc.
";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    Help,
    Version,
    GetHosts,
    SetHosts(String),
    GetVariable(String),
    GetVariables,
    SetVariable(String, String),
    Install(Option<PathBuf>),
    Unusable(String),
}

/// Why nothing came of it. `Display` may have several lines, each a lowercase fragment but for
/// names.
#[derive(Debug)]
enum Failure {
    /// What is wrong with a value, a line each; nothing was written.
    Refused(Vec<String>),
    /// A file or directory that cannot be used.
    Io { path: PathBuf, error: io::Error },
    /// Something that is not there.
    Missing(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reasons) => f.write_str(&reasons.join("\n")),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Missing(what) => f.write_str(what),
        }
    }
}

/// Where things are kept.
#[derive(Clone, Debug)]
struct Places {
    hosts: PathBuf,
    variables: PathBuf,
    links: PathBuf,
}

impl Places {
    /// `$DISTCC_DIR` if it is set, else root's own places or the user's.
    fn new(environment: &Environment, chosen_dir: bool, is_root: bool) -> Option<Self> {
        let home = environment.home.as_deref().map(|home| home.join(".local/lib/distcc"));
        if is_root && !chosen_dir {
            return Some(Self {
                hosts: "/etc/distcc/hosts".into(),
                variables: "/etc/profile.d/distcc.sh".into(),
                links: "/usr/local/lib/distcc".into(),
            });
        }
        let dir = environment.distcc_dir.as_deref()?;
        let links = if is_root { Some("/usr/local/lib/distcc".into()) } else { home };
        Some(Self {
            hosts: dir.join("hosts"),
            variables: dir.join("env"),
            links: links.unwrap_or_else(|| dir.join("links")),
        })
    }
}

/// Runs `distcc-config`.
pub(crate) fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    let done = match understand(&words) {
        Request::Help => Ok(USAGE.to_owned()),
        Request::Version => Ok(super::version("distcc-config")),
        Request::Unusable(reason) => {
            eprint!("distcc-config: {reason}\n{USAGE}");
            return ExitCode::from(exit::BAD_ARGUMENTS);
        }
        request => {
            let environment = Environment::from_process();
            let chosen_dir = env::var_os("DISTCC_DIR").is_some_and(|dir| !dir.is_empty());
            match Places::new(&environment, chosen_dir, geteuid().is_root()) {
                Some(places) => answer(&request, &environment, &places),
                None => Err(Failure::Missing("neither DISTCC_DIR nor HOME is set".to_owned())),
            }
        }
    };
    match done {
        Ok(text) => {
            // A reader that has gone is no error worth a word.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            for line in failure.to_string().lines() {
                eprintln!("distcc-config: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn answer(
    request: &Request,
    environment: &Environment,
    places: &Places,
) -> Result<String, Failure> {
    match request {
        Request::GetHosts => hosts::get(environment),
        Request::SetHosts(list) => {
            hosts::set(&places.hosts, list)?;
            if environment.hosts.is_some() {
                eprintln!("distcc-config: $DISTCC_HOSTS is set: it holds, not this list");
            }
            Ok(String::new())
        }
        Request::GetVariables => variables::all(&places.variables),
        Request::GetVariable(name) => {
            let now = env::var_os(name).map(|value| value.to_string_lossy().into_owned());
            variables::get(&places.variables, name, now)
        }
        Request::SetVariable(name, value) => variables::set(&places.variables, name, value),
        Request::Install(dir) => {
            let distcc = links::program().ok_or_else(|| {
                Failure::Missing("there is no distcc beside distcc-config or on PATH".to_owned())
            })?;
            let dir = dir.as_deref().unwrap_or(&places.links);
            links::install(dir, &distcc, &environment.path)
        }
        Request::Help | Request::Version | Request::Unusable(_) => Ok(String::new()),
    }
}

fn understand(words: &[OsString]) -> Request {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let owned = |text: &str| text.to_owned();
    let variable = |name: &str, value: &str| Request::SetVariable(owned(name), owned(value));
    match words.as_deref() {
        None => Request::Unusable("expected words in UTF-8".to_owned()),
        Some(["--help"]) => Request::Help,
        Some(["--version"]) => Request::Version,
        Some(["--get-hosts"]) => Request::GetHosts,
        Some(["--set-hosts", list]) => Request::SetHosts(owned(list)),
        Some(["--get-env"]) => Request::GetVariables,
        Some(["--get-env", name]) => Request::GetVariable(owned(name)),
        Some(["--set-env", name, value]) => variable(name, value),
        Some(["--get-verbose"]) => Request::GetVariable(owned("DISTCC_VERBOSE")),
        Some(["--set-verbose", value @ ("0" | "1")]) => variable("DISTCC_VERBOSE", value),
        Some(["--get-log"]) => Request::GetVariable(owned("DISTCC_LOG")),
        Some(["--set-log", file]) => variable("DISTCC_LOG", file),
        Some(["--install"]) => Request::Install(None),
        Some(["--install", dir]) if Path::new(dir).is_absolute() => {
            Request::Install(Some(PathBuf::from(dir)))
        }
        Some(["--install", dir]) => {
            Request::Unusable(format!("{dir}: expected a directory that begins with '/'"))
        }
        Some(words) => Request::Unusable(match words.first() {
            Some(word) => format!("{word}: expected one of the following"),
            None => "expected one of the following".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(words: &[&str]) -> Request {
        understand(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn every_option_takes_its_values_and_no_others() {
        assert_eq!(understood(&["--set-hosts", "a b"]), Request::SetHosts("a b".to_owned()));
        assert_eq!(
            understood(&["--set-verbose", "1"]),
            Request::SetVariable("DISTCC_VERBOSE".to_owned(), "1".to_owned())
        );
        assert_eq!(understood(&["--install", "/x"]), Request::Install(Some("/x".into())));
        for junk in [
            &[][..],
            &["--set-hosts"],
            &["--set-hosts", "a", "b"],
            &["--set-verbose", "2"],
            &["--install", "x86_64-pc-linux-gnu"],
            &["--get-hosts", "x"],
            &["-q"],
        ] {
            assert!(matches!(understood(junk), Request::Unusable(_)), "{junk:?}");
        }
        assert!(USAGE.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn root_writes_for_the_machine_unless_a_directory_is_chosen() {
        let environment = |dir: Option<&str>| {
            Environment::from_lookup(|name| match name {
                "HOME" => Some("/h".into()),
                "DISTCC_DIR" => dir.map(Into::into),
                _ => None,
            })
        };
        let places = |dir: Option<&str>, is_root| {
            Places::new(&environment(dir), dir.is_some(), is_root).unwrap()
        };
        assert_eq!(places(None, true).hosts, Path::new("/etc/distcc/hosts"));
        assert_eq!(places(Some("/d"), true).hosts, Path::new("/d/hosts"));
        assert_eq!(places(None, false).variables, Path::new("/h/.distcc/env"));
        assert_eq!(places(None, false).links, Path::new("/h/.local/lib/distcc"));
    }
}
