//! For the tests against the original: programs that may be missing, Debian's `distccd` on a free
//! port, one exchange as a client and one as a server.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::error::DecodeError;
use super::job::Protocol;
use super::limits::Limits;
use super::lzo;
use super::reply::{ReplyDecoder, ReplyHead, ReplyStep};
use super::request::{
    RequestDecoder, RequestHead, RequestStep, encode_request_head, encode_source,
};

/// A test that hangs ends with an error instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// True if every program is on PATH. Otherwise the test is to end: it says so loudly, and fails
/// where CI promises that everything is installed.
pub(crate) fn have(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs
        .iter()
        .find(|program| !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    let Some(missing) = missing else { return true };
    eprintln!("SKIPPED: no {missing} on PATH");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{missing} is missing");
    false
}

/// A directory in which a daemon without privileges may work too.
pub(crate) fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
    dir
}

/// Runs a command to its end, which must be good, and returns its standard output.
pub(crate) fn run(dir: &Path, program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    output.stdout
}

/// Debian's `distccd`, ended when dropped.
pub(crate) struct StockServer {
    process: Child,
    log: Receiver<String>,
    pub(crate) addr: SocketAddr,
    _dir: TempDir,
}

impl StockServer {
    /// Starts it. A port that another process takes between the look and the bind costs another
    /// attempt.
    pub(crate) fn start() -> Self {
        (0..10).find_map(|_| Self::try_start()).expect("distccd starts on one of ten free ports")
    }

    fn try_start() -> Option<Self> {
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let dir = open_dir();
        let mut process = Command::new("distccd")
            .args(["--daemon", "--no-detach", "--log-stderr", "--log-level", "info"])
            .args([
                "--listen",
                "127.0.0.1",
                "--allow",
                "127.0.0.1",
                "--jobs",
                "2",
                "--port",
                &addr.port().to_string(),
            ])
            .env("TMPDIR", dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The pipe is read for as long as the daemon lives, so that it never waits for us.
        let (tx, log) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|l| tx.send(l)));
        let server = Self { process, log, addr, _dir: dir };
        // The socket is bound before this line is written; without it, the port was taken.
        server.next_line("preforking daemon started").map(|_| server)
    }

    /// The line that sums up the next job.
    pub(crate) fn next_job(&self) -> String {
        self.next_line("dcc_job_summary").expect("a job is logged")
    }

    fn next_line(&self, with: &str) -> Option<String> {
        loop {
            let line = self.log.recv_timeout(PATIENCE).ok()?;
            if line.contains(with) {
                return Some(line);
            }
        }
    }
}

impl Drop for StockServer {
    fn drop(&mut self) {
        // The parent hands the signal on to its workers; after SIGKILL they would stay.
        let pid = Pid::from_raw(self.process.id().try_into().unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

/// Sends `request` and reads to the end of the connection. A reset counts as an end: a stock
/// server that refuses closes with our bytes unread.
pub(crate) fn ask(addr: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    match socket.write_all(request).and_then(|()| socket.read_to_end(&mut answer)) {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(e) => panic!("{addr}: {e}"),
    }
    answer
}

/// One job as our client sends it: the answer and the object.
pub(crate) fn send_job(
    addr: SocketAddr,
    protocol: Protocol,
    argv: &[&str],
    source: &[u8],
) -> Result<(ReplyHead, Vec<u8>), DecodeError> {
    let argv: Vec<Vec<u8>> = argv.iter().map(|argument| argument.as_bytes().to_vec()).collect();
    let mut request = encode_request_head(protocol, &argv);
    request.extend(encode_source(protocol, source).unwrap());
    let answer = ask(addr, &request);
    let mut decoder = ReplyDecoder::new(protocol, Limits::default());
    let (mut head, mut object) = (None, Vec::new());
    // Seven bytes at a time, so that every token and body is split somewhere.
    for mut piece in answer.chunks(7) {
        loop {
            match decoder.feed(&mut piece)? {
                ReplyStep::NeedMore | ReplyStep::Done => break,
                ReplyStep::Head(got) => head = Some(got),
                ReplyStep::Object(chunk) => object.extend_from_slice(&chunk),
            }
        }
    }
    decoder.eof()?;
    Ok((head.expect("a complete answer has a head"), object))
}

/// What a client sent.
pub(crate) struct Received {
    pub(crate) head: RequestHead,
    pub(crate) source: Vec<u8>,
    /// Bytes of the whole request on the wire.
    pub(crate) wire_len: usize,
}

/// Debian's `distcc` with `args` in `dir`, its one host being a server of ours that reads the
/// request and gives the answer that `serve` makes of it.
pub(crate) fn serve_stock_client(
    dir: &Path,
    host_options: &str,
    args: &[&str],
    serve: impl FnOnce(&Received) -> Vec<u8> + Send,
) -> (Output, Received) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let state = dir.join("state");
    fs::create_dir_all(&state).unwrap();
    thread::scope(|scope| {
        let server = scope.spawn(move || serve_once(&listener, serve));
        let output = Command::new("distcc")
            .args(args)
            .current_dir(dir)
            .env("DISTCC_HOSTS", format!("127.0.0.1:{}{host_options}", addr.port()))
            .env("DISTCC_DIR", &state)
            .env("DISTCC_FALLBACK", "0")
            .env("DISTCC_SKIP_LOCAL_RETRY", "1")
            .output()
            .unwrap();
        // Should the client never have come, this ends the server's wait.
        drop(TcpStream::connect(addr));
        let received = server.join().unwrap();
        let received = received.unwrap_or_else(|e| panic!("cannot serve: {e}; {output:?}"));
        (output, received)
    })
}

fn serve_once(
    listener: &TcpListener,
    serve: impl FnOnce(&Received) -> Vec<u8>,
) -> io::Result<Received> {
    let (mut socket, _) = listener.accept()?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut decoder = RequestDecoder::new(Limits::default());
    let (mut head, mut source, mut wire_len) = (None, Vec::new(), 0);
    let mut buffer = vec![0; 1000];
    'request: loop {
        let len = socket.read(&mut buffer)?;
        if len == 0 {
            decoder.eof().map_err(io::Error::other)?;
        }
        wire_len += len;
        let mut input = &buffer[..len];
        loop {
            match decoder.feed(&mut input).map_err(io::Error::other)? {
                RequestStep::NeedMore => break,
                RequestStep::Head(got) => head = Some(got),
                RequestStep::Source(chunk) => source.extend_from_slice(chunk),
                RequestStep::Hello => return Err(io::Error::other("a stock client says hello")),
                RequestStep::Done => break 'request,
            }
        }
    }
    let head: RequestHead = head.expect("a complete request has a head");
    if head.protocol == Protocol::Lzo {
        source = lzo::decompress(&source, Limits::default().expanded).map_err(io::Error::other)?;
    }
    let received = Received { head, source, wire_len };
    socket.write_all(&serve(&received))?;
    Ok(received)
}

/// Writes `text` into `dir` and returns the path.
pub(crate) fn write(dir: &Path, name: &str, text: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}
