//! The ways to call the client, and what it does by itself.

use std::os::unix::fs::symlink;
use std::{env, fs, thread};

use crate::bench::{Bench, StockServer, text};

const SOURCE: &str = "int x;\n";

#[test]
fn the_compiler_may_be_left_out() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    let (output, log) = bench.run(&server.token, &["-c", "x.c"]);
    assert!(output.status.success());
    assert!(log.contains("completed ok"), "{log}");
    assert!(!bench.read("x.o").is_empty());
}

#[test]
fn a_link_by_a_compilers_name_finds_the_real_one() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    fs::create_dir(bench.path("masq")).unwrap();
    symlink(env!("CARGO_BIN_EXE_distcc"), bench.path("masq/gcc")).unwrap();
    symlink("masq", bench.path("alias")).unwrap();
    let root = bench.path("");
    let path = format!("{0}//masq/:/usr/bin:/bin", root.display());
    for program in ["masq/gcc", "masq//gcc", "alias/gcc"] {
        let log = bench.path("log");
        let _ = fs::remove_file(&log);
        let mut command = bench.program(&bench.path(program), &server.token);
        command.env("PATH", &path).env("DISTCC_LOG", &log).args(["-c", "x.c"]);
        assert!(command.status().unwrap().success(), "{program}");
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains("completed ok"), "{program}: {log}");
    }
    let mut shell = bench.program("/bin/sh".as_ref(), &server.token);
    let status = shell.env("PATH", &path).args(["-c", "gcc -c x.c"]).status().unwrap();
    assert!(status.success());
}

#[test]
fn calling_itself_ends_at_once() {
    let bench = Bench::new();
    let mut command = bench.distcc("127.0.0.1:1");
    command.env("_DISTCC_SAFEGUARD", "1").args(["gcc", "-c", "x.c"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(111));
    assert!(text(&output.stderr).contains("invoked itself recursively"));
}

#[test]
fn what_is_no_compile_is_the_compilers_own_affair() {
    let bench = Bench::new();
    bench.write("x.c", "int main(void) { return 3; }\n");
    let (output, _) = bench.run("127.0.0.1:1", &["gcc", "x.c", "-o", "x"]);
    assert!(output.status.success());
    assert_eq!(bench.program(&bench.path("work/x"), "").status().unwrap().code(), Some(3));
    let (output, _) = bench.run("localhost", &["gcc", "--help"]);
    assert!(text(&output.stdout).starts_with("Usage: gcc"));
    let (output, _) = bench.run("127.0.0.1:1", &["gcc", "--bogus-option"]);
    assert_eq!(output.status.code(), Some(1));
    let (output, _) = bench.run("127.0.0.1:1", &["gcc", "-E", "x.c", "-o", "x.i"]);
    assert!(output.status.success() && text(&bench.read("x.i")).contains("main"));
}

#[test]
fn an_empty_host_list_is_worth_a_warning_and_a_compile_here() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let output = bench.distcc("").args(["gcc", "-c", "x.c"]).output().unwrap();
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    let warning = stderr.lines().find(|line| line.contains("Warning")).unwrap();
    assert!(warning.contains("$DISTCC_HOSTS"), "{warning}");
    assert!(warning.contains("can't distribute work"), "{warning}");
}

#[test]
fn a_faulty_hosts_file_is_named_with_its_line() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    fs::write(bench.path("distcc/hosts"), "# ours\nbeech:port\n").unwrap();
    let mut command = bench.distcc("");
    let output = command.env_remove("DISTCC_HOSTS").args(["gcc", "-c", "x.c"]).output().unwrap();
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("distcc/hosts:2: beech:port: expected"), "{stderr}");
}

#[test]
fn a_hosts_file_that_cannot_be_read_is_named() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    fs::create_dir(bench.path("distcc/hosts")).unwrap();
    let mut command = bench.distcc("");
    let output = command.env_remove("DISTCC_HOSTS").args(["gcc", "-c", "x.c"]).output().unwrap();
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("distcc/hosts: Is a directory"), "{stderr}");
}

