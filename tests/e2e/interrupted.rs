//! A client that is ended from outside, whatever it does at that moment, leaves nothing behind and
//! ends by that very signal.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, mkfifo};
use socket2::{Domain, Socket, Type};

use crate::bench::{Bench, StockServer};
use crate::daemon::until;
use crate::skip::skip;

/// A pipe that compilers hold open, so that its end is the end of them all.
struct Pulse {
    path: PathBuf,
}

impl Pulse {
    fn new(bench: &Bench) -> Self {
        let path = bench.path("pipe");
        mkfifo(&path, Mode::empty()).unwrap();
        // The server's compilers run as another user.
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        Self { path }
    }

    /// A compiler in `bin/` that says that it runs and then does so for ever, but for the words
    /// after which it does as gcc. `below` is what it has running below it.
    fn compiler(&self, bench: &Bench, except: &str, below: &str) -> PathBuf {
        let pipe = self.path.display();
        let script = format!(
            "case \" $* \" in *\" {except} \"*) exec /usr/bin/gcc \"$@\"; esac\n\
             exec 9> {pipe}; {below} echo running >&9; exec sleep 1000"
        );
        bench.script("bin/gcc", &script)
    }

    /// Waits until the compiler runs; what is left to be read ends with it.
    fn running(&self) -> BufReader<File> {
        let mut pipe = BufReader::new(File::open(&self.path).unwrap());
        let mut line = String::new();
        pipe.read_line(&mut line).unwrap();
        assert_eq!(line, "running\n");
        pipe
    }
}

/// Our client at work in `bench`.
fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn by_path(bench: &Bench, hosts: &str, words: &[&str]) -> Command {
    let mut command = bench.distcc(hosts);
    command.env("PATH", format!("{}:/usr/bin:/bin", bench.path("bin").display())).args(words);
    command
}

/// Sends `signal` to the client alone and sees it end by it, with nothing left.
fn end(bench: &Bench, client: Child, signal: Signal) {
    kill_and_wait(client, signal);
    assert_nothing_left(bench);
}

fn kill_and_wait(mut client: Child, signal: Signal) {
    kill(Pid::from_raw(client.id().cast_signed()), signal).unwrap();
    let begun = Instant::now();
    assert_eq!(client.wait().unwrap().signal(), Some(signal as i32));
    eprintln!("{signal} ended it after {:?}", begun.elapsed());
}

fn assert_nothing_left(bench: &Bench) {
    bench.assert_tidy();
    assert!(fs::metadata(bench.path("work/x.o")).is_err());
}

/// With a compiler that runs below the client, and has `sleep` below it.
fn while_a_compiler_runs(signal: Signal, words: &[&str]) {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let pulse = Pulse::new(&bench);
    pulse.compiler(&bench, "-nothing", "sleep 1000 &");
    bench.write("x.c", "int x;\n");
    let client = start(by_path(&bench, &server.token, words));
    let mut pipe = pulse.running();
    end(&bench, client, signal);
    // Returns when the compiler and its child are gone.
    pipe.read_to_string(&mut String::new()).unwrap();
}

#[test]
fn while_it_preprocesses() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP] {
        while_a_compiler_runs(signal, &["gcc", "-c", "x.c"]);
    }
}

#[test]
fn while_it_compiles_here() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        while_a_compiler_runs(signal, &["gcc", "x.c", "-o", "x"]);
    }
}

#[test]
fn while_it_waits_for_the_agent() {
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    let dir = bench.path(&format!("distcc/agent-{}", geteuid()));
    fs::create_dir(&dir).unwrap();
    let agent = UnixListener::bind(dir.join("sock")).unwrap();
    let client = start(by_path(&bench, "127.0.0.1:1", &["gcc", "-c", "x.c"]));
    let (mut link, _) = agent.accept().unwrap();
    link.read_exact(&mut [0]).unwrap();
    end(&bench, client, Signal::SIGINT);
    link.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn while_it_waits_for_a_slot() {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let pulse = Pulse::new(&bench);
    let gcc = pulse.compiler(&bench, "-E", "");
    bench.write("x.c", "int x;\n");
    let hosts = format!("{}/1", server.token);
    let words = [gcc.to_str().unwrap(), "-c", "x.c"];
    let first = start(by_path(&bench, &hosts, &words));
    let mut pipe = pulse.running();
    let log = bench.path("log");
    let mut command = by_path(&bench, &hosts, &words);
    command.env("DISTCC_LOG", &log).env("DISTCC_VERBOSE", "1");
    let second = start(command);
    let waits = || fs::read_to_string(&log).is_ok_and(|log| log.contains("waiting for a host"));
    until("the second client's waiting", waits);
    kill_and_wait(second, Signal::SIGINT);
    end(&bench, first, Signal::SIGINT);
    pipe.read_to_string(&mut String::new()).unwrap();
}

/// How many connections to that port have not been answered yet.
fn n_connecting(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let to_port = format!(":{port:04X} 02 ");
    table.lines().filter(|line| line.contains(&to_port)).count()
}

#[test]
fn while_it_connects() {
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    // A listener whose backlog is full answers nobody.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    full.listen(0).unwrap();
    let addr = full.local_addr().unwrap().as_socket().unwrap();
    let held: Vec<Socket> = (0..3)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
            let begun = socket.connect(&addr.into());
            assert!(begun.is_ok() || begun.unwrap_err().raw_os_error() == Some(libc::EINPROGRESS));
            socket
        })
        .collect();
    until("a full backlog", || n_connecting(addr.port()) > 0);
    let before = n_connecting(addr.port());
    let mut command = by_path(&bench, &addr.to_string(), &["gcc", "-c", "x.c"]);
    command.env("DISTCC_CONNECT_TIMEOUT", "1000");
    let client = start(command);
    until("connecting", || n_connecting(addr.port()) > before);
    end(&bench, client, Signal::SIGINT);
    drop(held);
}

