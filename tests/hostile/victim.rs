//! A server to be attacked, in a directory of its own.

use std::env;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

use crate::attack::Start;
use crate::processes::{Process, tree};
use crate::wire::{Protocol, read_answer, send};

/// What no client may learn. A file that the server can read has it.
pub(crate) const SECRET: &str = "sesame7k2q";
/// Longer than anything takes on a busy machine; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How many compiles at once.
pub(crate) const JOBS: usize = 2;

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Debian's.
    Stock(Start),
    /// Built from this tree.
    Ours(Start),
}

/// A running server, ended with all that came of it when dropped.
pub(crate) struct Victim {
    whose: Whose,
    process: Child,
    port: u16,
    dir: TempDir,
}

impl Victim {
    /// One that has done a job already. `known` is where ours keeps what it knows of compilers.
    pub(crate) fn start(whose: Whose, known: &Path) -> Self {
        let attempts = (0..10).find_map(|_| Self::try_start(whose, known));
        attempts.expect("a server starts in ten attempts")
    }

    fn try_start(whose: Whose, known: &Path) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let dir = tempfile::tempdir().unwrap();
        open_to_all(dir.path());
        for part in ["tmp", "marks", "plant"] {
            fs::create_dir(dir.path().join(part)).unwrap();
            open_to_all(&dir.path().join(part));
        }
        let secret = dir.path().join("secret");
        fs::write(&secret, secret_text()).unwrap();
        // Should this process be killed, what attackers have started ends all the same, some day.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -t 100; ulimit -v 6000000; exec \"$0\" \"$@\""]);
        match whose {
            Whose::Stock(_) => command.arg("distccd"),
            Whose::Ours(_) => command.arg(env!("CARGO_BIN_EXE_distccd")),
        };
        command.args(["--daemon", "--no-detach", "--log-file"]).arg(dir.path().join("log"));
        command.args(["--log-level", "info", "--jobs", &JOBS.to_string()]);
        command.args(["--port", &port.to_string(), "--listen", "127.0.0.1"]);
        command.args(["--allow", "127.0.0.1"]);
        if let Whose::Stock(Start::Insecure) | Whose::Ours(Start::Insecure) = whose {
            command.arg("--enable-tcp-insecure");
        }
        if let Whose::Ours(_) = whose {
            command.arg("--state-dir").arg(known);
        }
        if geteuid().is_root() && User::from_name("distccd").ok().flatten().is_some() {
            command.args(["--user", "distccd"]);
        }
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().contains("DISTCC") {
                command.env_remove(name);
            }
        }
        command.env("TMPDIR", dir.path().join("tmp")).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let alone = alone_with_processes();
        let process = command.current_dir(dir.path()).spawn().unwrap();
        drop(alone);
        let mut victim = Self { whose, process, port, dir };
        victim.serves().then_some(victim)
    }

    /// Waits until it does a job; false if it ends before.
    fn serves(&mut self) -> bool {
        let begun = Instant::now();
        while !(self.listens() && self.does_a_job(PATIENCE)) {
            assert!(begun.elapsed() < PATIENCE, "no server: {}", self.log());
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        true
    }

    fn listens(&self) -> bool {
        TcpStream::connect(self.addr()).is_ok()
    }

    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr()).unwrap()
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.whose, Whose::Ours(_))
    }

    /// For how long an effect is waited for: what happens to the original happens at once, and ours
    /// is given all the time that a busy machine takes.
    pub(crate) fn patience(&self) -> Duration {
        if self.is_ours() { PATIENCE } else { Duration::from_secs(3) }
    }

    /// Does somebody else's job get done?
    pub(crate) fn does_a_job(&self, patience: Duration) -> bool {
        let argv = ["gcc", "-c", "real.c", "-o", "real.o"];
        let request = Protocol::Plain.request(&argv, b"int real;\n");
        let (answer, _) = read_answer(&mut send(self, &request), patience);
        answer.starts_with(b"DONE00000001STAT00000000")
    }

    /// A place in its directory, by what a template calls it.
    pub(crate) fn fill(&self, template: &str) -> String {
        let path = |name| self.dir.path().join(name).display().to_string();
        template
            .replace("{mark}", &path("marks/mark"))
            .replace("{marks}", &path("marks"))
            .replace("{plant}", &path("plant"))
            .replace("{secret}", &path("secret"))
            .replace("{dir}", &path(""))
    }

    /// The file that an attacker has made, if any.
    pub(crate) fn mark(&self) -> Option<PathBuf> {
        Some(fs::read_dir(self.dir.path().join("marks")).unwrap().flatten().next()?.path())
    }

    /// The process whose number the attacker's command has written into its mark.
    pub(crate) fn marked_process(&self) -> Option<Process> {
        let text = fs::read_to_string(self.mark()?).ok()?;
        text.lines()
            .next()
            .filter(|_| text.ends_with('\n'))?
            .trim()
            .parse()
            .ok()
            .and_then(Process::of)
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default())
            .into_owned()
    }

    /// What jobs have left in its temporary directory.
    pub(crate) fn leavings(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.dir.path().join("tmp")];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                    _ => found.push(entry.path()),
                }
            }
        }
        // What ours keeps for as long as it runs belongs to no job.
        found.retain(|path| !path.ends_with("lock"));
        found
    }

    /// The server and its workers, and what they have started.
    pub(crate) fn processes(&self) -> Vec<Process> {
        tree(self.process.id().cast_signed())
    }

    /// The server and its workers.
    pub(crate) fn workers(&self) -> Vec<Process> {
        self.processes().into_iter().filter(|process| process.name.starts_with("distccd")).collect()
    }

    /// The most memory that one of them ever had.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.workers().iter().map(Process::peak_memory).max().unwrap_or(0)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let all = self.processes();
        // The original's parent hands the signal on to its workers; after SIGKILL they would stay.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let begun = Instant::now();
        while self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            if begun.elapsed() > Duration::from_millis(300) {
                let _ = self.process.kill();
            }
            sleep(Duration::from_millis(5));
        }
        all.iter().chain(&self.marked_process()).for_each(Process::kill);
    }
}

/// Held by who begins a process and by who writes a program: the new process has the descriptors of
/// all others for a moment, and what is open for writing cannot be run.
pub(crate) fn alone_with_processes() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A header with a secret, which any reader of it could come to show.
fn secret_text() -> String {
    format!("{SECRET} {SECRET}x\n#define PASSWORD \"{SECRET}\"\n")
}

/// A server that has given up root must be able to write here.
fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, Permissions::from_mode(0o1777)).unwrap();
}
