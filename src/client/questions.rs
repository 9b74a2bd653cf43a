//! What the client says about itself, its hosts and its networks: `--version`, `--show-hosts`,
//! `--networks` and what changes them, `-j`.

use std::env::consts::ARCH;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};

use crate::base::exit;
use crate::settings::env::Environment;
use crate::settings::hosts::{self, DEFAULT_LOCAL_SLOTS, HostEntry, HostList};
use crate::sys::cores;
use crate::wire::control::{
    CompilerQuery, HostLine, HostsAnswer, HostsText, NetworksOrder, ShowRequest,
};

use super::agent_link::{AgentError, AgentLink};
use super::compiler::Compiler;
use super::log::Log;
use super::place;
use super::session::{query, read_hosts, report_problems};
use super::ssh::ssh_client;
use crate::monitor::hosts::{render_plain, render_why};
use crate::monitor::networks::render;

/// The compilers to judge hosts for where none is named.
const USUAL_COMPILERS: [&str; 2] = ["cc", "clang"];

/// `--version`, in the form that the original's test suite reads.
pub(super) fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "distcc {version} {ARCH}-linux-gnu\n  \
           (protocols 1 and 2) (default port 3632)\n\
         A drop-in replacement for distcc whose machines find each other.\n\
         \n\
         This is free software under the GNU General Public License, version 2;\n\
         it comes with absolutely no warranty.\n"
    )
}

/// Where each question about hosts gets its answer.
pub(super) struct Hosts<'a> {
    /// The environment.
    pub(super) env: &'a Environment,
    /// Where messages go.
    pub(super) log: &'a Log,
}

