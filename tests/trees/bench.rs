//! A directory in which one tree is built twice, at the same place: here, and through a server.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::skip::skip;

/// A server that does not start ends the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sources of `tree`, fetched the first time; none if that cannot be.
pub(crate) fn source(tree: &str) -> Option<PathBuf> {
    let trees = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trees");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/trees");
    let fetched = Command::new(script).arg(&trees).status().is_ok_and(|status| status.success());
    if !fetched {
        skip("the sources of the real trees cannot be fetched from Debian");
    }
    fetched.then(|| trees.join(tree))
}

/// True if all of `tools` are installed; the test ends otherwise.
pub(crate) fn have(tools: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing =
        tools.iter().find(|tool| !env::split_paths(&path).any(|dir| dir.join(tool).is_file()));
    if let Some(tool) = missing {
        skip(&format!("no {tool} on PATH"));
    }
    missing.is_none()
}

/// A compiler for C and its sister for C++.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compilers {
    Gcc,
    Clang,
}

/// How the build system comes to our client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Not at all.
    Here,
    /// `CC="distcc gcc"`, or CMake's launcher.
    Called,
    /// By links with the compilers' names early on PATH.
    Masked,
    /// `CC="ccache gcc"` with `CCACHE_PREFIX=distcc`.
    Cached,
}

impl Compilers {
    pub(crate) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Gcc => ["gcc", "g++"],
            Self::Clang => ["clang", "clang++"],
        }
    }

    /// What the scripts find in their environment: CC and CXX, for CMake the bare compilers and
    /// the options that name a launcher.
    fn variables(self, way: Way) -> Vec<(&'static str, String)> {
        let [cc, cxx] = self.names();
        let prefix = match way {
            Way::Here | Way::Masked => "",
            Way::Called => "distcc ",
            Way::Cached => "ccache ",
        };
        let launcher = match way {
            Way::Called => {
                "-DCMAKE_C_COMPILER_LAUNCHER=distcc -DCMAKE_CXX_COMPILER_LAUNCHER=distcc"
            }
            _ => "",
        };
        let bare = format!("-DCMAKE_C_COMPILER={cc} -DCMAKE_CXX_COMPILER={cxx} {launcher}");
        let mut variables = vec![
            ("CC", format!("{prefix}{cc}")),
            ("CXX", format!("{prefix}{cxx}")),
            ("CMAKE_WAY", bare),
        ];
        if way == Way::Cached {
            variables.push(("CCACHE_PREFIX", "distcc".to_owned()));
        }
        variables
    }
}

/// The directory, its server and what commands in it find in their environment.
pub(crate) struct Bench {
    dir: TempDir,
    server: Child,
    compilers: Compilers,
    env: BTreeMap<&'static str, String>,
}