#[test]
fn a_log_that_cannot_be_opened_does_not_stop_the_compile() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let mut command = bench.distcc("127.0.0.1:1");
    let output = command.env("DISTCC_LOG", "/nonexistent/log").args(["gcc", "-c", "x.c"]).output();
    let output = output.unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("failed to open logfile"));
}

#[test]
fn a_policy_keeps_static_hosts_out_where_no_agent_can_apply_it() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    let Some(server) = StockServer::start_v4(&bench) else { return };
    fs::write(bench.path("distcc/policy.toml"), "").unwrap();
    let (output, log) = bench.run(&server.token, &["gcc", "-c", "x.c"]);
    assert!(output.status.success());
    assert!(log.contains("only the agent can apply"), "{log}");
    assert!(!log.contains("completed ok\n") || log.contains("localhost completed ok"), "{log}");
}

#[test]
fn questions_about_itself_are_answered() {
    let bench = Bench::new();
    let (output, _) = bench.run("a:1/3 [::1]/2,lzo localhost", &["--show-hosts"]);
    assert_eq!(text(&output.stdout), "a:1/3\n[::1]/2,lzo\nlocalhost\n");
    let (output, _) = bench.run("a:1/300 [::1]/2,lzo localhost", &["-j"]);
    assert_eq!(text(&output.stdout), "304\n");
    for word in ["--help", "--version"] {
        let (output, _) = bench.run("", &[word]);
        assert!(output.status.success() && output.stdout.ends_with(b"\n"));
        assert_eq!(text(&output.stderr), "");
    }
    let (output, _) = bench.run("", &[]);
    assert_eq!(output.status.code(), Some(101));
}

#[test]
fn make_is_told_at_least_the_cores_of_this_machine() {
    let bench = Bench::new();
    let cores = thread::available_parallelism().unwrap();
    for hosts in ["", "+zeroconf", "beech:1/0", "bee:ch:port"] {
        let (output, _) = bench.run(hosts, &["-j"]);
        assert_eq!(text(&output.stdout), format!("{cores}\n"), "{hosts:?}");
        assert!(output.status.success());
    }
    let mut unset = bench.distcc("");
    let output = unset.env_remove("DISTCC_HOSTS").arg("-j").output().unwrap();
    assert!(text(&output.stdout).trim().parse::<usize>().unwrap() >= cores.get());
}

#[test]
fn a_question_that_only_an_agent_could_answer_fails_without_one() {
    let bench = Bench::new();
    for (hosts, words, code, shown) in [
        ("a:1", &["--show-hosts"][..], 0, "a:1\n"),
        ("a:1 +zeroconf", &["--show-hosts"], 100, "a:1\n+zeroconf\n"),
        ("a:1", &["--show-hosts", "--why"], 100, ""),
    ] {
        let output = bench.distcc(hosts).args(words).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{hosts} {words:?}: {stderr}");
        assert_eq!(text(&output.stdout), shown);
        assert_eq!(stderr.contains("only the agent"), code != 0, "{stderr}");
    }
}

#[test]
fn zeroconf_without_any_agent_is_told_to_the_user_once() {
    let bench = Bench::new();
    bench.write("x.c", SOURCE);
    bench.script("bin/distccd", "exit 7");
    fs::copy(env!("CARGO_BIN_EXE_distcc"), bench.path("bin/distcc")).unwrap();
    let said = |hosts: &str| {
        let mut command = bench.program(&bench.path("bin/distcc"), hosts);
        command.env_remove("DISTCC_AGENT").env("DISTCC_LOG", bench.path("log"));
        let output = command.args(["gcc", "-c", "x.c"]).output().unwrap();
        assert!(output.status.success());
        text(&output.stderr)
    };
    assert_eq!(said("127.0.0.1:1"), "");
    let first = said("+zeroconf");
    let warning = "Warning: cannot start the agent (distccd --agent exited with 7): everything is \
                   compiled here\n";
    assert!(first.starts_with("distcc[") && first.ends_with(warning), "{first}");
    assert_eq!(said("+zeroconf"), "");
    fs::remove_file(bench.path("distcc/no-agent-told")).unwrap();
    let listed = said("127.0.0.1:1 +zeroconf");
    assert!(
        listed.ends_with("(distccd --agent exited with 7): +zeroconf finds no hosts\n"),
        "{listed}"
    );
}
