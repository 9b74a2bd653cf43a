//! Our encoders and decoders against Debian's distcc and distccd 3.4, with real compilers.

use std::fs;
use std::path::Path;

use super::error::DecodeError;
use super::hello::{HelloDecoder, encode_hello_request};
use super::job::{Protocol, WaitStatus};
use super::lzo;
use super::reply::{ReplyHead, encode_object, encode_reply_head};
use super::request::{encode_request_head, encode_source};
use super::testing::{
    Received, StockServer, ask, have, open_dir, run, send_job, serve_stock_client, write,
};

const PROTOCOLS: [(Protocol, &str); 2] = [(Protocol::Plain, ""), (Protocol::Lzo, ",lzo")];

const C_SOURCE: &[u8] = b"#include <stdio.h>\n#include <stdlib.h>\n\
    int main(void) { puts(\"hello\"); return EXIT_SUCCESS; }\n";
const CXX_SOURCE: &[u8] = b"#include <map>\n#include <string>\n#include <vector>\n\
    std::map<std::string, std::vector<int>> table() { return {{\"a\", {1, 2}}, {\"b\", {}}}; }\n";

/// The object that the local compiler makes of preprocessed source.
fn local_object(dir: &Path, compiler: &str, preprocessed: &str) -> Vec<u8> {
    run(dir, compiler, &["-O2", "-c", preprocessed, "-o", "local.o"]);
    fs::read(dir.join("local.o")).unwrap()
}

#[test]
fn stock_server_compiles_our_requests() {
    if !have(&["distccd", "gcc", "g++"]) {
        return;
    }
    let server = StockServer::start();
    let dir = open_dir();
    for (compiler, name, text) in [("gcc", "a.c", C_SOURCE), ("g++", "a.cc", CXX_SOURCE)] {
        write(dir.path(), name, text);
        let source = run(dir.path(), compiler, &["-O2", "-E", name]);
        let suffix = if compiler == "gcc" { "a.i" } else { "a.ii" };
        write(dir.path(), suffix, &source);
        let expected = local_object(dir.path(), compiler, suffix);
        for (protocol, _) in PROTOCOLS {
            let argv = [compiler, "-O2", "-c", name, "-o", "a.o"];
            let (head, object) = send_job(server.addr, protocol, &argv, &source).unwrap();
            assert_eq!(head.status, WaitStatus::SUCCESS, "{head:?}");
            assert!(object == expected, "{compiler} in {protocol:?} made another object");
            assert!(server.next_job().contains("COMPILE_OK"));
        }
    }
}

#[test]
fn stock_server_reports_errors_and_takes_empty_sources() {
    if !have(&["distccd", "gcc"]) {
        return;
    }
    let server = StockServer::start();
    for (protocol, _) in PROTOCOLS {
        let argv = ["gcc", "-c", "a.c", "-o", "a.o"];
        let faulty = b"# 1 \"a.c\"\nint x = oops;\n";
        let (head, object) = send_job(server.addr, protocol, &argv, faulty).unwrap();
        assert_eq!(head.status, WaitStatus::exited(1));
        assert!(String::from_utf8_lossy(&head.stderr).contains("oops"), "{head:?}");
        assert_eq!(object, b"");
        assert!(server.next_job().contains("COMPILE_ERROR"));

        let argv = ["gcc", "-v", "-c", "a.c", "-o", "a.o"];
        let (head, object) = send_job(server.addr, protocol, &argv, b"").unwrap();
        assert!(head.status.success(), "{head:?}");
        assert!(String::from_utf8_lossy(&head.stderr).contains("gcc version"), "{head:?}");
        assert!(object.starts_with(b"\x7fELF"));
        assert!(server.next_job().contains("COMPILE_OK"));
    }
}

#[test]
fn stock_server_closes_at_a_hello() {
    if !have(&["distccd"]) {
        return;
    }
    let server = StockServer::start();
    let answer = ask(server.addr, &encode_hello_request());
    assert_eq!(answer, b"");
    assert_eq!(HelloDecoder::new().eof(), Err(DecodeError::NoBytes));
    // It has not crashed: its worker serves on, and has a line for this connection.
    assert!(server.next_job().contains("client: 127.0.0.1"));
}

/// Compiles what a client sent, and answers as our server will.
fn compile(dir: &Path, received: &Received) -> Vec<u8> {
    write(dir, "received.i", &received.source);
    let object = local_object(dir, "gcc", "received.i");
    let head = ReplyHead {
        status: WaitStatus::SUCCESS,
        stderr: b"a warning from afar\n".to_vec(),
        stdout: Vec::new(),
    };
    let mut answer = encode_reply_head(received.head.protocol, &head).unwrap();
    answer.extend(encode_object(received.head.protocol, &object).unwrap());
    answer
}

#[test]
fn stock_client_is_understood_and_takes_our_answer() {
    if !have(&["distcc", "gcc"]) {
        return;
    }
    for (protocol, option) in PROTOCOLS {
        let dir = open_dir();
        write(dir.path(), "a.c", C_SOURCE);
        let args = ["gcc", "-O2", "-c", "a.c", "-o", "a.o"];
        let (output, received) =
            serve_stock_client(dir.path(), option, &args, |r| compile(dir.path(), r));
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("a warning from afar"));
        assert_eq!(received.head.protocol, protocol);
        // The original rewrites a bare name to that of the target, so only its end is known.
        let (compiler, rest) = received.head.argv.split_first().unwrap();
        assert!(compiler.ends_with(b"gcc"), "{}", compiler.escape_ascii());
        assert_eq!(rest, ["-O2", "-c", "a.c", "-o", "a.o"].map(|a| a.as_bytes().to_vec()));
        assert!(received.source == run(dir.path(), "gcc", &["-O2", "-E", "a.c"]));
        let delivered = fs::read(dir.path().join("a.o")).unwrap();
        assert!(delivered == fs::read(dir.path().join("local.o")).unwrap());
    }
}

#[test]
fn our_requests_are_as_long_as_the_originals() {
    if !have(&["distcc", "g++"]) {
        return;
    }
    for (protocol, option) in PROTOCOLS {
        let dir = open_dir();
        write(dir.path(), "a.cc", CXX_SOURCE);
        let args = ["g++", "-c", "a.cc", "-o", "a.o"];
        let failed = ReplyHead {
            status: WaitStatus::exited(3),
            stderr: b"nothing is compiled here\n".to_vec(),
            stdout: Vec::new(),
        };
        let (output, received) = serve_stock_client(dir.path(), option, &args, |_| {
            let mut answer = encode_reply_head(protocol, &failed).unwrap();
            answer.extend(encode_object(protocol, b"").unwrap());
            answer
        });
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is compiled here"));

        let head = encode_request_head(protocol, &received.head.argv);
        let ours = head.len() + encode_source(protocol, &received.source).unwrap().len();
        match protocol {
            Protocol::Plain => assert_eq!(ours, received.wire_len),
            Protocol::Lzo => {
                // Level 3 finds much the same matches as miniLZO, not the very same ones.
                assert!(ours * 100 < received.wire_len * 102, "{ours} {}", received.wire_len);
                let block = lzo::compress(&received.source);
                assert!(block.len() * 3 < received.source.len());
            }
        }
    }
}
