//! Host lists as the client takes them, beside the original's client of the same list.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread;

use crate::bench::{Bench, StockServer, text};
use crate::skip::skip;

/// The client that Debian's package `distcc` installs.
const STOCK_CLIENT: &str = "/usr/bin/distcc";

fn stock_client() -> Option<&'static Path> {
    let client = Path::new(STOCK_CLIENT);
    if !client.exists() {
        skip("distcc 3.4 is not installed");
        return None;
    }
    Some(client)
}

#[test]
fn what_is_said_of_a_list_is_what_the_original_says() {
    let Some(stock) = stock_client() else { return };
    let bench = Bench::new();
    let cores = thread::available_parallelism().unwrap().get();
    for hosts in [
        "h",
        "h/3",
        "h:1/3",
        "h/3:1",
        "h/3/4",
        "h=3",
        "h:3632",
        "[::1]",
        "[::1]:99/3,lzo",
        "h,lzo",
        "h,lzo,cpp",
        "h,lzo,lzo,cpp",
        "<invalid>,cpp,lzo",
        "h,down",
        "h/7,down",
        "localhost",
        "localhost/8",
        "localhost:3632",
        "localhost/2:3632",
        "127.0.0.1",
        "me@h",
        "@h:9/3",
        "me@h/3:/x/distccd,lzo",
        "a b/2\tc:99,lzo # d",
        "--randomize a",
        "--localslots=3 a --localslots_cpp=9",
    ] {
        let said = |word: &str| {
            let ours = bench.distcc(hosts).arg(word).output().unwrap();
            let theirs = bench.program(stock, hosts).arg(word).output().unwrap();
            assert_eq!(text(&ours.stderr) + &text(&theirs.stderr), "", "{hosts}");
            (text(&ours.stdout), text(&theirs.stdout))
        };
        let (ours, theirs) = said("--show-hosts");
        assert_eq!(ours, theirs, "{hosts}");
        let (ours, theirs) = said("-j");
        let most = theirs.trim().parse::<usize>().unwrap().max(cores);
        assert_eq!(ours.trim(), most.to_string(), "{hosts}");
    }
}

fn compile(bench: &Bench, hosts: &str, fallback: &str) -> Output {
    let mut command = bench.distcc(hosts);
    command.env("DISTCC_FALLBACK", fallback).args(["gcc", "-c", "x.c"]).output().unwrap()
}

