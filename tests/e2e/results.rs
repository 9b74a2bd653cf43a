//! What reaches the user: objects, messages and exit codes are those of a local compile.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::bench::{Bench, StockServer, has, text};

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

#[test]
fn objects_are_those_of_a_local_compile() {
    let bench = Bench::new();
    bench.write("x.c", HELLO);
    bench.write("y.cpp", "#include <string>\nstd::string s() { return \"s\"; }\n");
    let addrs = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    for addr in addrs {
        let Some(server) = StockServer::start(&bench, addr) else { continue };
        for host in [server.token.clone(), format!("{},lzo", server.token)] {
            for command in [
                &["gcc", "-O2", "-c", "x.c", "-o", "out"][..],
                &["/usr/bin/gcc", "-c", "x.c", "-oout"],
                &["gcc", "-O1", "-S", "x.c", "-o", "out"],
                &["g++", "-O2", "-c", "y.cpp", "-o", "out"],
                &["clang", "-O2", "-c", "x.c", "-o", "out"],
            ] {
                if command[0] == "clang" && !has("clang") {
                    continue;
                }
                let local = bench.program(command[0].as_ref(), "").args(&command[1..]).status();
                assert!(local.unwrap().success());
                let expected = bench.read("out");
                fs::remove_file(bench.path("work/out")).unwrap();
                let (output, log) = bench.run(&host, command);
                assert!(output.status.success(), "{command:?} on {host}: {log}");
                assert_eq!(text(&output.stderr) + &text(&output.stdout), "", "{command:?}");
                assert!(log.contains(&format!("on {host} completed ok")), "{log}");
                assert!(bench.read("out") == expected, "{command:?} on {host} differs");
            }
        }
    }
    bench.assert_tidy();
}

#[test]
fn a_compilers_error_is_shown_once_and_its_exit_code_kept() {
    let bench = Bench::new();
    bench.write("x.c", "int x = ;\n");
    bench.write("e.c", "#error nope\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for (source, message) in [("x.c", "x.c:1:9: error"), ("e.c", "e.c:1:2: error")] {
        for fallback in ["0", "1"] {
            let mut command = bench.distcc(&server.token);
            command.env("DISTCC_FALLBACK", fallback).args(["gcc", "-c", source]);
            let output = command.output().unwrap();
            let stderr = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{source}: {stderr}");
            assert_eq!(stderr.matches(message).count(), 1, "{stderr}");
            assert!(!stderr.contains("distcc["), "{stderr}");
            assert!(!bench.path("work/x.o").exists() && !bench.path("work/e.o").exists());
        }
    }
    bench.assert_tidy();
}

#[test]
fn a_header_that_exists_only_precompiled_is_used_as_here() {
    let bench = Bench::new();
    bench.write("p.h", "int x;\n");
    bench.write("x.c", "#include \"p.h\"\nint *y = &x;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let made = bench.program("gcc".as_ref(), "").args(["p.h", "-o", "p.h.gch"]).status();
    assert!(made.unwrap().success());
    fs::remove_file(bench.path("work/p.h")).unwrap();
    let (output, log) = bench.run(&server.token, &["gcc", "-c", "x.c"]);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert_eq!(text(&output.stderr), "");
    assert!(!bench.read("x.o").is_empty());
    bench.assert_tidy();
}

#[test]
fn what_can_be_read_once_is_compiled_here() {
    let bench = Bench::new();
    bench.write("w.c", "int f(void) { int u; return 1; }\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let compile = |compiler: &str| {
        let _ = fs::remove_file(bench.path("work/w.o"));
        let words =
            format!("cat w.c | {compiler} -Wall -x c -include /dev/null -c /dev/stdin -o w.o");
        let output = bench.program("sh".as_ref(), &server.token).args(["-c", &words]).output();
        let output = output.unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr), bench.read("w.o"))
    };
    assert_eq!(compile(&format!("{} gcc", env!("CARGO_BIN_EXE_distcc"))), compile("gcc"));
    bench.assert_tidy();
}

