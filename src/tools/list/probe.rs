//! Is there a compile server, and does it compile?

use std::fmt::{self, Display, Formatter};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wire::job::Protocol;
use crate::wire::lzo;
use crate::wire::request::{encode_request_head, encode_source};

/// What has to be compiled.
const SOURCE: &[u8] = b"int foo(){return 0;}\n";

/// What is asked of a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'a> {
    /// How long connecting may take, at each address.
    pub(super) connect: Duration,
    /// How long the compile may take; none is asked for if zero.
    pub(super) compile: Duration,
    /// 1, 2 or 3.
    pub(super) protocol: u8,
    /// The compiler's name; without one a connection is enough.
    pub(super) compiler: Option<&'a str>,
}

/// Why a host is down.
#[derive(Debug)]
pub(super) enum Down {
    /// It cannot be reached, or breaks off.
    Io(io::Error),
    /// It does not compile.
    NoCompile,
}

impl Display for Down {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NoCompile => f.write_str("does not compile"),
        }
    }
}

impl From<io::Error> for Down {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Probe<'_> {
    /// The first of `addrs` at which all is well, or what is wrong at the last.
    pub(super) fn first_that_answers(&self, addrs: &[SocketAddr]) -> Result<SocketAddr, Down> {
        let mut outcome = Err(Down::NoCompile);
        for addr in addrs {
            outcome = self.ask(*addr).map(|()| *addr);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn ask(&self, addr: SocketAddr) -> Result<(), Down> {
        let stream = TcpStream::connect_timeout(&addr, self.connect)?;
        match self.compiler {
            Some(compiler) if !self.compile.is_zero() => self.compile_with(compiler, stream),
            _ => Ok(()),
        }
    }

    fn compile_with(&self, compiler: &str, mut stream: TcpStream) -> Result<(), Down> {
        let deadline = Instant::now() + self.compile;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(self.compile))?;
        stream.write_all(&request(self.protocol, compiler))?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Down::Io(io::ErrorKind::TimedOut.into()));
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer)? {
                0 => break,
                // Only its head says anything; the rest is read to be polite.
                n_read if answer.len() < buffer.len() => answer.extend(&buffer[..n_read]),
                _ => {}
            }
        }
        let expected = format!("DONE{:08x}STAT00000000", self.protocol);
        if answer.starts_with(expected.as_bytes()) { Ok(()) } else { Err(Down::NoCompile) }
    }
}

/// A whole job in this protocol.
fn request(protocol: u8, compiler: &str) -> Vec<u8> {
    let argv = [compiler, "-c", "hello.c", "-o", "hello.o"].map(|word| word.as_bytes().to_vec());
    if let Ok(known) = Protocol::from_version(protocol.into()) {
        let mut request = encode_request_head(known, &argv);
        request.extend(encode_source(known, SOURCE).unwrap_or_default());
        return request;
    }
    // Pump mode: the place, the command, and all files by name.
    let mut request = b"DIST00000003".to_vec();
    text(&mut request, "CDIR", b"/");
    request.extend(format!("ARGC{:08x}", argv.len()).bytes());
    for word in &argv {
        text(&mut request, "ARGV", word);
    }
    request.extend(b"NFIL00000001");
    text(&mut request, "NAME", b"/hello.c");
    text(&mut request, "FILE", &lzo::compress(SOURCE));
    request
}

fn text(request: &mut Vec<u8>, token: &str, body: &[u8]) {
    request.extend(format!("{token}{:08x}", body.len()).bytes());
    request.extend(body);
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_millis(200);

    /// What the probe says of a server that gives this answer and then closes, if it does.
    fn asked(protocol: u8, answer: &'static [u8], closes: bool) -> Result<SocketAddr, Down> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = vec![0; request(protocol, "gcc").len()];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            (!closes).then_some(stream)
        });
        let patience = if closes { Duration::from_secs(60) } else { SOON };
        let probe = Probe { connect: patience, compile: patience, protocol, compiler: Some("gcc") };
        let found = probe.first_that_answers(&[addr]);
        drop(server.join().unwrap());
        found
    }

    #[test]
    fn up_is_what_compiles() {
        assert!(asked(1, b"DONE00000001STAT00000000SERR00000000", true).is_ok());
        assert!(asked(3, b"DONE00000003STAT00000000SERR00000000", true).is_ok());
        assert!(asked(2, b"DONE00000001STAT00000000", true).is_err());
        assert!(asked(1, b"DONE00000001STAT00000100SERR00000000", true).is_err());
        assert!(asked(1, b"", true).is_err());
        assert!(asked(1, b"DONE00000001STAT00000000", false).is_err());
    }

    #[test]
    fn the_request_of_pump_mode_has_the_source_as_a_file() {
        let request = request(3, "cc");
        let head = b"DIST00000003CDIR00000001/ARGC00000005ARGV00000002ccARGV00000002-c";
        assert!(request.starts_with(head));
        let named = b"NFIL00000001NAME00000008/hello.cFILE";
        assert!(request.windows(named.len()).any(|bytes| bytes == named));
    }
}
