//! A place to work for one test, and the original's server beside it.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::skip::skip;

/// The server that Debian's package `distcc` installs.
const STOCK_SERVER: &str = "/usr/bin/distccd";

/// Directories that no other test uses.
pub(crate) struct Bench {
    root: TempDir,
}

impl Bench {
    /// Empty but for the directories themselves.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // The server gives up root and must still reach its own directory.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["home", "tmp", "distcc", "work", "server"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::set_permissions(root.path().join("server"), Permissions::from_mode(0o777)).unwrap();
        Self { root }
    }

    /// A path below it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file into the working directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("work").join(name), text).unwrap();
    }

    /// Reads one from there.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path("work").join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a shell script and makes it a program.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Our client, with nothing of this machine's environment.
    pub(crate) fn distcc(&self, hosts: &str) -> Command {
        self.program(Path::new(env!("CARGO_BIN_EXE_distcc")), hosts)
    }

    /// Any program in the same environment.
    pub(crate) fn program(&self, program: &Path, hosts: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("DISTCC_DIR", self.path("distcc"))
            .env("DISTCC_AGENT", "off")
            .env("DISTCC_HOSTS", hosts);
        command
    }

    /// Runs our client with its log apart; the output and the log.
    pub(crate) fn run(&self, hosts: &str, words: &[&str]) -> (Output, String) {
        let log = self.path("log");
        let _ = fs::remove_file(&log);
        let output = self.distcc(hosts).env("DISTCC_LOG", &log).args(words).output().unwrap();
        (output, fs::read_to_string(log).unwrap_or_default())
    }

    /// Fails if anything is left in the temporary directory, beside the sources, or of what
    /// monitors were told.
    pub(crate) fn assert_tidy(&self) {
        let names = |name: &str| -> Vec<String> {
            fs::read_dir(self.path(name))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        assert_eq!(names("tmp"), [""; 0]);
        if self.path("distcc/state").exists() {
            // Another client of the same test may live.
            let is_dead = |state: &String| {
                let pid = state.trim_start_matches("binstate_");
                !Path::new("/proc").join(pid).exists()
            };
            assert_eq!(names("distcc/state").into_iter().find(is_dead), None);
        }
        assert!(!names("work").iter().any(|name| name.starts_with('.')), "{:?}", names("work"));
    }
}

/// The original's server, until it is dropped.
pub(crate) struct StockServer {
    pid: Pid,
    /// As it stands in a host list.
    pub(crate) token: String,
}

impl StockServer {
    /// Starts it on a free port of `addr`; `None`, said loudly, if it is not installed.
    pub(crate) fn start(bench: &Bench, addr: IpAddr) -> Option<Self> {
        if !Path::new(STOCK_SERVER).exists() {
            skip("distccd 3.4 is not installed");
            return None;
        }
        // Another process may take the port in between; then the server says so and the next
        // one is tried.
        for _ in 0..10 {
            let Ok(listener) = TcpListener::bind((addr, 0)) else {
                skip(&format!("this machine has no {addr}"));
                return None;
            };
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let pid_file = bench.path(&format!("server/pid-{port}"));
            // It detaches once it listens.
            let status = Command::new(STOCK_SERVER)
                .args(["--daemon", "--enable-tcp-insecure", "--allow", &addr.to_string()])
                .args(["--listen", &addr.to_string(), "--port", &port.to_string()])
                .arg("--log-file")
                .arg(bench.path("server/log"))
                .arg("--pid-file")
                .arg(&pid_file)
                .env("TMPDIR", bench.path("server"))
                .status()
                .unwrap();
            if status.success() {
                let pid = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
                let token = match addr {
                    IpAddr::V4(_) => format!("{addr}:{port}"),
                    IpAddr::V6(_) => format!("[{addr}]:{port}"),
                };
                return Some(Self { pid: Pid::from_raw(pid), token });
            }
            assert_eq!(status.code(), Some(102), "distccd failed for another reason");
        }
        panic!("no port stayed free");
    }

    /// The same on 127.0.0.1.
    pub(crate) fn start_v4(bench: &Bench) -> Option<Self> {
        Self::start(bench, IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

impl Drop for StockServer {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGTERM);
    }
}

/// Whether this machine has a compiler; said loudly if not.
pub(crate) fn has(compiler: &str) -> bool {
    let found = Path::new("/usr/bin").join(compiler).exists();
    if !found {
        skip(&format!("{compiler} is not installed"));
    }
    found
}

/// What a program wrote, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
