//! Where the log goes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::thread;

use nix::sys::signal::Signal;

use super::{
    PATIENCE, WORDS, assert_compiles, compiled, distccd, log_option, server_log, serving, until,
};
use crate::bench::{Bench, text};

#[test]
fn syslog_gets_a_line_for_each_job() {
    let bench = Bench::new();
    let path = bench.path("server/syslog");
    let syslog = UnixDatagram::bind(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    let option = format!("--log-syslog={}", path.display());
    let (server, port) = serving(|port| {
        let port = port.to_string();
        let options = ["--no-detach", "--listen", "127.0.0.1", &option, "--port", &port];
        let mut server = distccd(&bench, &options);
        server.stdout(Stdio::null());
        server
    });
    assert_compiles(&bench, &format!("127.0.0.1:{port}"));
    let beginning = format!("<29>distccd[{}]: (dcc_job_summary) client: 127.0.0.1:", server.pid());
    loop {
        let mut buffer = [0; 4096];
        let n_bytes = syslog.recv(&mut buffer).expect("no line of the job");
        let line = text(&buffer[..n_bytes]);
        if line.starts_with(&beginning) {
            assert!(line.contains(" COMPILE_OK exit:0 sig:0 core:0 ret:0 time:"), "{line}");
            break;
        }
    }
}

#[test]
fn a_log_that_is_rotated_under_running_jobs_loses_and_splits_no_line() {
    const JOBS: usize = 24;
    let bench = Bench::new();
    let (server, port) = serving(|port| {
        let port = port.to_string();
        let log = log_option(&bench);
        let options = ["--no-detach", "--listen", "127.0.0.1", &log, "--port", &port];
        let mut server = distccd(&bench, &options);
        server.stdout(Stdio::null());
        server
    });
    let log = bench.path("server/log");
    until("it serves", || server_log(&bench).contains(" serving "));
    let mut rotated = Vec::new();
    thread::scope(|scope| {
        let jobs = scope.spawn(|| {
            for _ in 0..JOBS {
                let mut client = bench.distcc(&format!("127.0.0.1:{port}"));
                client.env("DISTCC_FALLBACK", "0");
                compiled(&bench, client, &WORDS);
            }
        });
        while !jobs.is_finished() {
            let old = bench.path(&format!("server/log.{}", rotated.len()));
            fs::rename(&log, &old).unwrap();
            rotated.push(old);
            server.signal(Signal::SIGHUP);
            until("there is a new log", || log.exists());
        }
    });
    rotated.push(log);
    // The last line is written after its answer.
    let all = || -> String {
        rotated.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
    };
    until("all jobs are there", || all().matches(" COMPILE_OK ").count() == JOBS);
    println!("{} logs", rotated.len());
    assert!(rotated.len() > 2);
    for line in all().lines() {
        let (_, rest) = line.split_once(' ').expect("a time");
        assert!(rest.starts_with("distccd[") && rest.contains("] ("), "{line}");
    }
}
