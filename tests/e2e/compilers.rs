//! Which compilers `distccd` runs, and how: those behind ccache, those of a list, with which traces.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::skip::skip;

const SOURCE: &str =
    "# 1 \"a.c\"\n# 1 \"/home/u/project//\"\n# 1 \"a.c\"\nint answer(int x) { return x + 42; }\n";
/// A source that keeps its macros.
const WITH_MACROS: &str = "# 1 \"a.c\"\n#define SEVEN 7\nint seven(void) { return SEVEN; }\n";

/// Longer than anything takes on a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon in the background, ended with the test.
struct Daemon {
    dir: TempDir,
    port: u16,
}

impl Daemon {
    /// Started in `dir`, on a port that was free a moment ago.
    fn start(dir: TempDir, variables: &[(&str, &str)], options: &[&str]) -> Self {
        for _ in 0..20 {
            let (port, started) = start(dir.path(), variables, options);
            match started.status.code() {
                Some(0) => return Self { dir, port },
                Some(102) => {}
                _ => panic!("{started:?}"),
            }
        }
        panic!("no free port");
    }

    /// The whole answer; nothing if it is refused.
    fn answer(&self, words: &str) -> Vec<u8> {
        self.answer_to(words, SOURCE)
    }

    fn answer_to(&self, words: &str, source: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let words: Vec<&str> = words.split(' ').collect();
        let mut request = format!("DIST00000001ARGC{:08x}", words.len());
        for word in words {
            request += &format!("ARGV{:08x}{word}", word.len());
        }
        request += &format!("DOTI{:08x}{source}", source.len());
        // One that is refused does not read all.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// The object, of a compile without a word.
    #[track_caller]
    fn object(&self, words: &str) -> Vec<u8> {
        self.object_of(words, SOURCE)
    }

    #[track_caller]
    fn object_of(&self, words: &str, source: &str) -> Vec<u8> {
        let answer = self.answer_to(words, source);
        let head = b"DONE00000001STAT00000000SERR00000000SOUT00000000DOTO";
        assert!(answer.starts_with(head), "{words}: {}\n{}", answer.escape_ascii(), self.log());
        answer[head.len() + 8..].to_vec()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.dir.path().join("pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn start(dir: &Path, variables: &[(&str, &str)], options: &[&str]) -> (u16, Output) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut distccd = Command::new(env!("CARGO_BIN_EXE_distccd"));
    distccd.args(["--port", &port.to_string(), "--pid-file", "pid", "--log-file", "log"]);
    distccd.args(["--listen", "127.0.0.1", "--state-dir", "state", "--lifetime", "600"]);
    distccd.args(options).env("TMPDIR", dir).env_remove("HOME").current_dir(dir);
    (port, distccd.envs(variables.iter().copied()).output().unwrap())
}

/// A directory in which an unprivileged daemon may work too.
fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    dir
}

fn are_installed(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|name| !Path::new("/usr/bin").join(name).exists());
    if let Some(name) = missing {
        skip(&format!("no {name} in /usr/bin"));
    }
    missing.is_none()
}

/// What ccache has counted in this directory.
fn count(dir: &Path, what: &str) -> u32 {
    let said = Command::new("/usr/bin/ccache")
        .arg("--print-stats")
        .env("CCACHE_DIR", dir)
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix('\t'));
    line.map_or(0, |number| number.parse().unwrap())
}

fn hits(dir: &Path) -> u32 {
    count(dir, "direct_cache_hit") + count(dir, "preprocessed_cache_hit")
}

