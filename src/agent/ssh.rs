//! Hosts reached by ssh: one connection to each, held for the jobs of all clients, and the questions
//! that go over it. No decision is made here.
//!
//! ssh runs without a terminal and asks nobody anything (`BatchMode`): what it needs is in files or
//! held by the ssh-agent of the client that wants the host.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, Join, join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::info;

use super::ask::{self, Answer, Contact, Probed};
use super::books::Books;
use super::peers::PeerKey;
use super::shell::Event;
use crate::settings::ssh::{SshProgram, Target};
use crate::sys::process;

/// A connection that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// Until a connection can be used; ssh has its own, shorter deadline for the host.
const CONNECT_DEADLINE: Duration = Duration::from_secs(20);
/// For the answer to a hello: a host that has never been asked looks for its compilers first.
const HELLO_DEADLINE: Duration = Duration::from_secs(20);
/// A connection that is told to close gets so long for it.
const END_DEADLINE: Duration = Duration::from_secs(1);
/// Room that ssh needs in the path of a socket behind what it is told, and the whole of it.
const PATH_ROOM: usize = 18;
const MAX_PATH: usize = 107;
/// Of what ssh says, so much is read, in bytes.
const MAX_SAID: u64 = 64 << 10;

/// How a host is reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SshWay {
    /// `$DISTCC_SSH`.
    pub(super) program: Option<String>,
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) command: Option<String>,
}

/// What is needed to reach one host.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) way: SshWay,
    /// Where the client's unlocked keys are.
    pub(super) auth_sock: Option<Vec<u8>>,
    /// The connection in use.
    pub(super) control_path: Option<Vec<u8>>,
}

impl Reach {
    fn program(&self) -> SshProgram {
        self.way.program.as_deref().and_then(SshProgram::parse).unwrap_or_default()
    }

    fn target(&self) -> Target<'_> {
        let SshWay { user, host, command, .. } = &self.way;
        Target { user: user.as_deref(), host, command: command.as_deref() }
    }

    fn job_argv(&self) -> Vec<OsString> {
        match &self.control_path {
            Some(path) => self.program().shared(self.target(), OsStr::from_bytes(path)),
            None => self.program().alone(self.target()),
        }
    }
}

/// A connection held open.
struct Master {
    since: Instant,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The connections of this agent.
pub(super) struct Masters {
    dir: PathBuf,
    events: mpsc::Sender<Event>,
    held: HashMap<PeerKey, Master>,
    n_made: u64,
}

impl Masters {
    /// Sockets go into `dir`, which is this user's alone.
    pub(super) fn new(dir: PathBuf, events: mpsc::Sender<Event>) -> Self {
        Self { dir, events, held: HashMap::new(), n_made: 0 }
    }

    /// Asks the host who it is, over the connection that is held, or over a new one.
    pub(super) fn ask(&mut self, key: PeerKey, mut reach: Reach) {
        let path = self.new_path().filter(|_| reach.program().can_share());
        let path = path.filter(|_| !self.held.contains_key(&key));
        let events = self.events.clone();
        tokio::spawn(async move {
            let answer = match path {
                None => hello(&reach).await,
                Some(path) => match connect(&reach, &path).await {
                    Err(reason) => Answer::Failed(reason, Contact::Lost),
                    Ok(child) => {
                        let bytes = path.as_os_str().as_bytes().to_vec();
                        reach.control_path = Some(bytes.clone());
                        let _ = events.send(Event::Connected(key, child, bytes)).await;
                        hello(&reach).await
                    }
                },
            };
            let _ = events.send(Event::Answered(key, answer)).await;
        });
    }