#[test]
fn a_terminal_shows_every_message_once() {
    let bench = Bench::new();
    bench.write("e.c", "#warning first\n#error nope\n");
    bench.write("x.c", "#warning first\nint x = ;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let distcc = env!("CARGO_BIN_EXE_distcc");
    for source in ["e.c", "x.c"] {
        let on_terminal = |compiler: &str| {
            let words = format!("{compiler} -c {source}");
            let mut script = bench.program("script".as_ref(), &server.token);
            let output = script.args(["-qefc", &words, "/dev/null"]).output().unwrap();
            (output.status.code(), text(&output.stdout))
        };
        let there = on_terminal(&format!("{distcc} gcc"));
        assert_eq!(there, on_terminal("gcc"));
        assert_eq!(there.0, Some(1));
    }
}

#[test]
fn warnings_of_preprocessor_and_compiler_come_once_and_in_order() {
    let bench = Bench::new();
    bench.write("x.c", "#warning first\nint f(void) { int second; return second; }\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let (output, log) = bench.run(&server.token, &["gcc", "-O1", "-Wall", "-c", "x.c"]);
    let stderr = text(&output.stderr);
    assert!(log.contains("completed ok"), "{log}");
    assert_eq!(stderr.matches("warning: #warning").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("-Wuninitialized").count(), 1, "{stderr}");
    assert!(stderr.find("-Wcpp") < stderr.find("-Wuninitialized"), "{stderr}");
}

#[test]
fn programs_that_are_no_compilers_have_their_say() {
    let bench = Bench::new();
    bench.write("x.i", "int x;\n");
    let Some(server) = StockServer::start_v4(&bench) else { return };
    for (compiler, code) in [("true", 0), ("false", 1), ("nosuchcc", 110)] {
        let (output, log) = bench.run(&server.token, &[compiler, "-c", "x.i"]);
        assert_eq!(output.status.code(), Some(code), "{compiler}: {log}");
    }
    let (output, _) = bench.run(&server.token, &["nosuchcc", "-c", "x.i"]);
    assert!(text(&output.stderr).contains("failed to exec"));
}

#[test]
fn clang_by_another_name_notes_our_directory_and_target() {
    let bench = Bench::new();
    bench.write("x.c", HELLO);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    if !has("clang") {
        return;
    }
    fs::create_dir(bench.path("bin")).unwrap();
    symlink("/usr/bin/clang", bench.path("bin/cc")).unwrap();
    let cc = bench.path("bin/cc").into_os_string().into_string().unwrap();
    let options = ["-g", "-Wp,-MD,x.d", "-c", "x.c", "-o", "out.o"];
    let local = bench.program(cc.as_ref(), "").args(options).status();
    assert!(local.unwrap().success());
    let dependencies = bench.read("x.d");
    fs::remove_file(bench.path("work/x.d")).unwrap();
    let (output, log) = bench.run(&server.token, &[&[cc.as_str()][..], &options].concat());
    assert!(output.status.success() && log.contains("completed ok"), "{log}");
    let here = bench.path("work").into_os_string().into_encoded_bytes();
    assert!(bench.read("out.o").windows(here.len()).any(|window| window == here));
    assert_eq!(text(&bench.read("x.d")), text(&dependencies));
}

#[test]
fn targets_keep_their_nature() {
    let bench = Bench::new();
    bench.write("x.c", HELLO);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let (output, log) = bench.run(&server.token, &["gcc", "-c", "x.c", "-o", "/dev/null"]);
    assert!(output.status.success() && log.contains("completed ok"), "{log}");
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let mut shell = bench.program("sh".as_ref(), &server.token);
    let distcc = env!("CARGO_BIN_EXE_distcc");
    let status = shell.args(["-c", &format!("umask 0; exec {distcc} gcc -c x.c")]).status();
    assert!(status.unwrap().success());
    let mode = fs::metadata(bench.path("work/x.o")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o666);
}

#[test]
fn the_next_host_takes_what_a_dead_one_did_not() {
    let bench = Bench::new();
    bench.write("x.c", HELLO);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let hosts = format!("no.such.host.invalid 127.0.0.1:1 {}", server.token);
    let (output, log) = bench.run(&hosts, &["gcc", "-c", "x.c"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
    assert!(log.contains("failed to distribute x.c to 127.0.0.1:1"), "{log}");
    assert!(log.contains(&format!("compile x.c on {} completed ok", server.token)), "{log}");
}

#[test]
fn without_any_host_it_is_compiled_here_unless_that_is_forbidden() {
    let bench = Bench::new();
    bench.write("x.c", HELLO);
    let (output, log) = bench.run("127.0.0.1:1", &["gcc", "-c", "x.c"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stderr) + &text(&output.stdout), "");
    let line = log.lines().find(|line| line.contains("running locally instead")).unwrap();
    assert!(line.contains("failed to distribute"), "{line}");
    let mut command = bench.distcc("127.0.0.1:1");
    let output = command.env("DISTCC_FALLBACK", "0").args(["gcc", "-c", "x.c"]).output().unwrap();
    assert_eq!(output.status.code(), Some(116));
    assert!(text(&output.stderr).contains("fallbacks are disabled"));
}

#[test]
fn fifty_clients_at_once_wait_for_their_turn() {
    let bench = Bench::new();
    bench.write("x.c", HELLO);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let hosts = format!("{}/2,lzo", server.token);
    let start = || bench.distcc(&hosts).args(["gcc", "-c", "x.c"]).spawn().unwrap();
    let clients: Vec<_> = (0..50).map(|_| start()).collect();
    for mut client in clients {
        assert!(client.wait().unwrap().success());
    }
    bench.assert_tidy();
}
