//! The hello on the job port: who are you, and which compilers have you? Asked by `DIST` with
//! [`HELLO_VERSION`] and nothing behind it, so that a stock server, which knows no such version,
//! closes at once instead of waiting for a request.

use super::body::{Collector, check};
use super::codec;
use super::control::{HELLO_VERSION, HelloReply, MAX_HELLO};
use super::error::DecodeError;
use super::token::{DIST, DONE, HELO, TOKEN_LEN, Token, TokenReader};

/// The question.
pub(crate) fn encode_hello_request() -> [u8; TOKEN_LEN] {
    Token { name: DIST, value: HELLO_VERSION }.encode()
}

/// The answer. Should it be longer than a peer reads, the compilers at the end of the list are
/// left out until it fits; thousands of compilers would be needed for that.
pub(crate) fn encode_hello_reply(reply: &HelloReply) -> Vec<u8> {
    let mut body = encode(reply);
    let mut shortened = reply.clone();
    while body.len() > MAX_HELLO && !shortened.compilers.is_empty() {
        shortened.compilers.truncate(shortened.compilers.len() / 2);
        body = encode(&shortened);
    }
    let len = u32::try_from(body.len()).expect("our own version and features are short");
    let mut bytes = Vec::with_capacity(2 * TOKEN_LEN + body.len());
    bytes.extend_from_slice(&Token { name: DONE, value: HELLO_VERSION }.encode());
    bytes.extend_from_slice(&Token { name: HELO, value: len }.encode());
    bytes.extend_from_slice(&body);
    bytes
}

fn encode(reply: &HelloReply) -> Vec<u8> {
    codec::encode(reply).expect("numbers, strings and lists always encode")
}

/// Reads the answer to a hello from whatever pieces it arrives in.
#[derive(Debug)]
pub(crate) struct HelloDecoder {
    token: TokenReader,
    state: State,
}

#[derive(Debug)]
enum State {
    Version,
    Length,
    Body(Collector),
    Done,
    Failed(DecodeError),
}

impl HelloDecoder {
    /// Awaits the first byte.
    pub(crate) fn new() -> Self {
        Self { token: TokenReader::default(), state: State::Version }
    }

    /// Takes from the front of `input`; the answer once it is complete, `None` before that. Input
    /// behind it is not touched. After an error, the same error again.
    pub(crate) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<HelloReply>, DecodeError> {
        self.advance(input).inspect_err(|error| self.state = State::Failed(error.clone()))
    }

