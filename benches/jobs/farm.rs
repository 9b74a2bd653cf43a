//! The stand-in compiler, the two servers on loopback, and what their processes have used.

use std::cell::Cell;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::processes::{Process, processes, tree_cpu};
use crate::stand_in::{self, at};

/// How long a server may take to listen, or to log what it has done.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether it has.
const POLL: Duration = Duration::from_millis(20);

/// A client and a server that belong together.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) client: PathBuf,
    pub(crate) server: PathBuf,
}

impl Program {
    /// The original on PATH, passing by what is ours.
    pub(crate) fn stock(own_client: &Path) -> Option<Self> {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).find_map(|dir| {
            let (client, server) = (dir.join("distcc"), dir.join("distccd"));
            let version = Command::new(&client).arg("--version").output().ok()?;
            let original = String::from_utf8_lossy(&version.stdout).contains("Martin Pool")
                && client.canonicalize().ok()? != own_client.canonicalize().ok()?;
            (original && server.is_file()).then_some(Self { name: "stock", client, server })
        })
    }
}

/// CPU used so far.
pub(crate) struct Cpu {
    /// The server and all its descendants, ended ones included.
    pub(crate) server: Duration,
    /// The agent that the client started, if it starts one.
    pub(crate) agent: Duration,
}

/// A program with its server running.
pub(crate) struct Side {
    pub(crate) program: Program,
    pub(crate) port: u16,
    /// `$DISTCC_DIR` of its clients.
    pub(crate) state: PathBuf,
    log: PathBuf,
    server: Child,
    served: Cell<usize>,
    first: Cell<Option<Duration>>,
}

impl Side {
    /// Remembers the time of the very first job.
    pub(crate) fn note_first(&self, wall: Duration) {
        if self.first.get().is_none() {
            self.first.set(Some(wall));
        }
    }

    /// Microseconds of the very first job.
    pub(crate) fn first(&self) -> u128 {
        self.first.get().unwrap_or_default().as_micros()
    }

    /// Fails unless the server's log has `jobs` good compiles more than at the last call: a bench
    /// of jobs that stayed at home would be a fine one. A server writes the line after it has
    /// answered, so the last ones may take a moment.
    pub(crate) fn check_served(&self, jobs: usize) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = fs::read(&self.log).map_err(|e| at(&self.log, &e))?;
            let served = String::from_utf8_lossy(&log).matches("COMPILE_OK").count();
            let new = served - self.served.get();
            if new >= jobs {
                self.served.set(served);
                return Ok(());
            }
            if Instant::now() > deadline {
                let name = self.program.name;
                let text = format!("{name}: {new} of {jobs} jobs reached the server");
                return Err(io::Error::other(text));
            }
            thread::sleep(POLL);
        }
    }

    /// What its processes have used so far.
    pub(crate) fn cpu(&self) -> Cpu {
        let processes = processes();
        let server = tree_cpu(&processes, self.server.id());
        let agent = self.agent(&processes).map_or(Duration::ZERO, |pid| tree_cpu(&processes, pid));
        Cpu { server, agent }
    }

    /// The agent, an orphan that has become our child, known by the directory it serves.
    fn agent(&self, processes: &[Process]) -> Option<u32> {
        let own = std::process::id();
        processes.iter().filter(|process| process.parent == own).map(|process| process.pid).find(
            |pid| {
                let says = |what: &str, text: &[u8]| {
                    fs::read(format!("/proc/{pid}/{what}"))
                        .is_ok_and(|bytes| bytes.split(|&byte| byte == 0).any(|word| word == text))
                };
                let state = format!("DISTCC_DIR={}", self.state.display());
                says("cmdline", b"--agent") && says("environ", state.as_bytes())
            },
        )
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let agent = self.agent(&processes());
        for pid in agent.into_iter().chain([self.server.id()]) {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
        }
        let _ = self.server.wait();
    }
}

/// Directory, stand-in, sources and servers.
pub(crate) struct Farm {
    // Before the directory, so that servers end while it still exists.
    sides: Vec<Side>,
    dir: TempDir,
    search_path: OsString,
}

impl Farm {
    /// Everything but the servers.
    pub(crate) fn new() -> io::Result<Self> {
        // Orphans become children of ours: that is how the agent is found.
        prctl::set_child_subreaper(true)?;
        let dir = tempfile::Builder::new().prefix("bench-").tempdir()?;
        open_to_all(dir.path(), 0o755)?;
        stand_in::build(dir.path())?;
        write(&dir.path().join("tiny.c"), b"int one;\n")?;
        write(&dir.path().join("large.c"), &large_source())?;
        let mut search_path = dir.path().as_os_str().to_owned();
        search_path.push(":/usr/bin:/bin");
        Ok(Self { sides: Vec::new(), dir, search_path })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// PATH of clients and servers: the stand-in first.
    pub(crate) fn search_path(&self) -> &OsString {
        &self.search_path
    }

    pub(crate) fn side(&self, idx: usize) -> &Side {
        &self.sides[idx]
    }

    /// Starts the program's server on a free port and waits until it listens.
    pub(crate) fn start(&mut self, program: Program) -> io::Result<usize> {
        let idx = self.sides.len();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // The server gives up root, and must still reach its directory and its log.
        let work = self.dir().join(format!("server-{idx}"));
        let state = self.dir().join(format!("client-{idx}"));
        fs::create_dir(&work)?;
        fs::create_dir(&state)?;
        open_to_all(&work, 0o1777)?;
        let log = work.join("log");
        write(&log, b"")?;
        open_to_all(&log, 0o666)?;
        let errors = self.dir().join(format!("server-{idx}.errors"));
        let mut server = Command::new(&program.server)
            .args(["--daemon", "--no-detach", "--enable-tcp-insecure", "--jobs", "4"])
            .args(["--listen", "127.0.0.1", "--allow", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--log-file"])
            .arg(&log)
            .env("PATH", self.search_path())
            .env("TMPDIR", &work)
            .current_dir(&work)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .spawn()
            .map_err(|e| at(&program.server, &e))?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if server.try_wait()?.is_some() || Instant::now() > deadline {
                let _ = server.kill();
                let said = fs::read_to_string(&errors).unwrap_or_default();
                let server = program.server.display();
                return Err(io::Error::other(format!("{server} does not listen: {said}")));
            }
            thread::sleep(POLL);
        }
        let (served, first) = (Cell::new(0), Cell::new(None));
        self.sides.push(Side { program, port, state, log, server, served, first });
        Ok(idx)
    }
}

/// About 1 MiB that compresses like preprocessed C.
fn large_source() -> Vec<u8> {
    let mut source = String::new();
    let mut seed = 1_u32;
    while source.len() < 1 << 20 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (name, bits) = (seed >> 12, seed % 977);
        source
            .push_str(&format!("extern int function_{name:x} (const char *__s, int __n{bits});\n"));
        if seed.is_multiple_of(5) {
            source.push_str(&format!("# {bits} \"/usr/include/x86_64-linux-gnu/h{name}.h\" 3 4\n"));
        }
    }
    source.into_bytes()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    File::create(path).and_then(|mut file| file.write_all(bytes)).map_err(|e| at(path, &e))
}

fn open_to_all(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| at(path, &e))
}