impl Bench {
    pub(crate) fn new(compilers: Compilers) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = |name: &str| dir.path().join(name);
        for name in ["bin", "masked", "state", "cache"] {
            fs::create_dir(path(name)).expect("a directory of ours");
        }
        symlink(env!("CARGO_BIN_EXE_distcc"), path("bin/distcc")).expect("a directory of ours");
        for name in compilers.names() {
            symlink("../bin/distcc", path("masked").join(name)).expect("a directory of ours");
        }
        let (server, port) =
            (0..10).find_map(|_| serve(dir.path())).expect("a server starts in ten attempts");
        let shown = |name: &str| path(name).display().to_string();
        let env = BTreeMap::from([
            ("DISTCC_HOSTS", format!("127.0.0.1:{port}/4")),
            ("DISTCC_DIR", shown("state")),
            ("DISTCC_VERBOSE", "1".to_owned()),
            ("CCACHE_DIR", shown("cache")),
            ("HOME", shown("state")),
            ("LC_ALL", "C".to_owned()),
        ]);
        Self { dir, server, compilers, env }
    }

    /// Where the tree is built.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// A fresh copy of the tree; one that was built before is kept as `kept`.
    pub(crate) fn unpack(&self, source: &Path, kept: &str) {
        if self.work().exists() {
            fs::rename(self.work(), self.dir.path().join(kept)).expect("a directory of ours");
        }
        let copied = Command::new("cp").arg("-a").arg(source).arg(self.work()).status();
        assert!(copied.expect("cp runs").success());
    }

    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a script in the tree. `log` names the client's log.
    pub(crate) fn run(&self, script: &str, log: &str, way: Way) -> Said {
        let path = env::var("PATH").expect("there is a PATH");
        let front = match way {
            Way::Masked => format!("{}:", self.kept("masked").display()),
            _ => String::new(),
        };
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).current_dir(self.work()).stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["DISTCC", "CCACHE", "MAKE", "CARGO", "FLAGS"].iter().any(|part| name.contains(part))
            {
                command.env_remove(name);
            }
        }
        command.envs(&self.env).envs(self.compilers.variables(way));
        command.env("PATH", format!("{front}{}:{path}", self.kept("bin").display()));
        command.env("DISTCC_LOG", self.kept(log));
        let started = Instant::now();
        let output = command.output().expect("sh runs");
        let took = started.elapsed();
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
        assert!(output.status.success(), "{script}: {}\n{stdout}\n{stderr}", output.status);
        Said { stdout: lines(&stdout, way), stderr: lines(&stderr, way), took }
    }

    /// Which ways the commands took that the client's log tells of.
    pub(crate) fn ways(&self, log: &str) -> Ways {
        let text = fs::read(self.kept(log)).unwrap_or_default();
        let mut ways = Ways::default();
        for line in String::from_utf8_lossy(&text).lines() {
            if line.contains(" on 127.0.0.1:") && line.ends_with("completed ok") {
                ways.n_there += 1;
            } else if line.contains("had warnings, which are shown in full here")
                || line.ends_with("failed, retrying locally")
            {
                ways.n_repeated += 1;
            } else if let Some((_, reason)) = line.split_once("running locally") {
                let is_compile = !NO_COMPILES.iter().any(|known| reason.contains(known));
                ways.n_here += usize::from(is_compile);
                *ways.reasons.entry(reason.to_owned()).or_default() += 1;
            }
        }
        ways
    }

    /// How many jobs the server has compiled so far, by its own log.
    pub(crate) fn n_served(&self) -> usize {
        let text = fs::read(self.dir.path().join("server/log")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(" COMPILE_OK ")).count()
    }

    /// Waits until the server has written down `n_jobs`: a client may end a moment before.
    pub(crate) fn wait_served(&self, n_jobs: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.n_served() < n_jobs {
            assert!(Instant::now() < deadline, "{} of {n_jobs} in its log", self.n_served());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// True if an agent hands out the places.
    pub(crate) fn has_agent(&self) -> bool {
        let dirs = fs::read_dir(self.kept("state")).expect("a directory of ours");
        dirs.flatten().any(|entry| entry.path().join("sock").exists())
    }
}

/// Commands that compile nothing: questions, preprocessor runs and links. Several sources are a job
/// each, so that several files are objects.
const NO_COMPILES: [&str; 5] = [
    "files are named",
    "neither -c nor -S is given",
    "only the preprocessor is wanted",
    "asks the compiler about itself",
    "no source is named",
];

/// What a script wrote, without our name before a compiler's.
pub(crate) struct Said {
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
    pub(crate) took: Duration,
}

/// Without what depends on the order of jobs, too: how far the build is, and where make goes.
fn lines(text: &str, way: Way) -> Vec<String> {
    let prefix = match way {
        Way::Here | Way::Masked => "",
        Way::Called => "distcc ",
        Way::Cached => "ccache ",
    };
    let without = |line: &str| {
        let line =
            line.strip_prefix('[').and_then(|line| line.split_once("] ")).unwrap_or(("", line));
        if prefix.is_empty() { line.1.to_owned() } else { line.1.replace(prefix, "") }
    };
    let travels = |line: &&str| line.starts_with("make[") && line.contains("ing directory");
    text.lines().filter(|line| !travels(line)).map(without).collect()
}

/// How many commands went which way.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// The object is the server's.
    pub(crate) n_there: usize,
    /// Compiled by the server, and once more here for what the compiler says.
    pub(crate) n_repeated: usize,
    /// Compiled here only.
    pub(crate) n_here: usize,
    /// Why something ran here, links too.
    pub(crate) reasons: BTreeMap<String, usize>,
}

impl Ways {
    pub(crate) fn n_served(&self) -> usize {
        self.n_there + self.n_repeated
    }

    pub(crate) fn n_compiles(&self) -> usize {
        self.n_served() + self.n_here
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.server.id().cast_signed());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.server.wait();
        // The agent leaves when its directory goes, with `dir`.
    }
}

/// A server on a free port; none if another process took that meanwhile.
fn serve(dir: &Path) -> Option<(Child, u16)> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("an address of this machine");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let state = dir.join("server");
    fs::create_dir_all(&state).expect("a directory of ours");
    // A server that has given up root must be able to write here.
    for (path, mode) in [(dir, 0o755), (state.as_path(), 0o1777)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a directory of ours");
    }
    let mut server = Command::new(env!("CARGO_BIN_EXE_distccd"))
        .args(["--daemon", "--no-detach", "--jobs", "4", "--allow", "127.0.0.1"])
        .args(["--listen", "127.0.0.1", "--port", &port.to_string()])
        .arg("--log-file")
        .arg(state.join("log"))
        .arg("--state-dir")
        .arg(&state)
        .env("TMPDIR", &state)
        .current_dir(&state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("distccd runs");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "the server does not listen");
        if server.try_wait().expect("it is ours").is_some() {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Some((server, port))
}
