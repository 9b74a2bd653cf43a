//! Refusals as a client of ours gets them. The others see a bare close, which the tests beside
//! these say.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::super::testing::{PATIENCE, Running, Setting, converse, decode, read_all};
use super::{COMPILE, SOURCE};
use crate::wire::error::DecodeError;
use crate::wire::job::Protocol;
use crate::wire::limits::Limits;
use crate::wire::refusal::{Refusal, Scope};
use crate::wire::reply::ReplyDecoder;
use crate::wire::request::{encode_request_head_for_ours, encode_source};
use crate::wire::testing::have;

fn head(protocol: Protocol, words: &str) -> Vec<u8> {
    let argv: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    encode_request_head_for_ours(protocol, &argv)
}

fn request(protocol: Protocol, words: &str, source: &[u8]) -> Vec<u8> {
    [head(protocol, words), encode_source(protocol, source).unwrap()].concat()
}

fn refusal(protocol: Protocol, answer: &[u8]) -> Refusal {
    match ReplyDecoder::of_ours(protocol, Limits::default()).feed(&mut &*answer) {
        Err(DecodeError::Refused(refusal)) => refusal,
        other => panic!("{other:?} of {}", answer.escape_ascii()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_ours_get_the_reason_and_for_what_it_holds() {
    if !have(&["gcc"]) {
        return;
    }
    let daemon = Running::start(Setting::default()).await;
    let word = |word: &str| Scope::Word(word.into());
    let pch: &[u8] = b"#pragma GCC pch_preprocess \"/tmp/x.gch\"\n";
    for protocol in [Protocol::Plain, Protocol::Lzo] {
        for (words, source, scope, reason) in [
            ("gcc -c x.c -o x.o -wrapper sh", SOURCE, word("-wrapper"), "names programs to run"),
            ("gcc -c x.c -o x.o -fplugin=x", SOURCE, word("-fplugin=x"), "names programs to run"),
            ("gcc -c x.c -o x.o --unknown", SOURCE, word("--unknown"), "is not known"),
            ("gcc -c x.c -o x.o -fnew=/etc", SOURCE, word("-fnew=/etc"), "may name a file"),
            ("gcc -c x.c y.c -o x.o", SOURCE, Scope::Job, "2 sources"),
            ("gcc -c x.c -o x.o", pch, Scope::Job, "its source may read files"),
            ("nosuchcc -c x.c -o x.o", SOURCE, Scope::Compiler, "no compiler 'nosuchcc'"),
        ] {
            let answer = converse(daemon.addr, &request(protocol, words, source)).await;
            let said = refusal(protocol, &answer);
            assert_eq!(said.scope, scope, "{words}");
            assert!(said.reason.contains(reason), "{words}: {}", said.reason);
        }
        let answer = converse(daemon.addr, &request(protocol, COMPILE, SOURCE)).await;
        assert!(decode(protocol, &answer).0.status.success());
    }
    let said = refusal(Protocol::Plain, &converse(daemon.addr, b"DIST000000c2ARGC00000000").await);
    assert_eq!((said.scope, said.reason.contains("no compiler named")), (Scope::Job, true));
    let later = converse(daemon.addr, b"DIST000000c4ARGC00000000").await;
    assert_eq!(later, b"", "a version that is not known asks for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_arrives_while_the_source_is_still_being_sent() {
    if !have(&["gcc"]) {
        return;
    }
    let daemon = Running::start(Setting::default()).await;
    let mut stream = TcpStream::connect(daemon.addr).await.unwrap();
    let bytes = [&head(Protocol::Plain, COMPILE)[..], b"DOTIffffffff", &vec![b' '; 900 << 10]];
    let sent = tokio::time::timeout(PATIENCE, stream.write_all(&bytes.concat())).await.unwrap();
    assert!(sent.is_ok(), "{sent:?}");
    let said = refusal(Protocol::Plain, &read_all(&mut stream).await);
    assert!(said.reason.contains("DOTI of 4294967295"), "{}", said.reason);
}
