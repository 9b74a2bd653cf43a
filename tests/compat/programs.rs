//! A client and a server, ours or the original's, in a directory of their own.

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::skip::skip;

/// A test that hangs ends with an error instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Built from this tree; the original under `UNDER_TEST=theirs`.
    Ours,
    /// Debian's.
    Theirs,
}

/// Client and server of every pair that must work together.
pub(crate) const PAIRS: [(Whose, Whose); 3] =
    [(Whose::Ours, Whose::Theirs), (Whose::Theirs, Whose::Ours), (Whose::Ours, Whose::Ours)];

impl Whose {
    /// The program of this name.
    pub(crate) fn program(self, name: &str) -> PathBuf {
        if self == Self::Theirs || theirs_only() {
            return on_path(name).expect("looked for by `have`");
        }
        match name {
            "distcc" => env!("CARGO_BIN_EXE_distcc").into(),
            "distccd" => env!("CARGO_BIN_EXE_distccd").into(),
            "lsdistcc" => env!("CARGO_BIN_EXE_lsdistcc").into(),
            "distccmon-text" => env!("CARGO_BIN_EXE_distccmon-text").into(),
            _ => on_path(name).expect("looked for by `have`"),
        }
    }
}

fn theirs_only() -> bool {
    env::var_os("UNDER_TEST").is_some_and(|whose| whose == "theirs")
}

pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// True if the original and the compilers are installed; the test ends otherwise.
pub(crate) fn have_all() -> bool {
    have(&["distcc", "distccd", "gcc", "g++"])
}

/// The same of these programs.
pub(crate) fn have(programs: &[&str]) -> bool {
    match programs.iter().find(|name| on_path(name).is_none()) {
        None => true,
        Some(name) => {
            skip(&format!("no {name} on PATH"));
            false
        }
    }
}

/// True if this machine can listen there.
pub(crate) fn have_address(ip: IpAddr) -> bool {
    let free = TcpListener::bind((ip, 0)).is_ok();
    if !free {
        skip(&format!("no address {ip} here"));
    }
    free
}

/// A running server, ended when dropped.
pub(crate) struct Server {
    process: Child,
    log: Receiver<String>,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Server {
    /// Starts it at `ip` on a free port; one that another process takes meanwhile costs another
    /// attempt.
    pub(crate) fn start(whose: Whose, ip: IpAddr) -> Self {
        Self::start_on_path(whose, ip, Path::new("/usr/local/bin:/usr/bin:/bin"))
    }

    /// The same with this PATH.
    pub(crate) fn start_on_path(whose: Whose, ip: IpAddr, path: &Path) -> Self {
        let start = |_| Self::try_start(whose, ip, path);
        (0..10).find_map(start).expect("a server starts in ten attempts")
    }

    fn try_start(whose: Whose, ip: IpAddr, path: &Path) -> Option<Self> {
        let addr = free_addr(ip);
        // A server that has given up root must be able to write here.
        let dir = temp_dir();
        let open = Permissions::from_mode(0o1777);
        fs::set_permissions(dir.path(), open).expect("a directory of ours");
        let program = whose.program("distccd");
        let mut process = Command::new(&program)
            .args(["--daemon", "--no-detach", "--log-stderr", "--log-level", "info"])
            .args(["--jobs", "2", "--port", &addr.port().to_string()])
            .args(["--listen", &ip.to_string(), "--allow", &ip.to_string()])
            .env("TMPDIR", dir.path())
            .env("HOME", dir.path())
            .env("PATH", path)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        // The pipe is read for as long as the server lives, so that it never waits for us.
        let (tx, log) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().expect("it is piped"));
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|l| tx.send(l)));
        let server = Self { process, log, addr, _dir: dir };
        server.listens().then_some(server)
    }

    /// Waits until it listens; false if it ends before. Every line that it logs is a reason to
    /// look again.
    fn listens(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.addr).is_err() {
            assert!(Instant::now() < deadline, "the server does not listen");
            let line = self.log.recv_timeout(Duration::from_millis(100));
            if line == Err(RecvTimeoutError::Disconnected) {
                return false;
            }
        }
        true
    }

    /// How a host list names it, with `options` behind.
    pub(crate) fn host(&self, options: &str) -> String {
        format!("{}{options}", self.addr)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// The line that sums up the next compile of `source`. Others are passed by: an agent of ours
    /// tries an original's compilers with a job of its own.
    pub(crate) fn next_compile(&self, source: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("a compile is logged");
            if is_compile(&line, source) {
                return line;
            }
        }
    }

    /// The lines about compiles of `source` so far.
    pub(crate) fn compiles(&self, source: &str) -> Vec<String> {
        self.log.try_iter().filter(|line| is_compile(line, source)).collect()
    }
}

/// The original's line of a job ends with the source's name.
fn is_compile(line: &str, source: &str) -> bool {
    line.contains(" COMPILE_") && line.trim_end().ends_with(source)
}

impl Drop for Server {
    fn drop(&mut self) {
        // The original's parent hands the signal on to its workers; after SIGKILL they would stay.
        let pid = Pid::from_raw(self.process.id().cast_signed());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

/// A directory with sources, and a client to run in it.
pub(crate) struct Desk {
    whose: Whose,
    dir: TempDir,
}

impl Desk {
    pub(crate) fn new(whose: Whose) -> Self {
        let dir = temp_dir();
        fs::create_dir(dir.path().join("state")).expect("a directory of ours");
        Self { whose, dir }
    }

    /// True if the client is the original, whose habits a test may have to allow for.
    pub(crate) fn is_original(&self) -> bool {
        self.whose == Whose::Theirs || theirs_only()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a directory of ours");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The file's bytes, and the file is gone.
    pub(crate) fn take(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        fs::remove_file(path).expect("a directory of ours");
        bytes
    }

    /// Runs the compiler itself.
    pub(crate) fn locally(&self, command: &[&str]) -> Output {
        let mut compiler = clean(Command::new(command[0]), self.dir.path());
        let output = output(compiler.args(&command[1..]));
        assert!(output.status.success(), "{command:?}: {output:?}");
        output
    }

    /// Runs the client with this host list, which may go back to the local compiler.
    pub(crate) fn run(&self, hosts: &str, command: &[&str]) -> Output {
        output(&mut self.client(hosts, command))
    }

    /// Runs the client with this host list; what is compiled is compiled there, or it fails.
    pub(crate) fn run_remotely(&self, hosts: &str, command: &[&str]) -> Output {
        output(self.client(hosts, command).env("DISTCC_FALLBACK", "0"))
    }

    fn client(&self, hosts: &str, command: &[&str]) -> Command {
        let mut client = clean(Command::new(self.whose.program("distcc")), self.dir.path());
        client.args(command).env("DISTCC_HOSTS", hosts).env("DISTCC_DIR", self.path("state"));
        client
    }
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// An address at which nobody listens, though another process may begin to.
pub(crate) fn free_addr(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("an address of this machine");
    listener.local_addr().expect("it is bound")
}

/// The command in `dir`, without what the user's environment says to distcc.
fn clean(mut command: Command, dir: &Path) -> Command {
    command.current_dir(dir).env("HOME", dir).env("LC_ALL", "C").stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().contains("DISTCC") {
            command.env_remove(name);
        }
    }
    command
}
