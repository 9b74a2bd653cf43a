//! A daemon in this process, from accept to answer.

mod limits;
mod reasons;

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::report::observe::{Event, JobResult};
use super::server::{Phase, Programs};
use super::testing::{
    PATIENCE, Running, Setting, converse, decode, gate, open_gate, read_all, request, script,
    scripts, until,
};
use crate::wire::control::HELLO_VERSION;
use crate::wire::hello::{HelloDecoder, encode_hello_request};
use crate::wire::job::Protocol;
use crate::wire::testing::{have, run};

const SOURCE: &[u8] = b"# 1 \"hello.c\"\nint answer(void) { return 42; }\n";
const COMPILE: &str = "gcc -O2 -c hello.c -o hello.o";

fn any_program(dir: &Path) -> Setting {
    Setting {
        programs: Programs::Any,
        search_path: format!("{}:/usr/bin:/bin", dir.display()),
        ..Setting::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_object_is_that_of_a_local_compile() {
    if !have(&["gcc", "clang"]) {
        return;
    }
    let mut daemon = Running::start(Setting::default()).await;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hello.i"), SOURCE).unwrap();
    for compiler in ["gcc", "clang", "/usr/bin/gcc"] {
        run(dir.path(), compiler, &["-O2", "-c", "hello.i", "-o", "hello.o"]);
        let expected = fs::read(dir.path().join("hello.o")).unwrap();
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            let words = format!("{compiler} -O2 -c hello.c -o hello.o");
            let answer = converse(daemon.addr, &request(protocol, &words, SOURCE)).await;
            let (head, object) = decode(protocol, &answer);
            assert!(head.status.success() && head.stderr.is_empty(), "{head:?}");
            assert!(object == expected, "{compiler} {protocol:?}");
            assert!(matches!(daemon.event().await, Event::Began(_)));
            let JobResult::Compiled { name, .. } = daemon.result().await else { panic!() };
            assert_eq!((name.compiler.as_str(), name.source.as_str()), (compiler, "hello.c"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_is_served_by_both_protocols_and_families() {
    if !have(&["distcc", "gcc", "g++"]) {
        return;
    }
    for listen in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let daemon = Running::start(Setting { listen, ..Setting::default() }).await;
        for (compiler, options) in [("gcc", ""), ("gcc", ",lzo"), ("g++", ",lzo")] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path();
            fs::write(path.join("x.c"), "#include <stdio.h>\nint main() { return !puts(\"\"); }\n")
                .unwrap();
            let client = Command::new("distcc")
                .args([compiler, "-g", "-O2", "-c", "x.c", "-o", "there.o"])
                .env("DISTCC_HOSTS", format!("{}{options}", host(daemon.addr)))
                .env("DISTCC_FALLBACK", "0")
                .env("DISTCC_DIR", path)
                .current_dir(path)
                .output()
                .await
                .unwrap();
            assert!(client.status.success(), "{client:?}");
            assert!(client.stderr.is_empty() && client.stdout.is_empty(), "{client:?}");
            let preprocessed = if compiler == "g++" { "x.ii" } else { "x.i" };
            run(path, compiler, &["-g", "-O2", "-E", "x.c", "-o", preprocessed]);
            run(path, compiler, &["-g", "-O2", "-c", preprocessed, "-o", "here.o"]);
            let (there, here) = (fs::read(path.join("there.o")), fs::read(path.join("here.o")));
            assert!(there.unwrap() == here.unwrap(), "{compiler}{options}");
        }
    }
}

fn host(addr: std::net::SocketAddr) -> String {
    // The original's grammar has the same brackets.
    addr.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_is_answered_with_the_inventory() {
    if !have(&["gcc"]) {
        return;
    }
    let mut daemon = Running::start(Setting::default()).await;
    let answer = converse(daemon.addr, &encode_hello_request()).await;
    let mut decoder = HelloDecoder::new();
    let reply = decoder.feed(&mut &answer[..]).unwrap().unwrap();
    assert_eq!((reply.id, reply.cores, reply.jobs), (7, 2, 4));
    assert_eq!(reply.features, ["lzo", "hello", "reasons"]);
    assert!(reply.compilers.iter().any(|compiler| compiler.names.iter().any(|n| n == "gcc")));
    assert!(matches!(daemon.event().await, Event::Greeted(_)));
    assert_eq!(HELLO_VERSION, 0xC1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_costs_its_connection_one_event_and_nothing_else() {
    let dir = scripts(&[("cc", "exit 0")]);
    let mut daemon = Running::start(any_program(dir.path())).await;
    let compile = "cc -c x.c -o x.o";
    let whole = request(Protocol::Plain, compile, SOURCE);
    let mut broken = request(Protocol::Lzo, compile, SOURCE);
    let end = broken.len() - 3;
    broken[end..].fill(0xff);
    let refused: [&[u8]; 9] = [
        b"GET / HTTP/1.0\r\n\r\n",
        b"DIST00000003",
        b"DIST00000000",
        b"DISTfffffff!",
        b"DIST00000001ARGC00000000",
        b"DIST00000001ARGCffffffff",
        b"DIST00000001ARGC00000001ARGVffffffff",
        b"DIST00000002ARGC00000001ARGV00000002ccDOTI00000001x",
        &broken,
    ];
    for bytes in refused {
        assert_eq!(converse(daemon.addr, bytes).await, b"", "{}", bytes.escape_ascii());
        let event = daemon.event().await;
        let Event::Ended(record) = event else { panic!("{event:?}") };
        assert!(matches!(record.result, JobResult::Refused(_)), "{record}");
    }
    for len in [1, 11, 30, whole.len() - SOURCE.len(), whole.len() - 1] {
        let mut stream = TcpStream::connect(daemon.addr).await.unwrap();
        stream.write_all(&whole[..len]).await.unwrap();
        drop(stream);
        let event = daemon.event().await;
        assert!(matches!(event, Event::Ended(_)), "{len}: {event:?}");
    }
    drop(TcpStream::connect(daemon.addr).await.unwrap());
    assert!(matches!(daemon.event().await, Event::Touched(_)));
    let (head, _) = decode(Protocol::Plain, &converse(daemon.addr, &whole).await);
    assert!(head.status.success());
    until("job directories go", || daemon.n_job_dirs() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_is_closed_without_a_byte() {
    if !have(&["gcc"]) {
        return;
    }
    let mut daemon = Running::start(Setting::default()).await;
    for (words, reason) in [
        ("nosuchcc -c x.c -o x.o", "no compiler 'nosuchcc' is served"),
        ("/bin/sh -c x.c -o x.o", "no compiler '/bin/sh' is served"),
        ("/usr/bin/../bin/gcc -c x.c -o x.o", "is served"),
        ("/opt/gcc -c x.c -o x.o", "is served"),
        ("gcc -c x.c -o x.o -wrapper sh,-c,id", "-wrapper"),
        ("gcc -c x.c -o x.o -fplugin=./x.so", "-fplugin"),
        ("gcc -c x.c -o x.o -B /tmp", "-B"),
        ("gcc -c x.c y.c -o x.o", "2 sources"),
    ] {
        let answer = converse(daemon.addr, &request(Protocol::Plain, words, SOURCE)).await;
        assert_eq!(answer, b"", "{words}");
        let JobResult::Refused(said) = daemon.result().await else { panic!("{words}") };
        assert!(said.contains(reason), "{words}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_source_makes_a_compiler_show_a_file_of_the_server() {
    if !have(&["gcc", "clang"]) {
        return;
    }
    let daemon = Running::start(Setting::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "the secret of this machine\n").unwrap();
    let secret = secret.display();
    for source in [
        format!("#include \"{secret}\"\nint x;\n"),
        format!("#if __has_include(\"{secret}\")\nthe secret exists;\n#endif\n"),
        format!("# 1 \"{secret}\"\nwrong\n"),
    ] {
        for words in [
            "gcc -c x.c -o x.o",
            "g++ -fdiagnostics-show-caret -c x.cc -o x.o",
            "gcc -flto -c x.c -o x.o",
            "g++ -flto=auto -fno-lto -c x.cc -o x.o",
            "clang -c x.c -o x.o",
            "clang++ -x c++ -c x.cc -o x.o",
        ] {
            let bytes = request(Protocol::Plain, words, source.as_bytes());
            let (head, _) = decode(Protocol::Plain, &converse(daemon.addr, &bytes).await);
            let said = String::from_utf8(head.stderr).unwrap();
            assert!(!said.contains("the secret"), "{words} of {source} says {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_source_with_directives_makes_a_compiler_read_a_file_of_the_server() {
    if !have(&["gcc", "clang"]) {
        return;
    }
    let mut daemon = Running::start(Setting::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "the secret of this machine\n").unwrap();
    let secret = secret.display();
    for source in [
        format!("#include \"{secret}\"\nint x;\n"),
        format!("%:include \"{secret}\"\nint x;\n"),
        format!("?\x3f=include \"{secret}\"\nint x;\n"),
        format!("#inc?\x3f/\nlude \"{secret}\"\nint x;\n"),
        format!("# /*\n*/ \\\n  inc\\\nlude \"{secret}\"\nint x;\n"),
        format!("#/**?\x3f/\n/ x */ include \"{secret}\"\nint x;\n"),
        format!("#/**\\\r\r\n/ x */ include \"{secret}\"\nint x;\n"),
        format!("char x[] = {{\n#embed \"{secret}\"\n}};\n"),
        format!("#pragma GCC dependency \"{secret}\"\nint x;\n"),
        format!("_Pragma(\"GCC dependency \\\"{secret}\\\"\")\nint x;\n"),
        format!("#if __has_include(\"{secret}\")\n#error the secret exists\n#endif\nint x;\n"),
        format!(
            "#define P(a, b) a##b\n#if P(__has_, include)(\"{secret}\")\n\
             #error the secret exists\n#endif\nint x;\n"
        ),
        format!("#define P(a, b) a##b\n# 7 P(__has_, include)(\"{secret}\")\nint x;\n"),
    ] {
        for words in [
            "gcc -fdirectives-only -c x.c -o x.o",
            "gcc -std=c99 -trigraphs -fdirectives-only -c x.c -o x.o",
            "g++ -fdirectives-only -std=c++11 -c x.cc -o x.o",
        ] {
            for protocol in [Protocol::Plain, Protocol::Lzo] {
                let bytes = request(protocol, words, source.as_bytes());
                let answer = converse(daemon.addr, &bytes).await;
                assert!(answer.is_empty(), "{words} of {source} is answered");
                let JobResult::Refused(reason) = daemon.result().await else { panic!("{words}") };
                assert!(reason.contains("may read files"), "{reason}");
            }
        }
        let bytes = request(Protocol::Plain, "clang -c x.c -o x.o", source.as_bytes());
        let answer = converse(daemon.addr, &bytes).await;
        let result = daemon.result().await;
        if source.contains("dependency") {
            assert!(answer.is_empty() && matches!(result, JobResult::Refused(_)), "{source}");
            continue;
        }
        let (head, object) = decode(Protocol::Plain, &answer);
        let said = String::from_utf8(head.stderr).unwrap();
        assert!(!said.contains("the secret"), "{source} says {said}");
        assert!(!object.windows(10).any(|part| part == b"the secret"), "{source}");
    }
    // Only as the first word of a text is this one obeyed.
    let first = format!(
        "# 1 \"x.c\"\n#define P(a, b) a##b\n#define Q(x) P(_Pra, gma)(#x)\n\
         #define R(x) Q(GCC x \"{secret}\")\nR(P(pch_, preprocess))\nint x;\n"
    );
    for words in ["gcc -fdirectives-only -c x.c -o x.o", "g++ -fdirectives-only -c x.cc -o x.o"] {
        let bytes = request(Protocol::Plain, words, first.as_bytes());
        let (head, _) = decode(Protocol::Plain, &converse(daemon.addr, &bytes).await);
        let said = String::from_utf8(head.stderr).unwrap();
        assert!(said.contains("must be first") && !said.contains("PCH file"), "{said}");
        daemon.result().await;
    }
    let honest = "# 1 \"x.c\"\n#define X(a) #a\n/* fall through */ const char *x = X(include);\n";
    let words = "gcc -fdirectives-only -c x.c -o x.o";
    let bytes = request(Protocol::Lzo, words, honest.as_bytes());
    let (head, object) = decode(Protocol::Lzo, &converse(daemon.addr, &bytes).await);
    assert!(head.status.success() && !object.is_empty());
}

/// gcc takes such a header's memory as it is: a client that gets a file of its own taken for one
/// runs what it likes.
#[tokio::test(flavor = "multi_thread")]
async fn no_source_has_a_precompiled_header_read() {
    if !have(&["gcc"]) {
        return;
    }
    let mut daemon = Running::start(Setting::default()).await;
    let source = "#pragma GCC  pch_preprocess \"/proc/self/cwd/x.i\"\nint x;\n";
    for words in ["gcc -c x.c -o x.o", "gcc -fdirectives-only -c x.c -o x.o"] {
        for protocol in [Protocol::Plain, Protocol::Lzo] {
            let answer = converse(daemon.addr, &request(protocol, words, source.as_bytes())).await;
            assert!(answer.is_empty(), "{words} is answered");
            let JobResult::Refused(reason) = daemon.result().await else { panic!("{words}") };
            assert!(reason.contains("may read files"), "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_allowed_is_closed_before_a_byte_is_read() {
    let setting =
        Setting { allow: vec!["127.0.0.2"], programs: Programs::Any, ..Setting::default() };
    let mut daemon = Running::start(setting).await;
    let answer = converse(daemon.addr, &request(Protocol::Plain, COMPILE, SOURCE)).await;
    assert_eq!(answer, b"");
    assert!(matches!(daemon.event().await, Event::Denied(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_program_may_be_run_where_the_administrator_says_so() {
    let setting = Setting { programs: Programs::Any, ..Setting::default() };
    let daemon = Running::start(setting).await;
    for (program, status) in [("true", 0), ("false", 0x100), ("nosuchcc", 0x6e00)] {
        let words = format!("{program} -c x.i -o x.o");
        let answer = converse(daemon.addr, &request(Protocol::Lzo, &words, SOURCE)).await;
        let (head, object) = decode(Protocol::Lzo, &answer);
        assert_eq!((head.status.raw(), object.len()), (status, 0), "{program}");
        let text = String::from_utf8(head.stderr).unwrap();
        assert_eq!(text.contains("failed to exec nosuchcc: "), program == "nosuchcc", "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_request_are_ignored_and_mentioned() {
    let dir = scripts(&[("cc", "printf o > x.o; read line < $0.gate || :")]);
    nix::unistd::mkfifo(&dir.path().join("cc.gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut daemon = Running::start(any_program(dir.path())).await;
    let mut bytes = request(Protocol::Plain, "cc -c x.c -o x.o", SOURCE);
    bytes.extend_from_slice(&[b'!'; 1000]);
    let mut stream = TcpStream::connect(daemon.addr).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    open_gate(&dir.path().join("cc.gate")).await;
    let (head, object) = decode(Protocol::Plain, &read_all(&mut stream).await);
    assert!(head.status.success());
    assert_eq!(object, b"o");
    assert!(matches!(daemon.event().await, Event::Began(_)));
    assert!(matches!(daemon.event().await, Event::ExtraBytes(_)));
    assert!(matches!(daemon.event().await, Event::Ended(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_not_a_slot() {
    let dir = scripts(&[("cc", "exit 0")]);
    let mut daemon = Running::start(Setting { jobs: 1, ..any_program(dir.path()) }).await;
    let whole = request(Protocol::Plain, "cc -c x.c -o x.o", SOURCE);
    let mut idle = Vec::new();
    for len in [0, 1, 50, whole.len() - 1] {
        let mut stream = TcpStream::connect(daemon.addr).await.unwrap();
        stream.write_all(&whole[..len]).await.unwrap();
        idle.push(stream);
    }
    let (head, _) = decode(Protocol::Plain, &converse(daemon.addr, &whole).await);
    assert!(head.status.success());
    assert!(matches!(daemon.event().await, Event::Began(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_waiting_or_compiling_frees_everything() {
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(dir.path());
    let scripts = scripts(&[
        (
            "wait",
            &format!("echo $$ > {0}/pid; read line < {0}/gate; sleep 1000", dir.path().display()),
        ),
        ("quick", "exit 0"),
    ]);
    let mut daemon = Running::start(Setting { jobs: 1, ..any_program(scripts.path()) }).await;
    let send = async |program: &str| {
        let mut stream = TcpStream::connect(daemon.addr).await.unwrap();
        let bytes = request(Protocol::Plain, &format!("{program} -c x.c -o x.o"), SOURCE);
        stream.write_all(&bytes).await.unwrap();
        stream
    };
    let running = send("wait").await;
    // Now the compiler runs, and holds the only slot.
    open_gate(&gate).await;
    let waiting = send("quick").await;
    until("the second job waits", || daemon.n_job_dirs() == 2).await;
    drop(waiting);
    until("the second job is dropped", || daemon.n_job_dirs() == 1).await;
    drop(running);
    until("the first job is dropped", || daemon.n_job_dirs() == 0).await;
    let leader = fs::read_to_string(dir.path().join("pid")).unwrap().trim().parse().unwrap();
    super::testing::group_dies(leader).await;
    assert!(matches!(daemon.event().await, Event::Began(_)));
    assert_eq!(daemon.result().await, JobResult::ClientGone);
    assert_eq!(daemon.result().await, JobResult::ClientGone);
    let quick = request(Protocol::Plain, "quick -c x.c -o x.o", SOURCE);
    decode(Protocol::Plain, &converse(daemon.addr, &quick).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_source_waits_for_its_slot_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(dir.path());
    let scripts = scripts(&[
        ("wait", &format!("read line < {}", gate.display())),
        // The source as it was sent, and nothing beside it.
        ("cat", "/bin/cat x.i > x.o; /bin/ls"),
    ]);
    let mut daemon = Running::start(Setting { jobs: 1, ..any_program(scripts.path()) }).await;
    let mut running = TcpStream::connect(daemon.addr).await.unwrap();
    let bytes = request(Protocol::Plain, "wait -c x.c -o x.o", SOURCE);
    running.write_all(&bytes).await.unwrap();
    assert!(matches!(daemon.event().await, Event::Began(_)));
    let source = [b' '; 100_000];
    let packed_len = crate::wire::lzo::compress(&source).len() as u64;
    let mut waiting = TcpStream::connect(daemon.addr).await.unwrap();
    let bytes = request(Protocol::Lzo, "cat -c x.c -o x.o", &source);
    waiting.write_all(&bytes).await.unwrap();
    until("the compressed source is stored", || daemon.job_files().contains(&packed_len)).await;
    open_gate(&gate).await;
    let (head, object) = decode(Protocol::Lzo, &read_all(&mut waiting).await);
    assert!(head.status.success());
    assert_eq!(String::from_utf8(head.stdout).unwrap(), "x.i\nx.o\n");
    assert!(object == source);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compile_that_takes_too_long_is_answered_so() {
    let scripts = scripts(&[("cc", "exec sleep 1000")]);
    let lifetime = Some(Duration::from_millis(1));
    let mut daemon = Running::start(Setting { lifetime, ..any_program(scripts.path()) }).await;
    let bytes = request(Protocol::Plain, "cc -c x.c -o x.o", SOURCE);
    let (head, _) = decode(Protocol::Plain, &converse(daemon.addr, &bytes).await);
    assert_eq!(head.status.raw(), 0x7600);
    assert!(String::from_utf8(head.stderr).unwrap().contains("took too long"));
    assert!(matches!(daemon.result().await, JobResult::TimedOut(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_of_all_kinds_leave_nothing() {
    let scripts = scripts(&[
        ("good", "printf object > x.o"),
        ("bad", "echo wrong >&2; exit 1"),
        ("crash", "kill -SEGV $$"),
        ("litter", "mkdir -p deep/er; touch deep/er/x core; sleep 1000 & exit 0"),
        ("hang", "sleep 1000"),
    ]);
    let mut daemon = Running::start(any_program(scripts.path())).await;
    let mut clients = JoinSet::new();
    let addr = daemon.addr;
    for number in 0..200 {
        let program = ["good", "bad", "crash", "litter", "hang"][number % 5];
        let protocol = if number % 2 == 0 { Protocol::Plain } else { Protocol::Lzo };
        clients.spawn(async move {
            let bytes = request(protocol, &format!("{program} -c x.c -o x.o"), SOURCE);
            if program == "hang" {
                // This client is killed.
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
                return;
            }
            let (head, object) = decode(protocol, &converse(addr, &bytes).await);
            let expected = match program {
                "bad" => 0x100,
                "crash" => 11,
                _ => 0,
            };
            assert_eq!(head.status.raw() & 0xff7f, expected, "{program}");
            assert_eq!(object.is_empty(), program != "good");
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    for _ in 0..200 {
        daemon.result().await;
    }
    until("job directories go", || daemon.n_job_dirs() == 0).await;
    daemon.phase.send_replace(Phase::Draining);
    daemon.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_lets_a_running_compile_finish_and_stopping_does_not() {
    for (phase, finishes) in [(Phase::Draining, true), (Phase::Stopping, false)] {
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(dir.path());
        let body = format!("printf o > x.o; read line < {}", gate.display());
        let scripts = scripts(&[("cc", &body)]);
        let mut daemon = Running::start(any_program(scripts.path())).await;
        let mut stream = TcpStream::connect(daemon.addr).await.unwrap();
        let bytes = request(Protocol::Plain, "cc -c x.c -o x.o", SOURCE);
        stream.write_all(&bytes).await.unwrap();
        assert!(matches!(daemon.event().await, Event::Began(_)));
        let mut idle = TcpStream::connect(daemon.addr).await.unwrap();
        idle.write_all(b"DIST").await.unwrap();
        daemon.phase.send_replace(phase);
        if finishes {
            assert_eq!(read_all(&mut idle).await, b"");
            open_gate(&gate).await;
            let (head, object) = decode(Protocol::Plain, &read_all(&mut stream).await);
            assert!(head.status.success());
            assert_eq!(object, b"o");
        } else {
            assert_eq!(read_all(&mut stream).await, b"");
        }
        assert!(TcpStream::connect(daemon.addr).await.is_err() || !finishes);
        daemon.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_that_has_changed_is_refused_and_then_served_as_what_it_is() {
    if !have(&["gcc"]) {
        return;
    }
    let scripts = scripts(&[("gcc", "exec /usr/bin/gcc \"$@\"")]);
    let setting = Setting {
        search_path: format!("{}:/usr/bin", scripts.path().display()),
        ..Setting::default()
    };
    let mut daemon = Running::start(setting).await;
    let bytes = request(Protocol::Plain, COMPILE, SOURCE);
    decode(Protocol::Plain, &converse(daemon.addr, &bytes).await);
    assert!(matches!(daemon.result().await, JobResult::Compiled { .. }));
    script(&scripts.path().join("gcc"), "exec   /usr/bin/gcc \"$@\"");
    assert_eq!(converse(daemon.addr, &bytes).await, b"");
    let JobResult::Refused(reason) = daemon.result().await else { panic!() };
    assert!(reason.contains("has changed"), "{reason}");
    let served_again = async {
        while converse(daemon.addr, &bytes).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, served_again).await.unwrap();
}