impl Hosts<'_> {
    /// `--show-hosts`: one host a line, as it would stand in a host list. The exit code.
    pub(super) fn show(&self) -> u8 {
        let Some((text, list)) = self.read() else { return exit::GENERAL };
        let error = match self.ask(&text, self.usual_compilers()) {
            Ok(answer) => {
                print(&render_plain(&answer));
                return 0;
            }
            Err(error) => error,
        };
        print(&list.entries.iter().map(|entry| token(entry) + "\n").collect::<String>());
        if !list.entries.contains(&HostEntry::Zeroconf) {
            return 0;
        }
        self.log.error(format_args!("only the agent finds hosts, and not now: {error}"));
        exit::GENERAL
    }

    /// `--show-hosts --why`: the verdict on every host for every compiler, and what decided. The
    /// exit code.
    pub(super) fn explain(&self, names: &[OsString]) -> u8 {
        let Some((text, _)) = self.read() else { return exit::GENERAL };
        let mut compilers = Vec::new();
        for name in names {
            match self.compiler(name) {
                Some(compiler) => compilers.push(compiler),
                None => self.log.warning(format_args!("{}: no such compiler", name.display())),
            }
        }
        if names.is_empty() {
            compilers = self.usual_compilers();
        } else if compilers.is_empty() {
            return exit::COMPILER_MISSING;
        }
        match self.ask(&text, compilers) {
            Ok(answer) => {
                print(&render_why(&answer));
                0
            }
            Err(error) => {
                self.log.error(format_args!("only the agent knows why, and not now: {error}"));
                exit::GENERAL
            }
        }
    }

    /// `--networks`, and what changes them: every network, and may hosts there be used. The exit
    /// code.
    pub(super) fn networks(&self, order: NetworksOrder) -> u8 {
        match self.agent(|agent| agent.networks(order.clone())) {
            Ok(answer) => {
                if order == NetworksOrder::List || answer.problems.is_empty() {
                    print(&render(&answer));
                }
                for problem in &answer.problems {
                    self.log.error_to_user(format_args!("{problem}"));
                }
                if answer.problems.is_empty() { 0 } else { exit::GENERAL }
            }
            Err(error) => {
                self.log.error_to_user(format_args!(
                    "only the agent knows the networks, and not now: {error}"
                ));
                exit::GENERAL
            }
        }
    }

    /// `-j`: the slots of all hosts together. As much as this machine takes by itself is always
    /// right, since what finds no host is compiled here: `make -j$(distcc -j)` needs a number.
    pub(super) fn concurrency(&self) -> String {
        let slots = self.read().map_or(0, |(text, list)| self.remote_slots(&text, &list));
        format!("{}\n", slots.max(u32::from(cores::usable())))
    }

    fn remote_slots(&self, text: &HostsText, list: &HostList) -> u32 {
        match self.ask(text, self.usual_compilers()) {
            Ok(answer) => answer.lines.iter().filter(|line| counts(line)).map(slots).sum(),
            Err(_) => list.entries.iter().map(slots_of).sum(),
        }
    }

    fn read(&self) -> Option<(HostsText, HostList)> {
        let text = read_hosts(self.env, self.log)?;
        let list = hosts::parse(&text.text);
        report_problems(&text, &list, self.log);
        Some((text, list))
    }

    fn compiler(&self, name: &OsStr) -> Option<CompilerQuery> {
        let compiler = Compiler::find(name, &self.env.path)?;
        Some(query(&compiler, name, &self.env.path))
    }

    fn usual_compilers(&self) -> Vec<CompilerQuery> {
        USUAL_COMPILERS.iter().filter_map(|name| self.compiler(OsStr::new(name))).collect()
    }

    fn ask(
        &self,
        hosts: &HostsText,
        compilers: Vec<CompilerQuery>,
    ) -> Result<HostsAnswer, AgentError> {
        let request = ShowRequest {
            hosts: hosts.clone(),
            compilers,
            policy: self.env.policy.as_ref().map(|path| path.to_string_lossy().into_owned()),
            backoff: self.env.backoff_period,
            ssh: ssh_client(self.env),
        };
        self.agent(|agent| agent.show_hosts(request.clone()))
    }

    /// Asks the agent, or a new one if none answers.
    fn agent<T>(
        &self,
        ask: impl Fn(&mut AgentLink) -> Result<T, AgentError>,
    ) -> Result<T, AgentError> {
        let socket = place::socket(self.env).ok_or(AgentError::NoDirectory)?;
        AgentLink::connect(&socket).and_then(|mut agent| ask(&mut agent)).or_else(
            |error| match self.env.may_start_agent {
                true => ask(&mut AgentLink::start(&socket, &self.env.path)?),
                false => Err(error),
            },
        )
    }
}

/// A discovered host that can be used for no compiler is no host of this user.
fn counts(line: &HostLine) -> bool {
    line.source != "zeroconf" || line.verdicts.iter().any(|verdict| verdict.usable)
}

fn slots(line: &HostLine) -> u32 {
    u32::from(line.slots)
}

/// Writes to standard output; a reader that has gone is no error.
pub(super) fn print(text: &str) {
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn token(entry: &HostEntry) -> String {
    match entry {
        HostEntry::Localhost { slots: DEFAULT_LOCAL_SLOTS } => "localhost".to_owned(),
        HostEntry::Localhost { slots } => format!("localhost/{slots}"),
        HostEntry::Tcp(host) => host.token.clone(),
        HostEntry::Ssh(host) => host.token.clone(),
        HostEntry::Zeroconf => "+zeroconf".to_owned(),
    }
}

fn slots_of(entry: &HostEntry) -> u32 {
    match entry {
        HostEntry::Localhost { slots } => u32::from(*slots),
        HostEntry::Tcp(host) => u32::from(host.slots),
        HostEntry::Ssh(host) => u32::from(host.slots),
        HostEntry::Zeroconf => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_by_the_originals_suite() {
        let text = version();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].split(' ').count(), 3);
        assert!(lines[0].starts_with("distcc "));
        assert!(lines[1].trim_start().starts_with("(protocol"));
        assert!(lines[1].ends_with(") (default port 3632)"));
        assert!(lines.len() >= 3 && text.ends_with('\n'));
    }
}
