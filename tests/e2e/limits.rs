//! A server whose clients, or whose machine, do not let it work in peace: jobs get through, or are
//! done elsewhere, and it recovers by itself.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use socket2::{Domain, Socket, Type};

use crate::bench::{Bench, has, text};
use crate::daemon::until;
use crate::long;
use crate::skip::skip;

const SOURCE: &str = "#include <stdio.h>\nint main(void) { return !puts(\"hello\"); }\n";
/// Clients at once.
const CLIENTS: usize = 8;

/// A daemon in the foreground that serves this machine's gcc alone.
struct Server {
    child: Child,
    bench: Bench,
    token: String,
    port: u16,
}

impl Server {
    /// Starts it by a shell script, which is to end with `exec "$@"`. `TMPDIR` is `server/tmp`.
    fn start(script: &str) -> Self {
        let bench = Bench::new();
        let dir = bench.path("server");
        for name in ["tmp", "bin", "state"] {
            fs::create_dir(dir.join(name)).unwrap();
            // The server gives up root.
            fs::set_permissions(dir.join(name), Permissions::from_mode(0o777)).unwrap();
        }
        for program in ["gcc", "x86_64-linux-gnu-gcc", "as"] {
            let _ = symlink(format!("/usr/bin/{program}"), dir.join("bin").join(program));
        }
        for _ in 0..20 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let mut child = Command::new("/bin/sh")
                .args(["-c", script, "sh", env!("CARGO_BIN_EXE_distccd"), "--no-detach"])
                .args(["--port", &port.to_string(), "--allow", "127.0.0.0/8", "--jobs", "4"])
                .args(["--log-file", "log", "--state-dir", "state", "--lifetime", "900"])
                .env("TMPDIR", dir.join("tmp"))
                .env("DISTCCD_PATH", dir.join("bin"))
                .current_dir(&dir)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let log = seen_by(&child, &dir.join("log"));
            until("it serves, or the port is taken", || {
                serves(&log) || child.try_wait().unwrap().is_some()
            });
            if serves(&log) {
                let token = format!("127.0.0.1:{port}/{CLIENTS}");
                return Self { child, bench, token, port };
            }
        }
        panic!("no free port");
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap()).into_owned()
    }

    /// A file of its directory, also on a disk that only the server sees.
    fn path(&self, name: &str) -> PathBuf {
        seen_by(&self.child, &self.bench.path("server").join(name))
    }

    /// Compiles `source` by our client; does the server do it?
    fn compiles(&self, source: &str) -> bool {
        self.bench.write("x.c", source);
        // What failed there is remembered, and this is about the server.
        let _ = fs::remove_dir_all(self.bench.path("distcc"));
        let words = ["gcc", "-O2", "-c", "x.c", "-o", "x.o"];
        let local = self
            .bench
            .program(Path::new("/usr/bin/gcc"), "")
            .args(["-O2", "-c", "x.c", "-o", "local.o"])
            .status();
        assert!(local.unwrap().success());
        let (output, _) = self.bench.run(&self.token, &words);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{}", self.log());
        assert!(self.bench.read("x.o") == self.bench.read("local.o"));
        let mut client = self.bench.distcc(&self.token);
        let alone = client.env("DISTCC_FALLBACK", "0").args(words).output().unwrap();
        alone.status.success()
    }

    /// Mounts a directory of it anew, `how`.
    fn remount(&self, name: &str, how: &str) {
        let mounted = Command::new("nsenter")
            .args(["-t", &self.child.id().to_string(), "-m", "mount", "-o"])
            .arg(format!("remount,{how}"))
            .arg(self.bench.path("server").join(name))
            .status();
        assert!(mounted.unwrap().success());
    }

    /// Sets how many processes its user may have for it to start another one.
    fn limit_processes(&self, limit: u64) {
        let pid = self.child.id().to_string();
        let mut limited = Command::new("prlimit");
        // Not every root may do so for another user.
        limited.uid(self.owner().0).gid(self.owner().1);
        let limited = limited.args(["--pid", &pid]).arg(format!("--nproc={limit}:")).status();
        assert!(limited.unwrap().success());
    }

    /// Its user and group, as it has given up root.
    fn owner(&self) -> (u32, u32) {
        let process = fs::metadata(format!("/proc/{}", self.child.id())).unwrap();
        (process.uid(), process.gid())
    }

    /// How many threads its user has now.
    fn tasks_of_user(&self) -> u64 {
        let owner = |path: &Path| fs::metadata(path).map(|found| found.uid()).ok();
        let us = Some(self.owner().0);
        let n_threads =
            |process: PathBuf| fs::read_dir(process.join("task")).map_or(0, Iterator::count);
        let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let theirs = processes.filter(|process| owner(process) == us);
        theirs.map(n_threads).sum::<usize>().try_into().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// `path` as this process sees it.
fn seen_by(process: &Child, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", process.id(), path.display()))
}

fn serves(log: &Path) -> bool {
    fs::read(log).is_ok_and(|log| String::from_utf8_lossy(&log).contains(") serving "))
}

/// Compiles `n_jobs` times there and nowhere else; the time that each took.
fn build(server: &Server, n_jobs: usize) -> f64 {
    // A small one: what is measured is the server, not the compiler.
    server.bench.write("x.c", "int x;\n");
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && number < n_jobs
                {
                    let mut client = server.bench.distcc(&server.token);
                    let client = client.env("DISTCC_FALLBACK", "0");
                    let object = format!("{number}.o");
                    let output = client.args(["gcc", "-c", "x.c", "-o", &object]).output().unwrap();
                    assert!(output.status.success(), "{}\n{}", text(&output.stderr), server.log());
                }
            });
        }
    });
    begun.elapsed().as_secs_f64() / n_jobs as f64
}

