//! A host reached by ssh: the program that stands for the connection, and what it says.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::settings::env::Environment;
use crate::settings::ssh::{SshProgram, Target};
use crate::wire::control::{SshClient, SshRoute};

use super::child::Running;
use super::log::Log;
use super::remote::HostFailure;

/// Of what ssh says, so much is kept, in bytes.
const MAX_SAID: u64 = 64 << 10;
/// After the last byte from the host, the program gets so long to end.
const END_DEADLINE: Duration = Duration::from_secs(2);
/// What ssh exits with when it is ssh that failed, not the command there.
const SSH_FAILED: i32 = 255;
/// What a shell exits with that cannot run a command.
const CANNOT_RUN: [i32; 2] = [126, 127];

/// The words of one job's ssh.
pub(super) fn argv(program: &SshProgram, route: &SshRoute) -> Vec<OsString> {
    use std::os::unix::ffi::OsStringExt;
    let target = Target {
        user: route.user.as_deref(),
        host: &route.host,
        command: route.command.as_deref(),
    };
    match &route.control_path {
        Some(path) => program.shared(target, &OsString::from_vec(path.clone())),
        None => program.alone(target),
    }
}

/// What the agent has to know of how this client calls ssh.
pub(super) fn ssh_client(env: &Environment) -> SshClient {
    use std::os::unix::ffi::OsStrExt;
    let auth_sock = env.ssh_auth_sock.as_ref().map(|path| path.as_os_str().as_bytes().to_vec());
    SshClient { program: env.ssh.0.clone(), auth_sock }
}

/// An ssh that runs, ended and waited for when this is dropped.
#[derive(Debug)]
pub(super) struct Channel<'a> {
    argv: Vec<OsString>,
    stream: UnixStream,
    child: Running,
    said: File,
    log: &'a Log,
}

impl<'a> Channel<'a> {
    /// Starts ssh. Its standard error is kept from the user's, where a build's is read.
    pub(super) fn open(argv: Vec<OsString>, log: &'a Log) -> Result<Self, HostFailure> {
        Self::start(argv, log).map_err(|error| HostFailure::Ssh(error.to_string()))
    }

    fn start(argv: Vec<OsString>, log: &'a Log) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let said = File::from(memfd_create(c"ssh", MFdFlags::MFD_CLOEXEC)?);
        let (program, words) =
            argv.split_first().ok_or_else(|| io::Error::other("no program for ssh"))?;
        let mut command = Command::new(program);
        command.args(words);
        let input = theirs.try_clone()?;
        command.stdin(OwnedFd::from(input)).stdout(OwnedFd::from(theirs)).stderr(said.try_clone()?);
        let child = Running::start(command).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        })?;
        Ok(Self { argv, stream, child, said, log })
    }

    /// Another one to the same host, unless ssh itself has failed: `has_closed` if it may have.
    pub(super) fn renewed(&mut self, has_closed: bool) -> Result<Self, HostFailure> {
        if has_closed && self.end().and_then(|end| end.code()) == Some(SSH_FAILED) {
            return Err(self.explain(HostFailure::Gone));
        }
        Self::open(self.argv.clone(), self.log)
    }

    /// What is spoken over.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// For poll.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// How the program has ended, if that is so or happens soon.
    fn end(&mut self) -> Option<ExitStatus> {
        self.child.wait_for(END_DEADLINE).ok().flatten()
    }

    /// Why the host closed: `failure`, unless ssh knows better.
    pub(super) fn explain(&mut self, failure: HostFailure) -> HostFailure {
        let code = self.end().and_then(|end| end.code());
        let said = self.last_word();
        match code {
            Some(SSH_FAILED) => HostFailure::Ssh(said.unwrap_or_else(|| "ssh failed".to_owned())),
            Some(code) if CANNOT_RUN.contains(&code) => {
                HostFailure::Ssh(said.unwrap_or_else(|| "there is no distccd".to_owned()))
            }
            _ => failure,
        }
    }

    fn said(&self) -> String {
        let mut said = Vec::new();
        let mut file = &self.said;
        let read = file.rewind().and_then(|()| file.take(MAX_SAID).read_to_end(&mut said));
        if read.is_err() {
            return String::new();
        }
        String::from_utf8_lossy(&said).replace(|c: char| c.is_control() && c != '\n', "")
    }

    fn last_word(&self) -> Option<String> {
        self.said().lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
    }
}

impl Drop for Channel<'_> {
    fn drop(&mut self) {
        for line in self.said().lines().filter(|line| !line.trim().is_empty()) {
            self.log.info(format_args!("ssh said: {line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::log::LogSettings;
    use super::*;

    fn shell(script: &str, log: &Log) -> HostFailure {
        let argv = ["sh", "-c", script].map(OsString::from).to_vec();
        Channel::open(argv, log).unwrap().explain(HostFailure::Refused)
    }

    #[test]
    fn what_ssh_says_tells_why_it_failed() {
        let log = Log::open(&LogSettings::default());
        for (script, expected) in [
            ("echo a >&2; echo h: denied >&2; exit 255", "h: denied"),
            ("echo distccd: not found >&2; exit 127", "distccd: not found"),
            ("exit 255", "ssh failed"),
            ("echo words >&2; exit 109", "closed the connection without an answer"),
        ] {
            assert_eq!(shell(script, &log).to_string(), expected, "{script}");
        }
    }

    #[test]
    fn one_that_is_given_up_is_ended() {
        let log = Log::open(&LogSettings::default());
        let argv = ["sh", "-c", "echo $$; exec cat >/dev/null"].map(OsString::from).to_vec();
        let channel = Channel::open(argv, &log).unwrap();
        channel.stream().set_nonblocking(false).unwrap();
        let mut pid = [0; 16];
        let n_read = channel.stream().read(&mut pid).unwrap();
        let pid: i32 = str::from_utf8(&pid[..n_read]).unwrap().trim().parse().unwrap();
        channel.stream().write_all(b"x").unwrap();
        drop(channel);
        assert!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err());
    }
}
