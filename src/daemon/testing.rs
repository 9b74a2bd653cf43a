//! What several tests of the daemon need: a daemon in this process on a port of its own, and the
//! other end of its conversations.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::compilers::{Inventory, Scanner};
use super::jobs::compiler::Surroundings;
use super::jobs::workspace::Workspace;
use super::life::start::{self, Config, RunError};
use super::network::listener;
use super::report::observe::{Event, JobResult};
use super::server::{Identity, Phase, Programs};
use crate::base::node::NodeId;
use crate::policy::access::{self, AccessList};
use crate::settings::daemon::ServerLimits;
use crate::wire::job::Protocol;
use crate::wire::limits::Limits;
use crate::wire::reply::{ReplyDecoder, ReplyHead, ReplyStep};
use crate::wire::request::{encode_request_head, encode_source};

/// Longer than anything takes on a busy machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Yields to other tasks until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "still waiting: {what}");
        tokio::task::yield_now().await;
    }
}

/// Waits until no member of the process group is alive; zombies that init has yet to reap are
/// dead.
pub(crate) async fn group_dies(leader: u32) {
    until("every member of the group ends", || living_members(leader) == 0).await;
}

fn living_members(group: u32) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let is_living_member = |stat: &str| {
        // pid (name) state parent group ...; the name may hold anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else { return false };
        let fields: Vec<&str> = rest.split(' ').take(3).collect();
        matches!(fields[..], [state, _, of] if !"ZX".contains(state) && of == group.to_string())
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| is_living_member(stat))
        .count()
}

/// How a test's daemon differs from the usual one.
pub(crate) struct Setting {
    pub(crate) programs: Programs,
    pub(crate) jobs: u16,
    pub(crate) allow: Vec<&'static str>,
    pub(crate) search_path: String,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) listen: IpAddr,
    pub(crate) limits: ServerLimits,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            programs: Programs::Compilers,
            jobs: 4,
            allow: Vec::new(),
            search_path: "/usr/bin:/bin".to_owned(),
            lifetime: None,
            listen: Ipv4Addr::LOCALHOST.into(),
            limits: ServerLimits::default(),
        }
    }
}

/// A daemon in this process.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) phase: watch::Sender<Phase>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<Result<(), RunError>>,
    temp: TempDir,
}

impl Running {
    /// Starts it and returns once it serves.
    pub(crate) async fn start(setting: Setting) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(temp.path(), NodeId(7)).unwrap();
        let listeners = listener::bind(&[setting.listen], 0).unwrap();
        let addr = listeners[0].local_addr().unwrap();
        let scanner = Scanner::new(setting.search_path.as_ref(), None).narrowed_by(Vec::new());
        let inventory = match setting.programs {
            Programs::Compilers => scanner.scan(),
            Programs::Any | Programs::AnyKnownFirst => Inventory {
                generation: 1,
                found: Vec::new(),
                unusable: Vec::new(),
                is_complete: true,
                looked: scanner.look(),
                cc: None,
                only: None,
                ccache: None,
            },
        };
        let rules = setting.allow.iter().map(|rule| access::parse(rule).unwrap()).collect();
        let (phase, _) = watch::channel(Phase::Serving);
        let (events, inbox) = mpsc::channel(10_000);
        let config = Config {
            identity: Identity { id: NodeId(7), cores: 2, jobs: setting.jobs },
            access: AccessList::new(rules, false),
            programs: setting.programs,
            inventory,
            scanner,
            surroundings: Surroundings {
                search_path: setting.search_path.into(),
                locale: vec![("LC_ALL".into(), "C".into())],
                lifetime: setting.lifetime,
                output_limit: 1 << 20,
                file_limit: 1 << 30,
            },
            workspace,
            limits: setting.limits,
            events,
            advertiser: None,
        };
        let (serves, serving) = oneshot::channel();
        let ready = || serves.send(()).unwrap();
        let task = tokio::spawn(start::run(config, listeners, phase.clone(), ready));
        serving.await.unwrap();
        Self { addr, phase, events: inbox, task, temp }
    }

    /// The next event, in the order of the log.
    pub(crate) async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event comes").expect("the daemon lives")
    }

    /// What became of the next job that ends.
    pub(crate) async fn result(&mut self) -> JobResult {
        loop {
            if let Event::Ended(record) = self.event().await {
                return record.result;
            }
        }
    }

    /// Directories of jobs that exist now.
    pub(crate) fn n_job_dirs(&self) -> usize {
        let Ok(runs) = fs::read_dir(self.temp.path().join("distccd-00000007")) else { return 0 };
        runs.flatten().map(|run| fs::read_dir(run.path()).map_or(0, Iterator::count)).sum()
    }

    /// The lengths of the files that jobs have in their directories now.
    pub(crate) fn job_files(&self) -> Vec<u64> {
        let entries = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
        entries(self.temp.path().join("distccd-00000007"))
            .flat_map(|run| entries(run.path()))
            .flat_map(|job| entries(job.path()))
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .collect()
    }

    /// Waits for the end of a daemon that was told to end, which leaves nothing behind.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
        assert_eq!(fs::read_dir(self.temp.path()).unwrap().count(), 0);
    }
}

/// A directory of shell scripts by name, to be put first into a search path.
pub(crate) fn scripts(scripts: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, body) in scripts {
        script(&dir.path().join(name), body);
    }
    dir
}

/// Writes a shell script. Another process does it: were the file open for writing in this one, a
/// process that another test forks at that moment would hold it open, and it could not be executed.
pub(crate) fn script(path: &Path, body: &str) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    writeln!(stdin, "#!/bin/sh\n{body}").unwrap();
    drop(stdin);
    assert!(shell.wait().unwrap().success());
}

/// A request for `words`, which are split at blanks.
pub(crate) fn request(protocol: Protocol, words: &str, source: &[u8]) -> Vec<u8> {
    let argv: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let mut bytes = encode_request_head(protocol, &argv);
    bytes.extend_from_slice(&encode_source(protocol, source).unwrap());
    bytes
}

/// Sends `bytes` and returns all that comes back until the daemon closes.
pub(crate) async fn converse(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // A refused client is reset while it still writes.
    let _ = stream.write_all(bytes).await;
    read_all(&mut stream).await
}

/// All that comes until the end, or the reset, of a connection.
pub(crate) async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    answer
}

/// The parts of a whole answer.
pub(crate) fn decode(protocol: Protocol, answer: &[u8]) -> (ReplyHead, Vec<u8>) {
    let mut decoder = ReplyDecoder::new(protocol, Limits::default());
    let mut input = answer;
    let mut head = None;
    let mut object = Vec::new();
    loop {
        match decoder.feed(&mut input).unwrap() {
            ReplyStep::Head(found) => head = Some(found),
            ReplyStep::Object(piece) => object.extend_from_slice(&piece),
            ReplyStep::Done => return (head.unwrap(), object),
            ReplyStep::NeedMore => panic!("the answer is cut: {answer:?}"),
        }
    }
}

/// A named pipe, which a script may wait at.
pub(crate) fn gate(dir: &Path) -> PathBuf {
    let path = dir.join("gate");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    path
}

/// Lets the script go that waits at the gate, once it has come there.
pub(crate) async fn open_gate(gate: &Path) {
    let mut opened = None;
    // Without a reader, a pipe cannot be opened for writing in this way.
    until("a script comes to the gate", || {
        opened = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(gate).ok();
        opened.is_some()
    })
    .await;
    opened.unwrap().write_all(b"go\n").unwrap();
}
