//! What monitors, ours and the original's, see of our client's jobs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::bench::{Bench, text};
use crate::skip::skip;

/// Longer than anything takes on a busy machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
const ORIGINAL: &str = "/usr/bin/distccmon-text";

/// A preprocessor that says that it runs, and ends when it is told to.
const PREPROCESSOR: &str = "case \" $* \" in *' -E '*) ;; *) exec /usr/bin/gcc \"$@\";; esac\n\
    echo running > \"$WORK/begun\"; read go < \"$WORK/go\"; echo 'int x;'";

/// A client whose preprocessor and host wait for the test.
struct Watched {
    bench: Bench,
    client: Child,
    host: TcpListener,
}

impl Watched {
    fn start() -> Self {
        let bench = Bench::new();
        for pipe in ["begun", "go"] {
            mkfifo(&bench.path(pipe), Mode::S_IRWXU).unwrap();
        }
        bench.script("bin/gcc", PREPROCESSOR);
        bench.write("x.c", "int x;\n");
        let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let token = host.local_addr().unwrap().to_string();
        let client = bench
            .distcc(&token)
            .env("PATH", format!("{}:/usr/bin:/bin", bench.path("bin").display()))
            .env("WORK", bench.path(""))
            .args(["gcc", "-c", "x.c"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        File::open(bench.path("begun")).unwrap().read_to_string(&mut line).unwrap();
        Self { bench, client, host }
    }

    /// Lets the preprocessor end and takes the whole request.
    fn request(&self) -> TcpStream {
        fs::write(self.bench.path("go"), "go\n").unwrap();
        let mut connection = self.host.accept().unwrap().0;
        let mut request = Vec::new();
        while !request.ends_with(b"int x;\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        connection
    }

    /// The monitor's lines once one of them holds `words`.
    fn sees(&self, words: &str) -> String {
        wait_for(|| {
            let seen = monitor(&self.bench, Path::new(env!("CARGO_BIN_EXE_distccmon-text")));
            seen.contains(words).then_some(seen)
        })
    }

    fn line(&self, phase: &str, host: &str) -> String {
        format!("{:>6}  {phase:<10}  {:<30} {host:>24}[0]\n\n", self.client.id(), "x.c")
    }
}

fn monitor(bench: &Bench, program: &Path) -> String {
    let output = bench.program(program, "").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// Polls: nobody tells when a file changes that is nobody's affair.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing of the kind is seen");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_job_is_seen_in_its_phases_and_leaves_nothing() {
    let mut watched = Watched::start();
    let seen = watched.sees("Preprocess");
    assert_eq!(seen, watched.line("Preprocess", "localhost"));
    let mut connection = watched.request();
    let seen = watched.sees("Compile");
    assert_eq!(seen, watched.line("Compile", "127.0.0.1"));
    if Path::new(ORIGINAL).exists() {
        assert_eq!(monitor(&watched.bench, Path::new(ORIGINAL)), seen);
    } else {
        skip("distccmon-text 3.4 is not installed");
    }
    connection.write_all(b"DONE00000001").unwrap();
    assert_eq!(watched.sees("Receive"), watched.line("Receive", "127.0.0.1"));
    connection.write_all(b"STAT00000000SERR00000000SOUT00000000DOTO00000003ELF").unwrap();
    assert!(watched.client.wait().unwrap().success());
    assert_eq!(watched.bench.read("x.o"), b"ELF");
    watched.bench.assert_tidy();
    assert_eq!(monitor(&watched.bench, Path::new(env!("CARGO_BIN_EXE_distccmon-text"))), "\n");
}

#[test]
fn a_long_job_does_not_grow_old() {
    let mut watched = Watched::start();
    let connection = watched.request();
    watched.sees("Compile");
    let states = watched.bench.path("distcc/state");
    let path = fs::read_dir(states).unwrap().next().unwrap().unwrap().path();
    let long_ago = SystemTime::now() - Duration::from_secs(50);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    // It comes by itself every 25 seconds.
    let pid = Pid::from_raw(watched.client.id().cast_signed());
    kill(pid, Signal::SIGALRM).unwrap();
    let changed = || path.metadata().unwrap().modified().unwrap();
    wait_for(|| (changed() > long_ago + Duration::from_secs(40)).then_some(()));
    assert_eq!(watched.sees("x.c"), watched.line("Compile", "127.0.0.1"));
    kill(pid, Signal::SIGTERM).unwrap();
    watched.client.wait().unwrap();
    watched.bench.assert_tidy();
    drop(connection);
}

#[test]
fn a_command_that_waits_for_a_slot_is_seen_as_blocked() {
    let bench = Bench::new();
    bench.write("x.c", "int main(void) { return 0; }\n");
    fs::create_dir(bench.path("distcc/lock")).unwrap();
    let locks: Vec<File> = (0..4).map(|slot| locked(&bench, slot)).collect();
    let mut client = bench.distcc("127.0.0.1:1").args(["gcc", "x.c"]).spawn().unwrap();
    let ours = Path::new(env!("CARGO_BIN_EXE_distccmon-text"));
    let seen = wait_for(|| Some(monitor(&bench, ours)).filter(|seen| seen.contains("Blocked")));
    assert!(seen.contains("x.c") && seen.contains(" localhost[0]\n"), "{seen}");
    drop(locks);
    assert!(client.wait().unwrap().success());
    bench.assert_tidy();
}

fn locked(bench: &Bench, slot: u16) -> File {
    let path = bench.path(&format!("distcc/lock/cpu_localhost_{slot}"));
    let file = File::create(path).unwrap();
    let whole_file = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&whole_file)).unwrap();
    file
}

#[test]
fn the_monitor_repeats_and_ends_with_its_reader() {
    let bench = Bench::new();
    let mut command = bench.program(Path::new(env!("CARGO_BIN_EXE_distccmon-text")), "");
    command.env("DISTCC_DIR", bench.path("not/yet"));
    let mut running = command.arg("0.01").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = running.stdout.take().unwrap();
    let mut rounds = [0; 3];
    out.read_exact(&mut rounds).unwrap();
    assert_eq!(&rounds, b"\n\n\n");
    drop(out);
    // Ends by itself; a monitor that did not would hang the test.
    running.wait().unwrap();
    let mut junk = Command::new(env!("CARGO_BIN_EXE_distccmon-text"));
    let output = junk.arg("often").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("usage: distccmon-text [DELAY]"));
}
