//! The request, `DIST ARGC ARGV... DOTI`, and the hello, which is a `DIST` alone.

use super::body::{self, Collector, check};
use super::control::{ASKS_REASONS, HELLO_VERSION};
use super::error::{DecodeError, TooLong};
use super::job::Protocol;
use super::limits::Limits;
use super::token::{ARGC, ARGV, DIST, DOTI, Name, TOKEN_LEN, Token, TokenReader};

/// The request up to the source: `DIST ARGC ARGV...`. `argv[0]` is the compiler. [`encode_source`]
/// or a `DOTI` header and a file follow.
pub(crate) fn encode_request_head(protocol: Protocol, argv: &[Vec<u8>]) -> Vec<u8> {
    encode_head(protocol.version(), argv)
}

/// The same for a server that gives reasons.
pub(crate) fn encode_request_head_for_ours(protocol: Protocol, argv: &[Vec<u8>]) -> Vec<u8> {
    encode_head(ASKS_REASONS + protocol.version(), argv)
}

fn encode_head(version: u32, argv: &[Vec<u8>]) -> Vec<u8> {
    let strings: usize = argv.iter().map(Vec::len).sum();
    let mut head = Vec::with_capacity(TOKEN_LEN * (2 + argv.len()) + strings);
    push(&mut head, DIST, version);
    push(&mut head, ARGC, length(argv.len()));
    for argument in argv {
        push(&mut head, ARGV, length(argument.len()));
        head.extend_from_slice(argument);
    }
    head
}

/// The preprocessed source, compressed as `protocol` wants it. The request ends with it; the
/// sender must not half-close, since the original's server then takes the client for gone.
pub(crate) fn encode_source(protocol: Protocol, source: &[u8]) -> Result<Vec<u8>, TooLong> {
    body::encode_bulk(protocol, DOTI, source)
}

fn push(bytes: &mut Vec<u8>, name: Name, value: u32) {
    bytes.extend_from_slice(&Token { name, value }.encode());
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("a command line that a kernel accepts is below 4 GiB")
}

/// What the bytes of a request have yielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestStep<'a> {
    /// All input is used up and the request is not complete.
    NeedMore,
    /// The command line is complete; the source follows.
    Head(RequestHead),
    /// The peer wants to know who we are; no job follows.
    Hello,
    /// The next bytes of the source as they travel: in protocol 2, of its compressed block, which is
    /// left to the caller to expand. That takes milliseconds per MiB, which a thread that serves
    /// several connections does not have, and a place, which a job that waits should not hold.
    Source(&'a [u8]),
    /// The request is complete. Input behind it is not touched.
    Done,
}

/// A command line as it came: nothing is known of it but its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    /// Also the protocol of the answer.
    pub(crate) protocol: Protocol,
    /// At least one argument, the compiler; none holds a NUL byte.
    pub(crate) argv: Vec<Vec<u8>>,
}

/// Reads one request, or hello, from whatever pieces it arrives in.
#[derive(Debug)]
pub(crate) struct RequestDecoder {
    limits: Limits,
    token: TokenReader,
    state: State,
    asks_reasons: bool,
}

#[derive(Debug)]
enum State {
    Version,
    Argc(Protocol),
    Argv(Arguments),
    SourceHeader,
    Source { missing: usize },
    Done,
    Failed(DecodeError),
}

/// A command line of which some arguments are still to come.
#[derive(Debug)]
struct Arguments {
    protocol: Protocol,
    missing: usize,
    argv: Vec<Vec<u8>>,
    /// Bytes of all arguments so far, the current one included.
    total: u64,
    current: Option<Collector>,
}

