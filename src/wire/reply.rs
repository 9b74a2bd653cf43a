//! The answer, `DONE STAT SERR SOUT DOTO`. An object is in it only if the compiler succeeded.

use std::borrow::Cow;

use super::body::{self, Collector, check, encode_bulk};
use super::error::{DecodeError, TooLong};
use super::job::{Protocol, WaitStatus};
use super::limits::{Limits, MAX_OBJECT, MAX_STDERR};
use super::lzo;
use super::refusal::{self, MAX_REFUSAL};
use super::token::{DONE, DOTO, NOPE, Name, SERR, SOUT, STAT, Token, TokenReader};

/// How a compile ended, before its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHead {
    /// How the compiler ended.
    pub(crate) status: WaitStatus,
    /// Its standard error; a stock server adds its own log lines.
    pub(crate) stderr: Vec<u8>,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
}

/// The answer up to the object: `DONE STAT SERR SOUT`. [`encode_object`] follows, or a `DOTO`
/// header and a file; `DOTO` with length 0 if the compiler failed.
pub(crate) fn encode_reply_head(protocol: Protocol, head: &ReplyHead) -> Result<Vec<u8>, TooLong> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&Token { name: DONE, value: protocol.version() }.encode());
    bytes.extend_from_slice(&Token { name: STAT, value: head.status.raw() }.encode());
    for (name, text) in [(SERR, &head.stderr), (SOUT, &head.stdout)] {
        bytes.extend_from_slice(&encode_limited(protocol, name, text, MAX_STDERR)?);
    }
    Ok(bytes)
}

/// The object, compressed as `protocol` wants it; the answer ends with it.
pub(crate) fn encode_object(protocol: Protocol, object: &[u8]) -> Result<Vec<u8>, TooLong> {
    encode_limited(protocol, DOTO, object, MAX_OBJECT)
}

/// A bulk body that our own client would not refuse.
fn encode_limited(
    protocol: Protocol,
    what: Name,
    bytes: &[u8],
    limit: usize,
) -> Result<Vec<u8>, TooLong> {
    if bytes.len() > limit {
        return Err(TooLong { what, len: bytes.len() as u64, limit: limit as u64 });
    }
    encode_bulk(protocol, what, bytes)
}

/// What the bytes of an answer have yielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyStep<'a> {
    /// All input is used up and the answer is not complete.
    NeedMore,
    /// The compiler has ended; its object follows if it succeeded.
    Head(ReplyHead),
    /// A piece of the object. Of protocol 1 there are as many as there were reads; of protocol 2
    /// there is one, expanded, or none for an empty object.
    Object(Cow<'a, [u8]>),
    /// The answer is complete.
    Done,
}

/// Reads one answer from whatever pieces it arrives in.
#[derive(Debug)]
pub(crate) struct ReplyDecoder {
    protocol: Protocol,
    limits: Limits,
    token: TokenReader,
    state: State,
    head: ReplyHead,
    /// A refusal may come with its reason, because it was asked for.
    may_be_reasoned: bool,
}

#[derive(Debug)]
enum State {
    Version,
    Refusal(Collector),
    Status,
    Header(Text),
    Body(Text, Collector),
    ObjectHeader,
    PlainObject {
        missing: usize,
    },
    PackedObject(Collector),
    /// The body of an object that a failed compiler cannot have made. The original logs it and
    /// goes on; so do we, without keeping it.
    Ignored {
        missing: usize,
    },
    Ended,
    Done,
    Failed(DecodeError),
}

/// One of the compiler's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Stderr,
    Stdout,
}

impl Text {
    const fn name(self) -> Name {
        match self {
            Self::Stderr => SERR,
            Self::Stdout => SOUT,
        }
    }
}

impl ReplyDecoder {
    /// Awaits the answer to a request in `protocol`.
    pub(crate) fn new(protocol: Protocol, limits: Limits) -> Self {
        Self {
            protocol,
            limits,
            token: TokenReader::default(),
            state: State::Version,
            head: ReplyHead { status: WaitStatus::SUCCESS, stderr: Vec::new(), stdout: Vec::new() },
            may_be_reasoned: false,
        }
    }

    /// Awaits the answer to a request that asks for reasons.
    pub(crate) fn of_ours(protocol: Protocol, limits: Limits) -> Self {
        Self { may_be_reasoned: true, ..Self::new(protocol, limits) }
    }