    /// To be called when the connection ends: an error unless the answer is complete.
    /// [`DecodeError::NoBytes`] is what a stock server gives.
    pub(crate) fn eof(&self) -> Result<(), DecodeError> {
        match &self.state {
            State::Done => Ok(()),
            State::Failed(error) => Err(error.clone()),
            State::Version if self.token.is_untouched() => Err(DecodeError::NoBytes),
            State::Version => Err(DecodeError::Truncated { within: DONE }),
            State::Length | State::Body(_) => Err(DecodeError::Truncated { within: HELO }),
        }
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<HelloReply>, DecodeError> {
        loop {
            match &mut self.state {
                State::Version => {
                    let Some(answered) = self.token.feed(input, DONE)? else { break };
                    if answered != HELLO_VERSION {
                        let asked = HELLO_VERSION;
                        return Err(DecodeError::OtherVersion { asked, answered });
                    }
                    self.state = State::Length;
                }
                State::Length => {
                    let Some(len) = self.token.feed(input, HELO)? else { break };
                    let len = check(HELO, len, MAX_HELLO)?;
                    self.state = State::Body(Collector::new(len));
                }
                State::Body(collector) => {
                    let Some(body) = collector.feed(input) else { break };
                    let reply = codec::decode(&body).map_err(DecodeError::Hello)?;
                    self.state = State::Done;
                    return Ok(Some(reply));
                }
                State::Done => break,
                State::Failed(error) => return Err(error.clone()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::control::{CompilerRecord, ToolchainRecord};
    use super::super::request::{RequestDecoder, RequestStep};
    use super::*;

    fn compiler(name: String) -> CompilerRecord {
        CompilerRecord {
            names: vec![name],
            cxx: false,
            toolchain: ToolchainRecord {
                family: "gcc".into(),
                version: "12.2.0".into(),
                target: "x86_64-linux-gnu".into(),
                assembler: Some("2.40".into()),
                distributor: "Debian".into(),
                revision: "12.2.0-14".into(),
                configure: vec!["--enable-default-pie".into()],
                digest: [7; 16],
                ident: "GCC: (Debian 12.2.0-14) 12.2.0".into(),
            },
        }
    }

    fn reply(compilers: Vec<CompilerRecord>) -> HelloReply {
        HelloReply {
            id: 0x7f3a_91c2,
            generation: 1,
            version: "0.1.0".into(),
            features: vec!["lzo".into(), "hello".into()],
            cores: 4,
            jobs: 6,
            compilers,
        }
    }

    fn read<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Option<HelloReply>, Option<DecodeError>) {
        let mut decoder = HelloDecoder::new();
        let mut found = None;
        for mut piece in pieces {
            match decoder.feed(&mut piece) {
                Ok(Some(reply)) => found = Some(reply),
                Ok(None) => {}
                Err(error) => return (found, Some(error)),
            }
        }
        (found, decoder.eof().err())
    }

    #[test]
    fn the_question_is_read_by_the_server() {
        let mut decoder = RequestDecoder::new(super::super::limits::Limits::default());
        assert_eq!(decoder.feed(&mut &encode_hello_request()[..]), Ok(RequestStep::Hello));
        assert_eq!(&encode_hello_request(), b"DIST000000c1");
    }

    #[test]
    fn any_split_of_an_answer_reads_like_the_whole() {
        let reply = reply(vec![compiler("gcc".into()), compiler("gcc-12".into())]);
        let bytes = encode_hello_reply(&reply);
        for len in 1..=bytes.len() {
            assert_eq!(read(bytes.chunks(len)), (Some(reply.clone()), None));
        }
        for end in 1..bytes.len() {
            let (found, error) = read([&bytes[..end]]);
            assert!(found.is_none() && matches!(error, Some(DecodeError::Truncated { .. })));
        }
        assert_eq!(read([]), (None, Some(DecodeError::NoBytes)));
    }

    #[test]
    fn an_inventory_that_is_too_long_is_cut_to_fit() {
        let compilers = (0..9).map(|n| compiler(format!("{n}{}", "x".repeat(200_000)))).collect();
        let (found, error) = read([&encode_hello_reply(&reply(compilers))[..]]);
        assert_eq!((found.map(|reply| reply.compilers.len()), error), (Some(4), None));
    }

    #[test]
    fn oversized_and_foreign_answers_are_refused() {
        let (len, limit) = (MAX_HELLO as u64 + 1, MAX_HELLO as u64);
        assert_eq!(
            read([&b"DONE000000c1HELO00100001"[..]]).1,
            Some(DecodeError::TooLarge { what: HELO, len, limit })
        );
        assert_eq!(
            read([&b"DONE00000001"[..]]).1,
            Some(DecodeError::OtherVersion { asked: HELLO_VERSION, answered: 1 })
        );
    }

    proptest! {
        #[test]
        fn mutated_answers_never_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = encode_hello_reply(&reply(vec![compiler("gcc".into())]));
            for (place, byte) in changes {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = read([&bytes[..]]);
        }

        #[test]
        fn arbitrary_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let len = u32::try_from(body.len()).unwrap();
            let mut bytes = b"DONE000000c1".to_vec();
            bytes.extend(Token { name: HELO, value: len }.encode());
            bytes.extend(body);
            let _ = read([&bytes[..]]);
        }
    }
}
