//! The client's environment: what each variable does to a compile, and the exit codes.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;

use crate::bench::{Bench, StockServer, text};

fn compile(bench: &Bench, hosts: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = bench.distcc(hosts);
    command.envs(variables.iter().copied()).args(["gcc", "-c", "x.c"]).output().unwrap()
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("x.c", "int x;\n");
    bench
}

#[test]
fn failures_of_ours_have_the_originals_exit_codes() {
    let bench = bench();
    let nobody = "127.0.0.1:1";
    for (code, variables, words, said) in [
        (101, &[][..], &[][..], "missing option/operand"),
        (101, &[("DISTCC_IO_TIMEOUT", "0")], &["gcc", "-c", "x.c"], "$DISTCC_IO_TIMEOUT: \"0\""),
        (101, &[("DISTCC_IO_TIMEOUT", "-1")], &["gcc", "-c", "x.c"], "a number of seconds, 1 or"),
        (0, &[("DISTCC_IO_TIMEOUT", "0")], &["gcc", "-E", "x.c"], ""),
        (110, &[("DISTCC_FALLBACK", "0")], &["nosuchcc", "-c", "x.i"], "failed to exec nosuchcc"),
        (110, &[], &["/no/such/gcc", "--version"], "failed to exec /no/such/gcc"),
        (111, &[("_DISTCC_SAFEGUARD", "1")], &["gcc", "-c", "x.c"], "invoked itself recursively"),
        (116, &[("DISTCC_FALLBACK", "0")], &["gcc", "-c", "x.c"], "fallbacks are disabled"),
        (100, &[], &["--scan-includes", "gcc", "-c", "x.c"], "'--scan_includes' specified"),
        (1, &[("DISTCC_FALLBACK", "0")], &["gcc", "x.o", "-o", "x"], ""),
        (137, &[], &["sh", "-c", "kill -KILL $$"], ""),
    ] {
        let mut command = bench.distcc(nobody);
        let output = command.envs(variables.iter().copied()).args(words).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
    }
}

#[test]
fn a_missing_compiler_is_told_on_standard_error_even_with_a_log() {
    let bench = bench();
    let (output, log) = bench.run("127.0.0.1:1", &["nosuchcc", "-c", "x.c"]);
    assert_eq!(output.status.code(), Some(110));
    assert!(text(&output.stderr).contains("failed to exec") && log.contains("failed to exec"));
}

#[test]
fn no_fallback_never_means_no_link() {
    let bench = bench();
    bench.write("m.c", "int main(void) { return 0; }\n");
    let mut command = bench.distcc("127.0.0.1:1");
    let status = command.env("DISTCC_FALLBACK", "0").args(["gcc", "m.c", "-o", "m"]).status();
    assert!(status.unwrap().success());
}

#[test]
fn values_that_are_neither_0_nor_1_mean_the_default_and_nobody_is_told() {
    let bench = bench();
    for (variable, value) in [
        ("DISTCC_FALLBACK", "no"),
        ("DISTCC_VERBOSE", "yes"),
        ("DISTCC_SAVE_TEMPS", "2"),
        ("DISTCC_TCP_CORK", "0"),
        ("DISTCC_PRINCIPAL", "me"),
        ("DISTCC_ENABLE_DISCREPANCY_EMAIL", "1"),
        ("INCLUDE_SERVER_PORT", "/tmp/x"),
    ] {
        let output = compile(&bench, "127.0.0.1:1", &[(variable, value)]);
        assert!(output.status.success(), "{variable}");
        assert_eq!(text(&output.stderr), "", "{variable}");
        bench.assert_tidy();
    }
}

