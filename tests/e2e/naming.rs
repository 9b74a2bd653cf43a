//! What a host is asked for without an agent, and whose objects are refused.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::thread;

use crate::bench::{Bench, StockServer, has, text};

const SOURCE: &str = "int x = 1;\n";

/// The compiler's name sent for `words`, and the target, as the log shows them.
fn sent(bench: &Bench, host: &str, words: &[&str], variable: &str) -> String {
    let log = bench.path("log");
    let _ = fs::remove_file(&log);
    let mut command = bench.distcc(host);
    command.env("DISTCC_LOG", &log).args(words);
    if !variable.is_empty() {
        command.env(variable, "1");
    }
    let output = command.output().unwrap();
    let log = fs::read_to_string(log).unwrap();
    assert!(output.status.success() && log.contains("completed ok"), "{words:?}: {log}");
    let line = log.lines().find(|line| line.contains("exec on ")).unwrap();
    let (name, options) = line.split_once(&format!("{host}: ")).unwrap().1.split_once(' ').unwrap();
    let target = options.split(' ').find(|word| word.starts_with("--target="));
    [name].into_iter().chain(target).collect::<Vec<_>>().join(" ")
}

fn says(compiler: &str, option: &str) -> String {
    let output = std::process::Command::new(compiler).arg(option).output().unwrap();
    text(&output.stdout).trim().to_owned()
}

#[test]
fn without_an_agent_a_host_is_asked_for_the_compiler_and_target_meant() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let target = says("gcc", "-dumpmachine");
    if !has(&format!("{target}-gcc")) || !has("clang") {
        return;
    }
    let clang_target = says("clang", "-dumpmachine");
    let gcc = format!("{target}-gcc");
    let clang = format!("clang --target={clang_target}");
    for (words, expected) in [
        ("gcc", gcc.clone()),
        ("cc", gcc),
        ("/usr/bin/gcc", "/usr/bin/gcc".to_owned()),
        ("c99", "c99".to_owned()),
        ("clang", clang),
        ("clang --target=i686-linux-gnu", "clang --target=i686-linux-gnu".to_owned()),
        ("clang -target i686-linux-gnu", "clang --target=i686-linux-gnu".to_owned()),
    ] {
        let words: Vec<&str> = words.split(' ').chain(["-c", "x.c"]).collect();
        assert_eq!(sent(&bench, &server.token, &words, ""), expected, "{words:?}");
    }
    for variable in ["DISTCC_NO_REWRITE_CROSS", "DISTCC_NO_CROSS_REWRITE"] {
        for name in ["gcc", "cc", "clang"] {
            let found = sent(&bench, &server.token, &[name, "-c", "x.c"], variable);
            assert_eq!(found, name, "{variable}");
        }
    }
    bench.assert_tidy();
}

#[test]
fn a_prefixed_name_is_sent_only_if_it_is_the_same_compiler() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    if !has("gcc-11") {
        return;
    }
    let Some(server) = StockServer::start_v4(&bench) else { return };
    fs::create_dir(bench.path("bin")).unwrap();
    // The machine's `x86_64-linux-gnu-gcc` is another version than this `gcc`.
    symlink("/usr/bin/gcc-11", bench.path("bin/gcc")).unwrap();
    let log = bench.path("log");
    let mut command = bench.distcc(&server.token);
    let path = format!("{}:/usr/bin:/bin", bench.path("bin").display());
    command.env("PATH", path).env("DISTCC_LOG", &log).args(["gcc", "-c", "x.c"]);
    assert!(command.status().unwrap().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(": gcc "), "{log}");
}

#[test]
fn what_runs_here_is_called_as_typed() {
    let bench = Bench::new();
    bench.write("x.c", "int main(void) { return 0; }\n");
    let echo = bench.script("bin/gcc", "echo $0 \"$@\"");
    fs::copy(&echo, bench.path("bin/clang")).unwrap();
    for name in ["gcc", "clang"] {
        let mut command = bench.distcc("127.0.0.1:1");
        command.env("PATH", format!("{}:/bin", bench.path("bin").display()));
        let output = command.args([name, "x.c", "-o", "x"]).output().unwrap();
        let path = bench.path("bin").join(name);
        assert_eq!(text(&output.stdout), format!("{} x.c -o x\n", path.display()));
    }
}