impl RequestDecoder {
    /// Awaits the first byte.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, token: TokenReader::default(), state: State::Version, asks_reasons: false }
    }

    /// Does the peer understand a reason for a refusal? Not before it has said so.
    pub(crate) const fn asks_reasons(&self) -> bool {
        self.asks_reasons
    }

    /// Takes from the front of `input` and returns the next step; to be called again with the
    /// rest until [`RequestStep::NeedMore`] or [`RequestStep::Done`]. After an error, the same
    /// error again.
    pub(crate) fn feed<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<RequestStep<'a>, DecodeError> {
        self.advance(input).inspect_err(|error| self.state = State::Failed(error.clone()))
    }

    /// To be called when the connection ends: an error unless the request is complete.
    pub(crate) fn eof(&self) -> Result<(), DecodeError> {
        let within = match &self.state {
            State::Done => return Ok(()),
            State::Failed(error) => return Err(error.clone()),
            State::Version if self.token.is_untouched() => return Err(DecodeError::NoBytes),
            State::Version => DIST,
            State::Argc(_) => ARGC,
            State::Argv(_) => ARGV,
            State::SourceHeader | State::Source { .. } => DOTI,
        };
        Err(DecodeError::Truncated { within })
    }

    fn advance<'a>(&mut self, input: &mut &'a [u8]) -> Result<RequestStep<'a>, DecodeError> {
        loop {
            match &mut self.state {
                State::Version => {
                    let Some(version) = self.token.feed(input, DIST)? else { break };
                    if version == HELLO_VERSION {
                        self.state = State::Done;
                        return Ok(RequestStep::Hello);
                    }
                    let of_ours = version
                        .checked_sub(ASKS_REASONS)
                        .and_then(|version| Protocol::from_version(version).ok());
                    self.asks_reasons = of_ours.is_some();
                    let protocol = of_ours.map_or_else(|| Protocol::from_version(version), Ok)?;
                    self.state = State::Argc(protocol);
                }
                State::Argc(protocol) => {
                    let Some(argc) = self.token.feed(input, ARGC)? else { break };
                    if argc == 0 {
                        return Err(DecodeError::NoArguments);
                    }
                    let missing = check(ARGC, argc, self.limits.argc)?;
                    self.state = State::Argv(Arguments::new(*protocol, missing));
                }
                State::Argv(arguments) => {
                    let limit = self.limits.argv_total;
                    if !arguments.feed(&mut self.token, input, limit)? {
                        break;
                    }
                    let protocol = arguments.protocol;
                    let argv = std::mem::take(&mut arguments.argv);
                    self.state = State::SourceHeader;
                    return Ok(RequestStep::Head(RequestHead { protocol, argv }));
                }
                State::SourceHeader => {
                    let Some(len) = self.token.feed(input, DOTI)? else { break };
                    let len = check(DOTI, len, self.limits.body)?;
                    self.state =
                        if len == 0 { State::Done } else { State::Source { missing: len } };
                }
                State::Source { missing } => {
                    let chunk = body::take(missing, input);
                    if *missing == 0 {
                        self.state = State::Done;
                    }
                    if chunk.is_empty() {
                        break;
                    }
                    return Ok(RequestStep::Source(chunk));
                }
                State::Done => return Ok(RequestStep::Done),
                State::Failed(error) => return Err(error.clone()),
            }
        }
        Ok(RequestStep::NeedMore)
    }
}

impl Arguments {
    const fn new(protocol: Protocol, missing: usize) -> Self {
        Self { protocol, missing, argv: Vec::new(), total: 0, current: None }
    }