/// A connection that does no job.
struct Idler {
    stream: Option<TcpStream>,
    from: Ipv4Addr,
    to: SocketAddr,
    kind: usize,
    next: Instant,
}

impl Idler {
    /// Silence, one byte, half a command, a source that comes byte by byte.
    const OPENINGS: [&[u8]; 4] = [
        b"",
        b"D",
        b"DIST00000001ARGC00000005ARGV00000003gccARGV",
        b"DIST00000001ARGC00000005ARGV00000003gccARGV00000002-cARGV00000003x.cARGV00000002-o\
          ARGV00000003x.oDOTI00100000",
    ];

    fn new(number: usize, port: u16) -> Self {
        let low = u8::try_from(number % 250).unwrap();
        Self {
            stream: None,
            from: Ipv4Addr::new(127, 0, 1, low),
            to: (Ipv4Addr::LOCALHOST, port).into(),
            kind: number % Self::OPENINGS.len(),
            next: Instant::now(),
        }
    }

    fn connect(&mut self) -> std::io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((self.from, 0)).into())?;
        socket.connect(&self.to.into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(Self::OPENINGS[self.kind])?;
        stream.set_nonblocking(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Comes again a second after it was closed; one that sends, sends a byte a second.
    fn tend(&mut self) {
        if self.next > Instant::now() {
            return;
        }
        self.next += Duration::from_secs(1);
        let Some(stream) = &mut self.stream else {
            let _ = self.connect();
            return;
        };
        let is_open = match stream.read(&mut [0; 100]) {
            Err(error) => error.kind() == ErrorKind::WouldBlock,
            Ok(_) => false,
        };
        if !is_open || self.kind == 3 && stream.write_all(b" ").is_err() {
            self.stream = None;
        }
    }
}

/// Keeps so many of them open until `done`; `ready` once all have been.
fn besiege(port: u16, n_idlers: usize, ready: &AtomicBool, done: &AtomicBool) {
    let mut idlers: Vec<_> = (0..n_idlers).map(|number| Idler::new(number, port)).collect();
    while !done.load(Ordering::Relaxed) {
        idlers.iter_mut().for_each(Idler::tend);
        ready.store(true, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(10));
    }
}

/// `n_jobs` beside `n_idlers`; the time that each took.
fn build_beside(server: &Server, n_jobs: usize, n_idlers: usize) -> f64 {
    let (ready, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| besiege(server.port, n_idlers, &ready, &done));
        // However this ends, the siege does too.
        let beside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until("they are there", || ready.load(Ordering::Relaxed));
            build(server, n_jobs)
        }));
        done.store(true, Ordering::Relaxed);
        beside.unwrap()
    })
}