#[test]
fn cross_compilers_compile_elsewhere_for_their_own_targets() {
    let bench = Bench::new();
    bench.write(
        "x.c",
        "int sum(const int *a, int n) { int s = 0; while (n--) s += *a++; return s; }\n",
    );
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for command in [
        "aarch64-linux-gnu-gcc -O2 -c x.c",
        "arm-none-eabi-gcc -O2 -mcpu=cortex-m4 -mthumb -c x.c",
        "arm-none-eabi-gcc -mbig-endian -c x.c",
        "gcc -m32 -O1 -c x.c",
        "gcc -mx32 -O1 -c x.c",
        "clang --target=aarch64-linux-gnu -O1 -c x.c",
        "clang -flto -O1 -fno-ident -c x.c",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        if !has(words[0]) {
            continue;
        }
        assert!(bench.program(words[0].as_ref(), "").args(&words[1..]).status().unwrap().success());
        let expected = bench.read("x.o");
        fs::remove_file(bench.path("work/x.o")).unwrap();
        let (output, log) = bench.run(&server.token, &words);
        assert!(output.status.success() && log.contains("completed ok"), "{command}: {log}");
        assert!(bench.read("x.o") == expected, "{command}");
    }
    bench.assert_tidy();
}

/// A server that answers every job with `object`; its host token.
fn forger(object: Vec<u8>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let token = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = forge(stream.unwrap(), &object);
        }
    });
    token
}

fn forge(mut stream: TcpStream, object: &[u8]) -> std::io::Result<()> {
    loop {
        let mut token = [0; 12];
        stream.read_exact(&mut token)?;
        let value = str::from_utf8(&token[4..]).unwrap();
        let value = usize::from_str_radix(value, 16).unwrap();
        if matches!(&token[..4], b"ARGV" | b"DOTI") {
            stream.read_exact(&mut vec![0; value])?;
        }
        if &token[..4] == b"DOTI" {
            break;
        }
    }
    let head = "DONE00000001STAT00000000SERR00000000SOUT00000000DOTO";
    stream.write_all(format!("{head}{:08x}", object.len()).as_bytes())?;
    stream.write_all(object)
}

#[test]
fn an_object_for_another_machine_is_refused_and_the_host_named() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let header = |machine: u8| {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(64, 0);
        (header[16], header[18]) = (1, machine);
        header
    };
    let aarch64 = "it is for aarch64 (64-bit, little-endian), not for x86_64-linux-gnu";
    let no_object = "it is of another format, not for x86_64-linux-gnu";
    for (object, options, complaint) in [
        (header(183), "", aarch64),
        (header(183), "-fno-ident", aarch64),
        (b"MZ and more".to_vec(), "-fno-ident", no_object),
        (Vec::new(), "-fno-ident", no_object),
    ] {
        if says("gcc", "-dumpmachine") != "x86_64-linux-gnu" {
            return;
        }
        let host = forger(object);
        let words = format!("gcc {options} -c x.c");
        let (output, log) = bench.run(&host, &words.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{log}");
        assert_eq!(text(&output.stderr), "");
        let line = format!("discarded the object of x.c from {host}: {complaint}");
        assert!(log.contains(&line), "{log}");
        assert_eq!(bench.read("x.o")[18], 62, "the local compiler's object");
        fs::remove_file(bench.path("work/x.o")).unwrap();
    }
    // Without a check the forgery would have gone through: one for this machine does.
    let host = forger(header(62));
    let (_, log) = bench.run(&host, &["gcc", "-fno-ident", "-c", "x.c"]);
    assert!(log.contains("completed ok"), "{log}");
    bench.assert_tidy();
}