#[test]
fn a_compiler_behind_ccache_is_asked_once_for_what_it_has_compiled_before() {
    if !are_installed(&["ccache", "gcc", "gcc-11"]) {
        return;
    }
    let dir = open_dir();
    let links = dir.path().join("links");
    fs::create_dir(&links).unwrap();
    for name in ["gcc", "gcc-11"] {
        symlink("/usr/bin/ccache", links.join(name)).unwrap();
    }
    // As for a user whose builds go to ccache first.
    let path = format!("{}:/usr/bin:/bin", links.display());
    let variables =
        [("DISTCCD_PATH", &*path), ("CCACHE_PREFIX", "distcc"), ("CCACHE_COMPILER", "/bin/false")];
    let daemon = Daemon::start(dir, &variables, &[]);
    let cache = daemon.dir.path().join("state/ccache");
    let mut n_hits = 0;
    for words in ["gcc -O2 -c a.c -o a.o", "gcc -O2 -g -c a.c -o a.o", "gcc-11 -O2 -c a.c -o a.o"] {
        let first = daemon.object(words);
        assert_eq!(hits(&cache), n_hits, "{words}");
        let second = daemon.object(&words.replace("a.c", "b.c"));
        n_hits += 1;
        assert_eq!(
            hits(&cache),
            n_hits,
            "{words}: {:?}",
            fs::read_dir(&cache).map(|all| all.count())
        );
        assert!(first == second, "{words}");
        let release = if words.starts_with("gcc-11") { "GCC: (Debian 11" } else { "GCC: (" };
        assert!(first.windows(release.len()).any(|part| part == release.as_bytes()));
    }
    // As our clients send it.
    let words = "gcc -O2 -fdirectives-only -c a.c -o a.o";
    let first = daemon.object_of(words, WITH_MACROS);
    assert!(first == daemon.object_of(words, WITH_MACROS));
    n_hits += 1;
    assert_eq!(hits(&cache), n_hits);
    // The compiler itself was named.
    daemon.object("/usr/bin/gcc -O2 -c a.c -o a.o");
    assert_eq!(hits(&cache), n_hits);
    fs::remove_file(links.join("gcc")).unwrap();
    daemon.object("gcc -O2 -c a.c -o a.o");
    assert_eq!(hits(&cache), n_hits);
}

#[test]
fn clang_behind_ccache_compiles() {
    if !are_installed(&["ccache", "clang"]) {
        return;
    }
    let dir = open_dir();
    let links = dir.path().join("links");
    fs::create_dir(&links).unwrap();
    symlink("/usr/bin/ccache", links.join("clang")).unwrap();
    let path = format!("{}:/usr/bin:/bin", links.display());
    let cache = dir.path().join("elsewhere").display().to_string();
    let variables = [("DISTCCD_PATH", &*path), ("CCACHE_DIR", &*cache)];
    let daemon = Daemon::start(dir, &variables, &[]);
    let object = daemon.object("clang -O2 -c a.c -o a.o");
    assert!(object == daemon.object("clang -O2 -c a.c -o a.o"));
    println!("of two equal jobs {} had a hit", hits(Path::new(&cache)));
    assert!(Path::new(&cache).exists());
}

#[test]
fn a_list_of_commands_says_what_runs_and_nothing_else_does() {
    if !are_installed(&["gcc", "gcc-11", "g++"]) {
        return;
    }
    let dir = open_dir();
    let own = dir.path().join("own/bin");
    fs::create_dir_all(&own).unwrap();
    symlink("/usr/bin/gcc-11", own.join("gcc")).unwrap();
    let list = dir.path().join("list");
    fs::write(&list, format!("{}\n", own.join("gcc").display())).unwrap();
    let list = list.display().to_string();
    for (n_words, served, refused) in [
        ("1", &["gcc", "/anywhere/gcc"][..], &["g++", "gcc-12", "cc", "/bin/sh", "sh"][..]),
        ("2", &["bin/gcc", "/usr/bin/gcc"], &["gcc", "/opt/gcc", "bin/g++"]),
    ] {
        let fresh = open_dir();
        let variables = [("DISTCC_CMDLIST", &*list), ("DISTCC_CMDLIST_NUMWORDS", n_words)];
        let daemon = Daemon::start(fresh, &variables, &["--enable-tcp-insecure"]);
        for name in served {
            let object = daemon.object(&format!("{name} -c a.c -o a.o"));
            assert!(object.windows(14).any(|part| part == b"GCC: (Debian 1"), "{name}");
            assert!(object.windows(16).any(|part| part == b"GCC: (Debian 11."), "{name}");
        }
        for name in refused {
            assert_eq!(daemon.answer(&format!("{name} -c a.c -o a.o")), b"", "{name}");
        }
    }
}