    /// Asks the host, which has answered a hello as a stock server, what a compiler name stands for.
    pub(super) fn probe(&self, key: PeerKey, reach: Reach, name: String) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let probed = probe(&reach, &name).await;
            let _ = events.send(Event::Probed(key, name, probed)).await;
        });
    }

    /// Looks after a new connection to its end.
    pub(super) fn hold(&mut self, now: Instant, key: PeerKey, mut child: Child, path: Vec<u8>) {
        let (end, ended) = oneshot::channel();
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = child.wait() => {}
                // Also when the sender is dropped.
                _ = ended => end_child(&mut child).await,
            }
            let _ = fs::remove_file(OsStr::from_bytes(&path));
            let _ = events.send(Event::Disconnected(key, path)).await;
        });
        info!(peer = key.0, "connected by ssh");
        self.held.insert(key, Master { since: now, end, task });
    }

    /// The connection has ended.
    pub(super) fn lost(&mut self, key: PeerKey) {
        self.held.remove(&key);
    }

    /// Closes the connection, if there is one.
    pub(super) fn close(&mut self, key: PeerKey) {
        if let Some(master) = self.held.remove(&key) {
            let _ = master.end.send(());
        }
    }

    /// When the first of those without jobs is to be closed.
    pub(super) fn next_close(&self, books: &Books) -> Option<Instant> {
        self.closes(books).map(|(_, at)| at).min()
    }

    /// Closes those that have been of no use for long.
    pub(super) fn close_unused(&mut self, now: Instant, books: &Books) {
        let due = self.closes(books).filter(|(_, at)| *at <= now).map(|(key, _)| key);
        for key in due.collect::<Vec<_>>() {
            self.close(key);
        }
    }

    fn closes(&self, books: &Books) -> impl Iterator<Item = (PeerKey, Instant)> {
        self.held.iter().filter_map(|(key, master)| {
            books.ssh_unused_since(*key, master.since).map(|since| (*key, since + IDLE))
        })
    }

    /// Closes all of them and waits for that.
    pub(super) async fn close_all(&mut self) {
        let all: Vec<Master> = self.held.drain().map(|(_, master)| master).collect();
        let tasks = all.into_iter().map(|master| {
            let _ = master.end.send(());
            master.task
        });
        for task in tasks.collect::<Vec<_>>() {
            let _ = timeout(END_DEADLINE * 2, task).await;
        }
    }

    /// None where the path would be too long for a socket, or ssh would read something else in it:
    /// every job then has its own connection.
    fn new_path(&mut self) -> Option<PathBuf> {
        self.n_made += 1;
        let path = self.dir.join(format!("ssh{}", self.n_made));
        let bytes = path.as_os_str().as_bytes();
        let is_plain = !bytes.iter().any(|byte| b"%$".contains(byte));
        (is_plain && bytes.len() + PATH_ROOM <= MAX_PATH).then_some(path)
    }
}

/// A connection that others can use.
async fn connect(reach: &Reach, path: &Path) -> Result<Child, String> {
    // Left behind by an agent that was killed.
    let _ = fs::remove_file(path);
    let argv = reach.program().master(reach.target(), path.as_os_str());
    let mut said = tempfile::tempfile().map_err(|error| error.to_string())?;
    let mut child = start(&argv, reach, Stdio::null(), &said)?;
    let mut stdout = child.stdout.take().ok_or("ssh has no output")?;
    let mut ready = [0; 16];
    match timeout(CONNECT_DEADLINE, stdout.read(&mut ready)).await {
        Ok(Ok(n_read)) if n_read > 0 => Ok(child),
        Ok(_) => {
            let _ = timeout(END_DEADLINE, child.wait()).await;
            Err(last_word(&mut said).unwrap_or_else(|| "ssh cannot connect".to_owned()))
        }
        Err(_) => Err("ssh does not get ready".to_owned()),
    }
}