#[test]
fn while_it_sends() {
    let bench = Bench::new();
    // More than the kernel's buffers take.
    bench.write("x.i", &"int x;\n".repeat(1 << 20));
    let host = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let token = host.local_addr().unwrap().to_string();
    let client = start(by_path(&bench, &token, &["gcc", "-c", "x.i"]));
    // A connection that grew old while the source was read is made anew.
    let begins = |job: &mut TcpStream| job.read_exact(&mut [0]).is_ok();
    let mut job = loop {
        let (mut job, _) = host.accept().unwrap();
        if begins(&mut job) {
            break job;
        }
    };
    end(&bench, client, Signal::SIGTERM);
    let mut rest = Vec::new();
    let _ = job.read_to_end(&mut rest);
    assert!(rest.len() < 7 << 20, "all was sent");
}

/// Both servers see that nobody waits for the compiler any more, and end it.
#[test]
fn while_it_waits_for_the_answer() {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let pulse = Pulse::new(&bench);
    let gcc = pulse.compiler(&bench, "-E", "");
    bench.write("x.c", "int x;\n");
    for signal in [Signal::SIGINT, Signal::SIGHUP] {
        let words = [gcc.to_str().unwrap(), "-c", "x.c"];
        let client = start(by_path(&bench, &server.token, &words));
        let mut pipe = pulse.running();
        end(&bench, client, signal);
        pipe.read_to_string(&mut String::new()).unwrap();
    }
}

/// Types ^C on a terminal of its own, in which `distcc gcc` runs with `words`.
fn type_interrupt(except: &str, words: &str) {
    if !Path::new("/usr/bin/script").exists() {
        skip("script(1), which makes a terminal, is not installed");
        return;
    }
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let pulse = Pulse::new(&bench);
    let gcc = pulse.compiler(&bench, except, "");
    bench.write("x.c", "int x;\n");
    let distcc = env!("CARGO_BIN_EXE_distcc");
    let mut command = bench.program("/usr/bin/script".as_ref(), &server.token);
    command.args(["--quiet", "--return", "--command"]);
    command.arg(format!("exec {distcc} {} {words}", gcc.display())).arg("/dev/null");
    let mut terminal =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = pulse.running();
    terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(128 + libc::SIGINT));
    pipe.read_to_string(&mut String::new()).unwrap();
    assert_nothing_left(&bench);
}

#[test]
fn by_a_key_in_every_phase_in_which_a_compiler_runs() {
    type_interrupt("-nothing", "-c x.c");
    type_interrupt("-E", "-c x.c");
    type_interrupt("-nothing", "x.c -o x");
}

#[test]
fn a_stopped_client_goes_on_when_it_is_continued() {
    let bench = Bench::new();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    bench.write("x.c", "int x;\n");
    let gate = bench.path("gate");
    mkfifo(&gate, Mode::S_IRWXU).unwrap();
    let script = format!("read line < {}; exec /usr/bin/gcc \"$@\"", gate.display());
    bench.script("bin/gcc", &script);
    let mut client = start(by_path(&bench, &server.token, &["gcc", "-c", "x.c"]));
    // Opens when the preprocessor waits at the gate.
    let mut gate = File::options().write(true).open(gate).unwrap();
    let pid = Pid::from_raw(client.id().cast_signed());
    let is_stopped = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    };
    kill(pid, Signal::SIGTSTP).unwrap();
    until("its stop", is_stopped);
    gate.write_all(b"go\n").unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    assert!(client.wait().unwrap().success());
    assert!(!bench.read("x.o").is_empty());
}
