//! What one run of the client knows from its start: the environment, the log, how it was called.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::settings::env::Environment;
use crate::settings::hosts::HostList;
use crate::settings::hosts_file;
use crate::wire::control::{CompilerQuery, HostsText};

use super::compiler::Compiler;
use super::invocation::Invocation;
use super::log::Log;
use super::state::State;

/// The variable by which a distcc notices that it called itself.
const SAFEGUARD: &str = "_DISTCC_SAFEGUARD";

/// One command and all that surrounds it.
#[derive(Debug)]
pub(super) struct Session<'a> {
    /// The environment, read once.
    pub(super) env: &'a Environment,
    /// Where messages go.
    pub(super) log: &'a Log,
    /// The command.
    pub(super) invocation: Invocation,
    /// What monitors see of it.
    pub(super) state: State,
    /// What its first word means, once it was looked for.
    compiler: OnceCell<Option<Compiler>>,
}

impl<'a> Session<'a> {
    /// Nothing has been looked for yet.
    pub(super) fn new(
        env: &'a Environment,
        log: &'a Log,
        invocation: Invocation,
        state: State,
    ) -> Self {
        Self { env, log, invocation, state, compiler: OnceCell::new() }
    }

    /// The compiler as the user named it.
    pub(super) fn compiler_name(&self) -> &OsStr {
        self.invocation.argv.first().map_or(OsStr::new("cc"), OsString::as_os_str)
    }

    /// The compiler's file.
    pub(super) fn compiler(&self) -> Option<Compiler> {
        let find = || Compiler::find(self.compiler_name(), &self.invocation.search_path);
        self.compiler.get_or_init(find).clone()
    }

    /// A command that runs `compiler` with `argv` in the environment that a compiler gets.
    pub(super) fn command(&self, compiler: &Compiler, argv: &[OsString]) -> Command {
        let mut command = compiler.command(argv);
        command.env(SAFEGUARD, (self.env.safeguard + 1).min(9).to_string());
        if self.invocation.trimmed {
            command.env("PATH", &self.invocation.search_path);
        }
        command
    }
}

/// The question for the agent what `compiler`, named `name`, is.
pub(super) fn query(compiler: &Compiler, name: &OsStr, search_path: &OsStr) -> CompilerQuery {
    CompilerQuery {
        path: compiler.path.as_os_str().as_bytes().to_vec(),
        search_path: search_path.as_bytes().to_vec(),
        name: name.as_bytes().to_vec(),
    }
}

/// The host list in force, if there is one.
pub(super) fn read_hosts(env: &Environment, log: &Log) -> Option<HostsText> {
    match hosts_file::load(env) {
        Ok(Some(hosts_file::HostsText { origin, text })) => Some(HostsText { origin, text }),
        Ok(None) => {
            log.warning(format_args!(
                "no hostlist is set; can't distribute work (DISTCC_HOSTS=+zeroconf finds hosts)"
            ));
            None
        }
        Err(unreadable) => {
            log.warning(format_args!("cannot read {unreadable}; can't distribute work"));
            None
        }
    }
}

/// Reports what is wrong with a host list.
pub(super) fn report_problems(text: &HostsText, list: &HostList, log: &Log) {
    for problem in &list.problems {
        let (origin, line, token) = (&text.origin, problem.line, &problem.token);
        log.warning(format_args!("{origin}:{line}: {token}: expected {}", problem.expected));
    }
}