#[test]
fn a_bad_token_is_named_with_its_place_and_the_rest_is_used() {
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for (token, expected) in [
        ("h:abc", "a port between 1 and 65535 after ':'"),
        ("h:70000", "a port between 1 and 65535 after ':'"),
        ("h/0", "a number of jobs between 1 and 65535 after '/'"),
        ("h/-1", "a number of jobs between 1 and 65535 after '/'"),
        ("::1", "an IPv6 address in brackets, [::1]"),
        ("[::1", "']' after the address that begins with '['"),
        ("h,", "one of the options lzo, cpp, down, auth after ','"),
        ("h,cpp", "lzo beside cpp: pump mode needs compression"),
        ("u@", "a host name or address"),
        ("--localslots=0", "a number of jobs between 1 and 65535 after '='"),
    ] {
        fs::write(bench.path("distcc/hosts"), format!("# ours\n{token} {}\n", server.token))
            .unwrap();
        let log = bench.path("log");
        let _ = fs::remove_file(&log);
        let mut command = bench.distcc("");
        command.env_remove("DISTCC_HOSTS").env("DISTCC_LOG", &log).args(["gcc", "-c", "x.c"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{token}");
        let log = fs::read_to_string(log).unwrap();
        let file = bench.path("distcc/hosts");
        let problem = format!("Warning: {}:2: {token}: expected {expected}\n", file.display());
        assert!(log.contains(&problem), "{problem}\n{log}");
        assert!(log.contains(&format!("on {} completed ok", server.token)), "{token}: {log}");
    }
}

#[test]
fn hosts_of_which_none_can_be_used_keep_nobody_waiting() {
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    for hosts in ["127.0.0.1:1,down", "127.0.0.1:1/0", "127.0.0.1:1/-1 [::1]:1,down", "", "h:x"] {
        let output = compile(&bench, hosts, "1");
        assert!(output.status.success(), "{hosts}: {output:?}");
        assert!(!bench.read("x.o").is_empty());
        fs::remove_file(bench.path("work/x.o")).unwrap();
        let output = compile(&bench, hosts, "0");
        assert_eq!(output.status.code(), Some(116), "{hosts}: {output:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains("failed to distribute and fallbacks are disabled"), "{stderr}");
        assert!(!bench.path("work/x.o").exists(), "{hosts}");
    }
}

#[test]
fn an_empty_variable_is_not_replaced_by_a_file() {
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    fs::write(bench.path("distcc/hosts"), &server.token).unwrap();
    let output = compile(&bench, "", "0");
    assert_eq!(output.status.code(), Some(116));
    assert!(text(&output.stderr).contains("$DISTCC_HOSTS contained no hosts"), "{output:?}");
}

#[test]
fn hosts_of_pump_mode_get_preprocessed_sources() {
    let bench = Bench::new();
    bench.write("own.h", "int x;\n");
    bench.write("x.c", "#include \"own.h\"\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for options in [",lzo,cpp", ",cpp,lzo", ",lzo,lzo,cpp"] {
        let host = format!("{}{options}", server.token);
        let (output, log) = bench.run(&host, &["gcc", "-c", "x.c"]);
        assert!(output.status.success(), "{log}");
        assert!(log.contains(&format!("on {host} completed ok")), "{log}");
    }
}

/// With the only slot of the host taken by one client, the other turns to `localhost`.
#[test]
fn slots_are_counted_together_with_the_original() {
    let Some(stock) = stock_client() else { return };
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let hosts = format!("{}/1 localhost/1", server.token);
    let ours = Path::new(env!("CARGO_BIN_EXE_distcc"));
    for (first, second) in [(stock, ours), (ours, stock)] {
        let (begun, gate) = (bench.path("server/begun"), bench.path("server/gate"));
        for fifo in [&begun, &gate] {
            let made = bench.program("mkfifo".as_ref(), "").args(["-m", "666"]).arg(fifo).status();
            assert!(made.unwrap().success());
        }
        let gated = format!(
            "case \" $* \" in *\" -E \"*) ;; *) : > {}; read line < {};; esac; exec /usr/bin/gcc \"$@\"",
            begun.display(),
            gate.display()
        );
        let gated = bench.script("bin/gated", &gated);
        let mut holder = bench.program(first, &hosts);
        let mut holder = holder.arg(gated).args(["-c", "x.c", "-o", "1.o"]).spawn().unwrap();
        // Opens when the server's compiler does.
        fs::read(&begun).unwrap();
        let log = bench.path("log");
        let _ = fs::remove_file(&log);
        let mut other = bench.program(second, &hosts);
        other.env("DISTCC_LOG", &log).args(["/usr/bin/gcc", "-c", "x.c", "-o", "2.o"]);
        assert!(other.status().unwrap().success());
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains("exec on localhost") && !log.contains(&server.token), "{log}");
        fs::write(&gate, "go\n").unwrap();
        assert!(holder.wait().unwrap().success());
        fs::remove_file(begun).unwrap();
        fs::remove_file(gate).unwrap();
    }
}

#[test]
fn a_host_that_failed_is_left_out_by_both_clients() {
    let Some(stock) = stock_client() else { return };
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    let ours = Path::new(env!("CARGO_BIN_EXE_distcc"));
    for (first, second) in [(stock, ours), (ours, stock)] {
        let run = |client: &Path| {
            let log = bench.path("log");
            let _ = fs::remove_file(&log);
            let mut command = bench.program(client, "127.0.0.1:1");
            command.env("DISTCC_LOG", &log).env("DISTCC_VERBOSE", "1");
            assert!(command.args(["gcc", "-c", "x.c"]).status().unwrap().success());
            fs::read_to_string(log).unwrap()
        };
        let mark = bench.path("distcc/lock/backoff_tcp_127.0.0.1_1_0");
        run(first);
        assert!(mark.exists(), "{}", first.display());
        let log = run(second);
        assert!(!log.to_lowercase().contains("refused"), "{}: {log}", second.display());
        fs::remove_file(mark).unwrap();
    }
}