#[test]
fn a_list_of_commands_that_cannot_be_used_keeps_the_server_from_starting() {
    let dir = open_dir();
    fs::write(dir.path().join("list"), "gcc\n").unwrap();
    for (list, said) in [
        ("/nonexistent/list", "distccd: cannot read DISTCC_CMDLIST /nonexistent/list: "),
        ("list", "distccd: cannot use DISTCC_CMDLIST "),
    ] {
        let ended = (0..20).map(|_| start(dir.path(), &[("DISTCC_CMDLIST", list)], &[]).1);
        let mut ended = ended.filter(|ended| ended.status.code() != Some(102));
        let ended = ended.next().unwrap();
        let text = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(101), "{text}");
        assert!(text.starts_with(said) && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn compilers_get_the_score_that_is_asked_for_and_their_files_are_kept() {
    let dir = open_dir();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let stub = bin.join("stub");
    fs::write(&stub, "#!/bin/sh\ncat /proc/self/oom_score_adj > a.o\n").unwrap();
    fs::set_permissions(&stub, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let variables = [("DISTCCD_PATH", &*path), ("DISTCC_SAVE_TEMPS", "1")];
    let options = ["--enable-tcp-insecure", "--oom-score-adj", "321"];
    let daemon = Daemon::start(dir, &variables, &options);
    assert_eq!(daemon.object("stub -c a.c -o a.o"), b"321\n");
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("kept ")).unwrap_or_else(|| panic!("{log}"));
    let kept = Path::new(line.rsplit(' ').next().unwrap());
    assert!(kept.starts_with(daemon.dir.path()), "{line}");
    assert_eq!(fs::read_to_string(kept.join("a.i")).unwrap(), SOURCE);
    assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_compiler_is_served_as_soon_as_it_is_installed() {
    if !are_installed(&["as", "gcc", "gcc-11"]) {
        return;
    }
    let dir = open_dir();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["as", "gcc"] {
        symlink(Path::new("/usr/bin").join(name), bin.join(name)).unwrap();
    }
    let path = format!("{}:/nonexistent", bin.display());
    let daemon = Daemon::start(dir, &[("DISTCCD_PATH", &path)], &[]);
    let words = "gcc-11 -c a.c -o a.o";
    assert_eq!(daemon.answer(words), b"");
    symlink("/usr/bin/gcc-11", bin.join("gcc-11")).unwrap();
    let begun = Instant::now();
    while daemon.answer(words).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{}", daemon.log());
        thread::sleep(Duration::from_millis(50));
    }
    println!("served after {:?}", begun.elapsed());
    daemon.object("gcc -c a.c -o a.o");
}

/// The names in a directory, but for hidden ones.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn every_compiler_that_debian_makes_a_link_for_gets_one() {
    let Ok(script) = fs::read_to_string("/usr/sbin/update-distcc-symlinks") else {
        return skip("no update-distcc-symlinks in /usr/sbin");
    };
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    fs::create_dir(&theirs).unwrap();
    let script = script.replace("/usr/lib/distcc", theirs.to_str().unwrap());
    let perl = Command::new("perl").args(["-e", &script]).output().unwrap();
    assert!(perl.status.success(), "{perl:?}");
    let update = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_update-distcc-symlinks"));
        let output = command.arg("--dir").arg(&ours).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        output.stdout
    };
    assert!(!update().is_empty());
    assert!(update().is_empty());
    let (theirs, found) = (names(&theirs), names(&ours));
    let missing: Vec<&String> = theirs.iter().filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let more: Vec<&String> = found.iter().filter(|name| !theirs.contains(name)).collect();
    println!("{} links, beside Debian's: {more:?}", found.len());
    let distcc = Path::new(env!("CARGO_BIN_EXE_distcc")).canonicalize().unwrap();
    for name in found {
        assert_eq!(ours.join(&name).canonicalize().unwrap(), distcc, "{name}");
    }
}