async fn hello(reach: &Reach) -> Answer {
    let mut conversation = match Conversation::start(reach) {
        Ok(conversation) => conversation,
        Err(reason) => return Answer::Failed(reason, Contact::Lost),
    };
    match timeout(HELLO_DEADLINE, ask::converse_hello(&mut conversation.stream)).await {
        Err(_) => Answer::Failed("no answer to a hello".to_owned(), Contact::Lost),
        Ok(Err(error)) => Answer::Failed(error.to_string(), Contact::Taken),
        Ok(Ok(Some(reply))) => Answer::Ours(None, Box::new(reply)),
        Ok(Ok(None)) => match conversation.why_closed().await {
            Some((reason, contact)) => Answer::Failed(reason, contact),
            None => Answer::Stock(None),
        },
    }
}

async fn probe(reach: &Reach, name: &str) -> Probed {
    let mut conversation = match Conversation::start(reach) {
        Ok(conversation) => conversation,
        Err(reason) => return Probed::Failed(reason),
    };
    match timeout(ask::PROBE_DEADLINE, ask::converse_probe(&mut conversation.stream, name)).await {
        Err(_) => Probed::Late("no answer to a probe job".to_owned()),
        Ok(Err(error)) => Probed::Failed(error.to_string()),
        Ok(Ok(Some(toolchain))) => Probed::Known(Box::new(toolchain)),
        Ok(Ok(None)) => match conversation.why_closed().await {
            Some((reason, _)) => Probed::Failed(reason),
            None => Probed::Absent,
        },
    }
}

/// One question by way of ssh. Dropped, it ends the program.
struct Conversation {
    child: Child,
    stream: Join<ChildStdout, ChildStdin>,
    said: File,
}

impl Conversation {
    fn start(reach: &Reach) -> Result<Self, String> {
        let said = tempfile::tempfile().map_err(|error| error.to_string())?;
        let mut child = start(&reach.job_argv(), reach, Stdio::piped(), &said)?;
        let (Some(stdout), Some(stdin)) = (child.stdout.take(), child.stdin.take()) else {
            return Err("ssh has no input or output".to_owned());
        };
        Ok(Self { child, stream: join(stdout, stdin), said })
    }

    /// Why there was no answer, unless a server there was asked and refused.
    async fn why_closed(&mut self) -> Option<(String, Contact)> {
        let ended = timeout(END_DEADLINE, self.child.wait()).await;
        let code = ended.ok().and_then(Result::ok).and_then(|status| status.code());
        let said = last_word(&mut self.said);
        match (code, said) {
            (Some(255), said) => {
                Some((said.unwrap_or_else(|| "ssh failed".to_owned()), Contact::Lost))
            }
            (Some(126 | 127), said) => {
                Some((said.unwrap_or_else(|| "no distccd there".to_owned()), Contact::Refused))
            }
            // Debian's server says nothing of itself when it refuses.
            (Some(code), Some(said)) if code != 0 => Some((said, Contact::Refused)),
            _ => None,
        }
    }
}

fn start(argv: &[OsString], reach: &Reach, stdin: Stdio, said: &File) -> Result<Child, String> {
    let (program, words) = argv.split_first().ok_or("no program for ssh")?;
    let mut command = StdCommand::new(program);
    command.args(words).stdin(stdin).stdout(Stdio::piped());
    command.stderr(said.try_clone().map_err(|error| error.to_string())?);
    match &reach.auth_sock {
        Some(path) => command.env("SSH_AUTH_SOCK", OsStr::from_bytes(path)),
        None => command.env_remove("SSH_AUTH_SOCK"),
    };
    process::ends_with_us(&mut command);
    let mut command = Command::from(command);
    let started = command.kill_on_drop(true).spawn();
    started.map_err(|error| format!("{}: {error}", program.display()))
}

/// Asks first: ssh removes its socket then, and tells the host.
async fn end_child(child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(END_DEADLINE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn last_word(said: &mut File) -> Option<String> {
    let mut bytes = Vec::new();
    let read = |said: &mut File, bytes: &mut Vec<u8>| -> io::Result<usize> {
        said.rewind()?;
        said.take(MAX_SAID).read_to_end(bytes)
    };
    read(said, &mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace(|c: char| c.is_control() && c != '\n', "");
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}