/// `n_batches` times `n_jobs` beside `n_idlers`, and before each half as many alone: in turn, since
/// whatever else this machine does comes and goes.
fn compare(server: &Server, n_batches: usize, n_jobs: usize, n_idlers: usize) {
    build(server, CLIENTS);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..n_batches {
        alone.push(build(server, n_jobs.div_ceil(2)));
        beside.push(build_beside(server, n_jobs, n_idlers));
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "{n_batches} times {n_jobs} jobs beside {n_idlers} connections that do none: {:.1} ms each, \
         alone {:.1} ms; throughput {:.2} (medians)",
        beside * 1e3,
        alone * 1e3,
        alone / beside
    );
    let lines = server.log().lines().filter(|line| !line.contains("dcc_job_")).count();
    assert!(lines < 600, "{lines} lines beside those of jobs");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn jobs_run_beside_connections_that_do_none() {
    if !has("gcc") {
        return;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let server = Server::start("exec \"$@\"");
    compare(&server, 3, 12, 600);
    if long::wanted() {
        compare(&server, 10, 100, 1000);
    }
}

#[test]
fn few_descriptors_are_enough_for_fewer_jobs_at_once() {
    if !has("gcc") {
        return;
    }
    let server = Server::start("ulimit -n 64; exec \"$@\"");
    let log = server.log();
    assert!(
        log.contains("64 open files are allowed, so 2 jobs and 8 connections at once"),
        "{log}"
    );
    compare(&server, 3, 12, 100);
    if long::wanted() {
        compare(&server, 10, 40, 100);
    }
    assert!(server.compiles(SOURCE));
}

#[test]
fn a_full_disk_sends_jobs_elsewhere_until_there_is_room() {
    if !geteuid().is_root() {
        return skip("only root mounts a disk of its own");
    }
    if !has("gcc") {
        return;
    }
    let mount = "mount -t tmpfs -o size=1m,mode=777 none \"$TMPDIR\"; exec \"$@\"";
    let server = Server::start(&format!("exec unshare -m sh -c '{mount}' sh \"$@\""));
    assert!(server.compiles(SOURCE));
    let fill = server.path("tmp/fill");
    for left in [0, 16 << 10] {
        // First the source does not fit, then it does and the object does not.
        let _ = File::create(&fill).unwrap().write_all(&vec![0; (2 << 20) - left]);
        let len = fs::metadata(&fill).unwrap().len();
        File::options().write(true).open(&fill).unwrap().set_len(len - left as u64).unwrap();
        assert!(!server.compiles("char big[100000] = { 1 };\n"), "{}", server.log());
    }
    let log = server.log();
    assert!(log.contains("No space left on device"), "{log}");
    assert!(!log.contains("COMPILE_ERROR"), "{log}");
    fs::remove_file(&fill).unwrap();
    assert!(server.compiles(SOURCE), "{}", server.log());
}

#[test]
fn a_temporary_directory_that_went_is_used_again_when_it_is_back() {
    if !has("gcc") {
        return;
    }
    let server = Server::start("exec \"$@\"");
    let tmp = server.bench.path("server/tmp");
    assert!(server.compiles(SOURCE));
    // As cleaners of temporary files do it.
    for node in fs::read_dir(&tmp).unwrap() {
        fs::remove_dir_all(node.unwrap().path()).unwrap();
    }
    assert!(server.compiles(SOURCE), "{}", server.log());
    fs::rename(&tmp, server.bench.path("server/away")).unwrap();
    assert!(!server.compiles(SOURCE));
    let log = server.log();
    assert!(log.contains("cannot make a directory for the job"), "{log}");
    fs::rename(server.bench.path("server/away"), &tmp).unwrap();
    assert!(server.compiles(SOURCE), "{}", server.log());
}

#[test]
fn a_temporary_directory_that_cannot_be_written_sends_jobs_elsewhere() {
    if !has("gcc") {
        return;
    }
    let server = Server::start("exec \"$@\"");
    assert!(server.compiles(SOURCE));
    let only = |dir: &Path| fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    let run = only(&only(&server.path("tmp")));
    fs::set_permissions(&run, Permissions::from_mode(0o500)).unwrap();
    assert!(!server.compiles(SOURCE));
    assert!(server.log().contains("Permission denied"), "{}", server.log());
    fs::set_permissions(&run, Permissions::from_mode(0o700)).unwrap();
    assert!(server.compiles(SOURCE), "{}", server.log());
}

#[test]
fn a_disk_that_has_become_read_only_sends_jobs_elsewhere() {
    if !geteuid().is_root() {
        return skip("only root mounts a disk of its own");
    }
    if !has("gcc") {
        return;
    }
    let mount = "mount -t tmpfs -o mode=777 none \"$TMPDIR\"; exec \"$@\"";
    let server = Server::start(&format!("exec unshare -m sh -c '{mount}' sh \"$@\""));
    assert!(server.compiles(SOURCE));
    server.remount("tmp", "ro");
    assert!(!server.compiles(SOURCE));
    assert!(server.log().contains("Read-only file system"), "{}", server.log());
    server.remount("tmp", "rw");
    assert!(server.compiles(SOURCE), "{}", server.log());
}

#[test]
fn a_full_disk_of_the_log_or_the_state_costs_no_job() {
    if !geteuid().is_root() {
        return skip("only root mounts a disk of its own");
    }
    if !has("gcc") {
        return;
    }
    let mount = "mount -t tmpfs -o size=64k,mode=777 none state; cat /dev/zero > state/fill 2> \
                 /dev/null; exec \"$@\"";
    let server = Server::start(&format!("exec unshare -m sh -c '{mount}' sh \"$@\""));
    assert!(server.log().contains("cannot keep state in"), "{}", server.log());
    assert!(server.compiles(SOURCE));
    drop(server);
    let mount = "mount -t tmpfs -o size=1m,mode=777 none state; touch log state/log; \
                 chmod 666 state/log; mount --bind state/log log; exec \"$@\"";
    let server = Server::start(&format!("exec unshare -m sh -c '{mount}' sh \"$@\""));
    let n_told = || server.log().matches("COMPILE_OK").count();
    let _ = File::create(server.path("state/fill")).unwrap().write_all(&vec![0; 2 << 20]);
    // What is left of its last page.
    let mut log = File::options().append(true).open(server.path("log")).unwrap();
    assert!(log.write_all(&[b'\n'; 4096]).is_err(), "the disk is not full");
    let n_before = n_told();
    assert!(server.compiles(SOURCE));
    assert_eq!(n_told(), n_before);
    fs::remove_file(server.path("state/fill")).unwrap();
    assert!(server.compiles(SOURCE));
    until("the log goes on", || n_told() > n_before);
}

#[test]
fn a_file_that_grows_too_fast_for_a_look_ends_its_job() {
    if !has("gcc") {
        return;
    }
    let server = Server::start("exec \"$@\" --limit job_bytes=1M");
    assert!(server.compiles(SOURCE));
    assert!(!server.compiles("char big[4000000] = { 1 };\n"));
    let log = server.log();
    assert!(log.contains("its files took more than the 1048576 bytes of a job"), "{log}");
    assert!(server.compiles(SOURCE), "{}", server.log());
}

#[test]
fn too_few_processes_send_jobs_elsewhere_until_there_are_more() {
    if !has("gcc") {
        return;
    }
    let mut server = Server::start("exec \"$@\"");
    // Work for threads that wait, not for those that serve.
    server.token.push_str(",lzo");
    assert!(server.compiles(SOURCE));
    if long::wanted() {
        // By default the runtime's threads end once they have waited for so long.
        thread::sleep(Duration::from_secs(12));
    }
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
    server.limit_processes(1);
    assert!(!server.compiles(SOURCE));
    let log = server.log();
    assert!(log.contains("cannot start the compiler: Resource temporarily unavailable"), "{log}");
    // Then there are some for the driver, but not for all that it starts.
    let n_now = server.tasks_of_user();
    for limit in n_now..n_now + 4 {
        server.limit_processes(limit);
        server.compiles(SOURCE);
    }
    assert!(!server.log().contains("COMPILE_ERROR"), "{}", server.log());
    server.limit_processes(soft);
    assert!(server.compiles(SOURCE), "{}", server.log());
}