#[test]
fn messages_go_where_they_are_wanted() {
    let bench = bench();
    let nobody = "127.0.0.1:1";
    let detour = "failed to distribute, running locally instead";
    let log = bench.path("log");
    let said = || fs::read_to_string(&log).unwrap();
    let log_name = log.to_str().unwrap();
    assert_eq!(text(&compile(&bench, nobody, &[]).stderr), "");
    let mut with_agent = bench.distcc(nobody);
    with_agent.env_remove("DISTCC_AGENT").env("DISTCC_AGENT_IDLE", "1").args(["gcc", "-c", "x.c"]);
    assert_eq!(text(&with_agent.output().unwrap().stderr), "");
    let told = text(&with_agent.env("DISTCC_VERBOSE", "1").output().unwrap().stderr);
    assert_eq!(told.matches(detour).count(), 1, "{told}");
    let verbose = ("DISTCC_VERBOSE", "1");
    assert!(text(&compile(&bench, nobody, &[verbose]).stderr).contains(detour));
    let empty = compile(&bench, nobody, &[verbose, ("DISTCC_LOG", "")]);
    assert!(text(&empty.stderr).contains(detour));
    let apart = compile(&bench, nobody, &[verbose, ("DISTCC_LOG", log_name)]);
    assert_eq!(text(&apart.stderr), "");
    assert!(said().contains(detour));
    fs::remove_file(&log).unwrap();
    // As ccache does: a descriptor, which counts only without a log.
    let cached = bench.path("cached");
    let distcc = env!("CARGO_BIN_EXE_distcc");
    for (log_variable, to_cached) in [("", true), (log_name, false)] {
        let mut shell = bench.program("/bin/sh".as_ref(), nobody);
        shell.env("UNCACHED_ERR_FD", "7").env("DISTCC_VERBOSE", "1");
        shell.env("DISTCC_LOG", log_variable);
        let script = format!("exec 7> {}; exec {distcc} gcc -c x.c", cached.display());
        let output = shell.args(["-c", &script]).output().unwrap();
        assert_eq!(text(&output.stderr), "");
        assert_eq!(fs::read_to_string(&cached).unwrap().contains(detour), to_cached);
    }
    assert!(said().contains(detour));
    let bad = compile(&bench, nobody, &[("DISTCC_LOG", "/no/such/log")]);
    assert!(bad.status.success());
    assert!(text(&bad.stderr).contains("failed to open logfile /no/such/log"));
}

#[test]
fn a_host_that_answers_nothing_is_given_up_in_time() {
    let bench = bench();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let token = silent.local_addr().unwrap().to_string();
    let log = bench.path("log");
    let variables = [("DISTCC_IO_TIMEOUT", "1"), ("DISTCC_LOG", log.to_str().unwrap())];
    let output = compile(&bench, &token, &variables);
    assert!(output.status.success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("waiting for the answer failed: timed out"), "{log}");
}

#[test]
fn without_a_backoff_period_a_failed_host_is_tried_by_the_next_job_and_none_goes_on_for_ever() {
    let bench = bench();
    for (period, tried) in [("0", true), ("60", false)] {
        for round in 0..2 {
            let log = bench.path("log");
            let _ = fs::remove_file(&log);
            let variables =
                [("DISTCC_BACKOFF_PERIOD", period), ("DISTCC_LOG", log.to_str().unwrap())];
            let output = compile(&bench, "127.0.0.1:1 127.0.0.1:2", &variables);
            assert!(output.status.success());
            let log = fs::read_to_string(log).unwrap();
            let n_tries = log.matches("failed to distribute x.c to").count();
            assert_eq!(n_tries, if tried || round == 0 { 2 } else { 0 }, "{period}: {log}");
        }
    }
}

#[test]
fn preprocessed_sources_are_kept_when_asked_for() {
    let bench = bench();
    let Some(server) = StockServer::start_v4(&bench) else { return };
    assert!(compile(&bench, &server.token, &[("DISTCC_SAVE_TEMPS", "1")]).status.success());
    let kept = fs::read_dir(bench.path("tmp")).unwrap().next().unwrap().unwrap().path();
    let mut text = String::new();
    File::open(kept).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("int x;"), "{text}");
}