    /// Takes arguments from `input`; true when the last one is complete.
    fn feed(
        &mut self,
        token: &mut TokenReader,
        input: &mut &[u8],
        limit: usize,
    ) -> Result<bool, DecodeError> {
        while self.missing > 0 {
            let current = match &mut self.current {
                Some(current) => current,
                None => {
                    let Some(len) = token.feed(input, ARGV)? else { return Ok(false) };
                    self.total += u64::from(len);
                    if self.total > limit as u64 {
                        let (len, limit) = (self.total, limit as u64);
                        return Err(DecodeError::TooLarge { what: ARGV, len, limit });
                    }
                    self.current.insert(Collector::new(check(ARGV, len, limit)?))
                }
            };
            let Some(argument) = current.feed(input) else { return Ok(false) };
            if argument.contains(&0) {
                return Err(DecodeError::NulInArgument { idx: self.argv.len() });
            }
            self.argv.push(argument);
            self.current = None;
            self.missing -= 1;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lzo::{self, LzoError};
    use super::*;

    const SMALL: Limits =
        Limits { argc: 4, argv_total: 40, body: 3000, expanded: 4000, object: 0, stderr: 0 };

    /// What a decoder made of bytes that came in pieces.
    #[derive(Debug, PartialEq, Eq, Default)]
    struct Read {
        head: Option<RequestHead>,
        hello: bool,
        source: Vec<u8>,
        done: bool,
        error: Option<DecodeError>,
    }

    impl Read {
        fn finish(&mut self, limits: Limits) {
            self.done = true;
            if self.head.as_ref().is_some_and(|head| head.protocol == Protocol::Lzo) {
                match lzo::decompress(&std::mem::take(&mut self.source), limits.expanded) {
                    Ok(source) => self.source = source,
                    Err(error) => self.error = Some(DecodeError::Lzo { what: DOTI, error }),
                }
            }
        }
    }

    fn read_pieces<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
        let mut decoder = RequestDecoder::new(limits);
        let mut read = Read::default();
        for mut piece in pieces {
            loop {
                match decoder.feed(&mut piece) {
                    Ok(RequestStep::NeedMore) => {
                        assert!(piece.is_empty());
                        break;
                    }
                    Ok(RequestStep::Head(head)) => read.head = Some(head),
                    Ok(RequestStep::Hello) => read.hello = true,
                    Ok(RequestStep::Source(chunk)) => read.source.extend(chunk),
                    Ok(RequestStep::Done) => {
                        if !read.done {
                            read.finish(limits);
                        }
                        break;
                    }
                    Err(error) => {
                        read.error = Some(error);
                        break;
                    }
                }
            }
        }
        read
    }

    fn read(bytes: &[u8]) -> Read {
        read_pieces(SMALL, [bytes])
    }

    fn refused(bytes: &[u8]) -> DecodeError {
        read(bytes).error.expect("an error")
    }

    fn arbitrary_request() -> impl Strategy<Value = (Protocol, Vec<Vec<u8>>, Vec<u8>)> {
        let argument = proptest::collection::vec(1u8.., 0..10);
        (
            prop_oneof![Just(Protocol::Plain), Just(Protocol::Lzo)],
            proptest::collection::vec(argument, 1..4),
            proptest::collection::vec(b'a'..b'd', 0..2000),
        )
    }

    fn encode(protocol: Protocol, argv: &[Vec<u8>], source: &[u8]) -> Vec<u8> {
        let mut bytes = encode_request_head(protocol, argv);
        bytes.extend(encode_source(protocol, source).unwrap());
        bytes
    }

    #[test]
    fn the_layout_is_the_originals() {
        let argv = [b"gcc".to_vec(), b"-c".to_vec()];
        assert_eq!(
            encode(Protocol::Plain, &argv, b"int x;\n"),
            b"DIST00000001ARGC00000002ARGV00000003gccARGV00000002-cDOTI00000007int x;\n"
        );
    }

    #[test]
    fn hello_is_recognised_and_nothing_behind_it_touched() {
        let mut decoder = RequestDecoder::new(SMALL);
        let mut input = &b"DIST000000c1more"[..];
        assert_eq!(decoder.feed(&mut input), Ok(RequestStep::Hello));
        assert_eq!(decoder.feed(&mut input), Ok(RequestStep::Done));
        assert_eq!(input, b"more");
    }

    #[test]
    fn who_asks_for_reasons_is_known_from_the_version_on() {
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            for (asks, head) in [
                (false, encode_request_head(protocol, &[b"gcc".to_vec()])),
                (true, encode_request_head_for_ours(protocol, &[b"gcc".to_vec()])),
            ] {
                let mut decoder = RequestDecoder::new(SMALL);
                assert_eq!(decoder.feed(&mut &head[..12]), Ok(RequestStep::NeedMore));
                assert_eq!(decoder.asks_reasons(), asks);
                let read = decoder.feed(&mut &head[12..]);
                let argv = vec![b"gcc".to_vec()];
                assert_eq!(read, Ok(RequestStep::Head(RequestHead { protocol, argv })));
            }
        }
    }