    /// Takes from the front of `input` and returns the next step; to be called again with the
    /// rest until [`ReplyStep::NeedMore`] or [`ReplyStep::Done`]. Input behind the end is an
    /// error. After an error, the same error again.
    pub(crate) fn feed<'a>(&mut self, input: &mut &'a [u8]) -> Result<ReplyStep<'a>, DecodeError> {
        self.advance(input).inspect_err(|error| self.state = State::Failed(error.clone()))
    }

    /// To be called when the connection ends: an error unless the answer is complete.
    /// [`DecodeError::NoBytes`] is how a stock server refuses a job.
    pub(crate) fn eof(&self) -> Result<(), DecodeError> {
        let within = match &self.state {
            State::Ended | State::Done => return Ok(()),
            State::Failed(error) => return Err(error.clone()),
            State::Version if self.token.is_untouched() => return Err(DecodeError::NoBytes),
            State::Version => DONE,
            State::Refusal(_) => NOPE,
            State::Status => STAT,
            State::Header(text) | State::Body(text, _) => text.name(),
            State::ObjectHeader
            | State::PlainObject { .. }
            | State::PackedObject(_)
            | State::Ignored { .. } => DOTO,
        };
        Err(DecodeError::Truncated { within })
    }

    fn advance<'a>(&mut self, input: &mut &'a [u8]) -> Result<ReplyStep<'a>, DecodeError> {
        loop {
            match &mut self.state {
                State::Version => {
                    let other = if self.may_be_reasoned { NOPE } else { DONE };
                    let Some(token) = self.token.feed_either(input, DONE, other)? else { break };
                    if token.name == NOPE {
                        let len = check(NOPE, token.value, MAX_REFUSAL)?;
                        self.state = State::Refusal(Collector::new(len));
                        continue;
                    }
                    let (asked, answered) = (self.protocol.version(), token.value);
                    if answered != asked {
                        return Err(DecodeError::OtherVersion { asked, answered });
                    }
                    self.state = State::Status;
                }
                State::Refusal(collector) => {
                    let Some(body) = collector.feed(input) else { break };
                    return Err(DecodeError::Refused(refusal::decode(&body)?));
                }
                State::Status => {
                    let Some(status) = self.token.feed(input, STAT)? else { break };
                    self.head.status = WaitStatus::from_raw(status)?;
                    self.state = State::Header(Text::Stderr);
                }
                State::Header(text) => {
                    let name = text.name();
                    let Some(len) = self.token.feed(input, name)? else { break };
                    let len = check(name, len, self.limits.stderr)?;
                    self.state = State::Body(*text, Collector::new(len));
                }
                State::Body(text, collector) => {
                    let text = *text;
                    let Some(body) = collector.feed(input) else { break };
                    let body = self.expand(text.name(), body, self.limits.stderr)?;
                    match text {
                        Text::Stderr => {
                            self.head.stderr = body;
                            self.state = State::Header(Text::Stdout);
                        }
                        Text::Stdout => {
                            self.head.stdout = body;
                            self.state = State::ObjectHeader;
                            return Ok(ReplyStep::Head(self.take_head()));
                        }
                    }
                }
                State::ObjectHeader => {
                    let Some(len) = self.token.feed(input, DOTO)? else { break };
                    let missing = check(DOTO, len, self.limits.object)?;
                    self.state = match self.protocol {
                        _ if missing == 0 => State::Ended,
                        _ if !self.head.status.success() => State::Ignored { missing },
                        Protocol::Plain => State::PlainObject { missing },
                        Protocol::Lzo => State::PackedObject(Collector::new(missing)),
                    };
                }
                State::PlainObject { missing } => {
                    let chunk = body::take(missing, input);
                    if *missing == 0 {
                        self.state = State::Ended;
                    }
                    if chunk.is_empty() {
                        break;
                    }
                    return Ok(ReplyStep::Object(Cow::Borrowed(chunk)));
                }
                State::PackedObject(collector) => {
                    let Some(block) = collector.feed(input) else { break };
                    let object = self.expand(DOTO, block, self.limits.object)?;
                    self.state = State::Ended;
                    return Ok(ReplyStep::Object(Cow::Owned(object)));
                }
                State::Ignored { missing } => {
                    body::take(missing, input);
                    if *missing > 0 {
                        break;
                    }
                    self.state = State::Ended;
                }
                State::Ended | State::Done if !input.is_empty() => {
                    return Err(DecodeError::TrailingBytes);
                }
                State::Ended | State::Done => {
                    self.state = State::Done;
                    return Ok(ReplyStep::Done);
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
        Ok(ReplyStep::NeedMore)
    }

    /// The head to hand out; the status stays, since it decides whether an object may follow.
    fn take_head(&mut self) -> ReplyHead {
        ReplyHead {
            status: self.head.status,
            stderr: std::mem::take(&mut self.head.stderr),
            stdout: std::mem::take(&mut self.head.stdout),
        }
    }

    fn expand(&self, what: Name, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
        match self.protocol {
            Protocol::Plain => Ok(body),
            Protocol::Lzo => {
                lzo::decompress(&body, limit).map_err(|error| DecodeError::Lzo { what, error })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lzo::LzoError;
    use super::*;

    const SMALL: Limits =
        Limits { argc: 0, argv_total: 0, body: 0, expanded: 0, object: 3000, stderr: 500 };

    #[derive(Debug, PartialEq, Eq, Default)]
    struct Read {
        head: Option<ReplyHead>,
        object: Vec<u8>,
        done: bool,
        error: Option<DecodeError>,
    }

    fn read_pieces<'a>(protocol: Protocol, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
        let mut decoder = ReplyDecoder::new(protocol, SMALL);
        let mut read = Read::default();
        for mut piece in pieces {
            loop {
                match decoder.feed(&mut piece) {
                    Ok(ReplyStep::NeedMore) => {
                        assert!(piece.is_empty());
                        break;
                    }
                    Ok(ReplyStep::Head(head)) => read.head = Some(head),
                    Ok(ReplyStep::Object(chunk)) => read.object.extend_from_slice(&chunk),
                    Ok(ReplyStep::Done) => {
                        read.done = true;
                        break;
                    }
                    Err(error) => {
                        read.done = false;
                        read.error = Some(error);
                        break;
                    }
                }
            }
        }
        read
    }

    fn refused(bytes: &[u8]) -> DecodeError {
        read_pieces(Protocol::Plain, [bytes]).error.expect("an error")
    }

    fn encode(protocol: Protocol, head: &ReplyHead, object: &[u8]) -> Vec<u8> {
        let mut bytes = encode_reply_head(protocol, head).unwrap();
        bytes.extend(encode_object(protocol, object).unwrap());
        bytes
    }

    fn any_protocol() -> impl Strategy<Value = Protocol> {
        prop_oneof![Just(Protocol::Plain), Just(Protocol::Lzo)]
    }

    fn arbitrary_reply() -> impl Strategy<Value = (Protocol, ReplyHead, Vec<u8>)> {
        let text = || proptest::collection::vec(b'a'..b'd', 0..400);
        let object = proptest::collection::vec(b'a'..b'd', 0..2000);
        let code = prop_oneof![Just(0), any::<u8>()];
        (any_protocol(), code, text(), text(), object).prop_map(
            |(protocol, code, stderr, stdout, object)| {
                let status = WaitStatus::exited(code);
                let object = if status.success() { object } else { Vec::new() };
                (protocol, ReplyHead { status, stderr, stdout }, object)
            },
        )
    }

    fn warned() -> ReplyHead {
        ReplyHead { status: WaitStatus::SUCCESS, stderr: b"warning\n".to_vec(), stdout: vec![] }
    }

    #[test]
    fn the_layout_is_the_originals() {
        assert_eq!(
            encode(Protocol::Plain, &warned(), b"ELF"),
            b"DONE00000001STAT00000000SERR00000008warning\nSOUT00000000DOTO00000003ELF"
        );
    }

    #[test]
    fn object_of_protocol_1_is_handed_on_as_it_arrives() {
        let bytes = encode(Protocol::Plain, &warned(), b"ELF");
        let mut decoder = ReplyDecoder::new(Protocol::Plain, SMALL);
        let mut input = &bytes[..bytes.len() - 1];
        assert_eq!(decoder.feed(&mut input), Ok(ReplyStep::Head(warned())));
        assert_eq!(decoder.feed(&mut input), Ok(ReplyStep::Object(Cow::Borrowed(b"EL"))));
        assert_eq!(decoder.feed(&mut input), Ok(ReplyStep::NeedMore));
        assert_eq!(decoder.eof(), Err(DecodeError::Truncated { within: DOTO }));
    }

    #[test]
    fn a_refusal_is_read_by_those_alone_who_asked_for_it() {
        let no = refusal::Refusal::new(refusal::Scope::Compiler, "it is not served");
        let bytes = refusal::encode_refusal(&no);
        for len in 1..bytes.len() {
            let mut decoder = ReplyDecoder::of_ours(Protocol::Lzo, SMALL);
            assert_eq!(decoder.feed(&mut &bytes[..len]), Ok(ReplyStep::NeedMore));
            assert!(decoder.eof().is_err());
            let step = decoder.feed(&mut &bytes[len..]);
            assert_eq!(step, Err(DecodeError::Refused(no.clone())));
        }
        let error = DecodeError::UnexpectedToken { expected: DONE, found: NOPE };
        assert_eq!(refused(&bytes), error);
        let (len, limit) = (MAX_REFUSAL as u64 + 1, MAX_REFUSAL as u64);
        let mut decoder = ReplyDecoder::of_ours(Protocol::Plain, SMALL);
        let error = DecodeError::TooLarge { what: NOPE, len, limit };
        assert_eq!(decoder.feed(&mut &b"NOPE00001001"[..]), Err(error));
    }

    #[test]
    fn an_answer_in_another_protocol_is_refused() {
        let error = DecodeError::OtherVersion { asked: 1, answered: 2 };
        assert_eq!(refused(b"DONE00000002"), error);
    }

    #[test]
    fn statuses_that_no_process_has_are_refused() {
        let error = DecodeError::BadStatus { status: 0x1_0000 };
        assert_eq!(refused(b"DONE00000001STAT00010000"), error);
    }

    #[test]
    fn lengths_over_their_limits_are_refused_before_the_body_comes() {
        let too_large = |what, len, limit| DecodeError::TooLarge { what, len, limit };
        let stderr = b"DONE00000001STAT00000000SERR000001f5";
        assert_eq!(refused(stderr), too_large(SERR, 501, 500));
        let object = b"DONE00000001STAT00000000SERR00000000SOUT00000000DOTOffffffff";
        assert_eq!(refused(object), too_large(DOTO, 0xffff_ffff, 3000));
    }

    #[test]
    fn bombs_are_refused() {
        let stderr = vec![b' '; 501];
        let bytes = encode(Protocol::Lzo, &ReplyHead { stderr, ..warned() }, b"");
        let error = LzoError::TooLarge { len: 501, limit: 500 };
        assert_eq!(
            read_pieces(Protocol::Lzo, [&bytes[..]]).error,
            Some(DecodeError::Lzo { what: SERR, error })
        );
        let bytes = encode(Protocol::Lzo, &warned(), &[0; 3001]);
        let error = LzoError::TooLarge { len: 3001, limit: 3000 };
        assert_eq!(
            read_pieces(Protocol::Lzo, [&bytes[..]]).error,
            Some(DecodeError::Lzo { what: DOTO, error })
        );
    }

    #[test]
    fn an_object_of_a_failed_compiler_is_ignored() {
        let bytes = b"DONE00000001STAT00000100SERR00000000SOUT00000000DOTO00000003ELF";
        for len in [1, 7, bytes.len()] {
            let read = read_pieces(Protocol::Plain, bytes.chunks(len));
            assert!(read.done && read.object.is_empty() && read.error.is_none(), "{read:?}");
        }
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        let mut bytes = encode(Protocol::Plain, &warned(), b"ELF");
        bytes.push(b'!');
        for len in [1, 5, bytes.len() - 1, bytes.len()] {
            let read = read_pieces(Protocol::Plain, bytes.chunks(len));
            assert_eq!(read.error, Some(DecodeError::TrailingBytes));
        }
    }

    #[test]
    fn every_early_end_is_noticed() {
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            let whole = encode(protocol, &warned(), b"ELF");
            for end in 0..=whole.len() {
                let mut decoder = ReplyDecoder::new(protocol, SMALL);
                let mut input = &whole[..end];
                while !matches!(decoder.feed(&mut input), Ok(ReplyStep::NeedMore | ReplyStep::Done))
                {
                }
                match decoder.eof() {
                    Ok(()) => assert_eq!(end, whole.len()),
                    Err(DecodeError::NoBytes) => assert_eq!(end, 0),
                    Err(DecodeError::Truncated { .. }) => assert!(end > 0 && end < whole.len()),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    #[test]
    fn we_send_nothing_that_our_client_refuses() {
        let stderr = vec![b' '; MAX_STDERR + 1];
        let refused = encode_reply_head(Protocol::Lzo, &ReplyHead { stderr, ..warned() });
        let (len, limit) = (MAX_STDERR as u64 + 1, MAX_STDERR as u64);
        assert_eq!(refused, Err(TooLong { what: SERR, len, limit }));
    }

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode((protocol, head, object) in arbitrary_reply()) {
            let bytes = encode(protocol, &head, &object);
            let expected = Read { head: Some(head), object, done: true, error: None };
            prop_assert_eq!(read_pieces(protocol, [&bytes[..]]), expected);
        }

        #[test]
        fn any_split_reads_like_the_whole(
            (protocol, head, object) in arbitrary_reply(),
            change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            len in 1usize..50,
        ) {
            let mut bytes = encode(protocol, &head, &object);
            if let Some((at, byte)) = change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let split = read_pieces(protocol, bytes.chunks(len));
            let whole = read_pieces(protocol, [&bytes[..]]);
            prop_assert_eq!(split, whole);
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            protocol in any_protocol(),
            valid in 0usize..80,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut input = encode(protocol, &warned(), b"object");
            input.truncate(valid);
            input.extend(bytes);
            let _ = read_pieces(protocol, [&input[..]]);
        }
    }
}
