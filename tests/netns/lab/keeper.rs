//! A shell in namespaces of its own that runs what it is told.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::tool;

/// Obeys each line of orders on its stdin, and answers with what that printed and `exit CODE`. The
/// reader is a child, so that the shell, the first process of its namespace, waits and thereby
/// collects orphans. When the pipe closes, for the test was killed, the switch tidies up.
const OBEY: &str = "
    exec 3<&0
    while read -r order; do eval \"$order\" 2>&1; echo \"exit $?\"; done <&3 3<&- &
    wait $!
    if [ -n \"$LAB_ALL\" ]; then rm -rf \"$LAB_ALL\"; fi";

/// A shell in namespaces of its own that runs what it is told.
pub(super) struct Keeper {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The shell, as this process sees it.
    pub(super) pid: Pid,
}

impl Keeper {
    /// `unshare` gets the given options; the shell first runs `setup`.
    pub(super) fn start(options: &[&str], setup: &str, vars: &[(&str, &Path)]) -> io::Result<Self> {
        // A redirection is opened by the shell itself, through the /proc of the namespace outside.
        let script =
            format!("read -r pid rest </proc/self/stat\n{setup} || exit 1\necho $pid\n{OBEY}");
        let mut process = Command::new(tool("unshare")?)
            .args(options)
            .args(["--kill-child=KILL", "--", "/bin/sh", "-c", &script])
            .envs(vars.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().expect("stdin is a pipe");
        let mut answers = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let line = read_line(&mut answers)?;
        let Ok(pid) = line.parse() else {
            let mut stderr = process.stderr.take().expect("stderr is a pipe");
            let mut reason = String::new();
            stderr.read_to_string(&mut reason)?;
            process.wait()?;
            return Err(io::Error::other(reason.trim_end()));
        };
        Ok(Self { process, orders, answers, pid: Pid::from_raw(pid) })
    }

    /// The shell and its reader, its first child, as this process sees them.
    pub(super) fn own_pids(&self) -> Vec<Pid> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid));
        let children = children.unwrap_or_default();
        let reader = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        [self.pid].into_iter().chain(reader.map(Pid::from_raw)).collect()
    }

    /// Runs one command of shell.
    #[track_caller]
    pub(super) fn order(&mut self, line: &str) {
        writeln!(self.orders, "{}", line.replace('\n', " ")).unwrap();
        let mut said = String::new();
        loop {
            let from = said.len();
            let read = self.answers.read_line(&mut said).unwrap();
            match said[from..].trim_end().strip_prefix("exit ") {
                Some("0") => return,
                None if read > 0 => (),
                _ => panic!("failed: {line}\n{said}"),
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // While `unshare` has not been waited for, the pid is its child's. The first process of a
        // pid namespace ends only after all others in it.
        if let Ok(None) = self.process.try_wait() {
            let _ = signal::kill(self.pid, Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

/// One line without its end.
fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