    #[test]
    fn other_versions_are_refused_by_number() {
        for version in [0, 3, 4, 0xc0, 0xc4, u32::MAX] {
            let bytes = Token { name: DIST, value: version }.encode();
            assert_eq!(refused(&bytes), DecodeError::UnsupportedVersion { version });
        }
    }

    #[test]
    fn lengths_over_their_limits_are_refused_before_the_body_comes() {
        let too_large = |what, len, limit| DecodeError::TooLarge { what, len, limit };
        assert_eq!(refused(b"DIST00000001ARGC00000005"), too_large(ARGC, 5, 4));
        assert_eq!(refused(b"DIST00000001ARGCffffffff"), too_large(ARGC, 0xffff_ffff, 4));
        assert_eq!(refused(b"DIST00000001ARGC00000001ARGV00000029"), too_large(ARGV, 41, 40));
        let two = b"DIST00000001ARGC00000002ARGV00000003gccARGVffffffff";
        assert_eq!(refused(two), too_large(ARGV, 0x1_0000_0002, 40));
        let body = b"DIST00000002ARGC00000001ARGV00000003gccDOTI00000bb9";
        assert_eq!(refused(body), too_large(DOTI, 3001, 3000));
    }

    #[test]
    fn faulty_command_lines_are_refused() {
        assert_eq!(refused(b"DIST00000001ARGC00000000"), DecodeError::NoArguments);
        let nul = b"DIST00000001ARGC00000001ARGV00000003g\0c";
        assert_eq!(refused(nul), DecodeError::NulInArgument { idx: 0 });
        let found = *b"CDIR";
        assert_eq!(
            refused(b"DIST00000001CDIR00000001/"),
            DecodeError::UnexpectedToken { expected: ARGC, found }
        );
    }

    #[test]
    fn a_bomb_in_the_source_is_refused() {
        let bytes = encode(Protocol::Lzo, &[b"gcc".to_vec()], &[0; 5000]);
        let error = LzoError::TooLarge { len: 5000, limit: 4000 };
        assert_eq!(read(&bytes).error, Some(DecodeError::Lzo { what: DOTI, error }));
    }

    #[test]
    fn every_early_end_is_noticed() {
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            let whole = encode(protocol, &[b"gcc".to_vec()], b"int x;\n");
            for end in 0..=whole.len() {
                let mut decoder = RequestDecoder::new(SMALL);
                let mut input = &whole[..end];
                while !matches!(
                    decoder.feed(&mut input),
                    Ok(RequestStep::NeedMore | RequestStep::Done)
                ) {}
                match decoder.eof() {
                    Ok(()) => assert_eq!(end, whole.len()),
                    Err(DecodeError::NoBytes) => assert_eq!(end, 0),
                    Err(DecodeError::Truncated { .. }) => assert!(end > 0 && end < whole.len()),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode((protocol, argv, source) in arbitrary_request()) {
            let expected = Read {
                head: Some(RequestHead { protocol, argv: argv.clone() }),
                source: source.clone(),
                done: true,
                ..Read::default()
            };
            prop_assert_eq!(read(&encode(protocol, &argv, &source)), expected);
        }

        #[test]
        fn any_split_reads_like_the_whole(
            (protocol, argv, source) in arbitrary_request(),
            change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            len in 1usize..50,
        ) {
            let mut bytes = encode(protocol, &argv, &source);
            if let Some((at, byte)) = change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let split = read_pieces(SMALL, bytes.chunks(len));
            let whole = read(&bytes);
            prop_assert_eq!(split, whole);
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            valid in 0usize..60,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut input = encode(Protocol::Lzo, &[b"gcc".to_vec(), b"-c".to_vec()], b"int x;\n");
            input.truncate(valid);
            input.extend(bytes);
            let _ = read(&input);
        }
    }
}
