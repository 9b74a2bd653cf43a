//! inetd and xinetd: a server for each client, which is its standard input, output and error.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::thread;

use nix::unistd::{User, geteuid};

use super::{assert_compiles, distccd, log_option, server_log, serving};
use crate::bench::{Bench, text};
use crate::skip::skip;

const XINETD: &str = "/usr/sbin/xinetd";

/// As inetd does: all three standard descriptors are the client.
fn served(bench: &Bench, options: &[&str], client: TcpStream) -> Child {
    let fds = [(); 3].map(|()| OwnedFd::from(client.try_clone().unwrap()));
    let [input, output, error] = fds;
    let mut command = distccd(bench, options);
    command.stdin(input).stdout(output).stderr(error).spawn().unwrap()
}

/// Connects and closes at its end, however the test ends.
struct Last(SocketAddr);

impl Drop for Last {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.0));
    }
}

#[test]
fn a_client_on_standard_input_is_served_also_without_an_option() {
    let bench = Bench::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // A connection without a byte is the last.
            while let Ok((client, _)) = listener.accept() {
                if client.peek(&mut [0]).is_ok_and(|n_bytes| n_bytes == 0) {
                    return;
                }
                let ended = served(&bench, &[&log_option(&bench)], client).wait();
                assert!(ended.unwrap().success());
            }
        });
        let _last = Last(addr);
        assert_compiles(&bench, &addr.to_string());
    });
    let log = server_log(&bench);
    assert!(log.contains("(dcc_job_summary) client: 127.0.0.1:"), "{log}");
}

#[test]
fn what_is_wrong_is_not_told_to_the_client_as_its_answer() {
    let bench = Bench::new();
    for options in [&["--inetd", "--bogus-option"][..], &["--inetd", "--allow", "office"]] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = served(&bench, options, listener.accept().unwrap().0);
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(text(&answer), "");
        assert_eq!(server.wait().unwrap().code(), Some(101), "{options:?}");
    }
}

/// Our service file, made to fit the test.
fn xinetd_config(bench: &Bench, port: u16) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/xinetd/distccd");
    let mut service = fs::read_to_string(file).unwrap();
    let user = User::from_uid(geteuid()).unwrap().unwrap().name;
    let server = format!(
        "--inetd {} --state-dir {}\n    env = TMPDIR={} PATH=/usr/bin:/bin\n    interface = 127.0.0.1",
        log_option(bench),
        bench.path("server/state").display(),
        bench.path("server").display(),
    );
    for (theirs, ours) in [
        ("= 3632", format!("= {port}")),
        ("/usr/local/bin/distccd", env!("CARGO_BIN_EXE_distccd").to_owned()),
        ("--inetd --log-syslog", server),
        ("= root", format!("= {user}")),
        ("SYSLOG daemon", format!("FILE {}", bench.path("server/xinetd.log").display())),
    ] {
        assert!(service.contains(theirs), "{theirs}");
        service = service.replace(theirs, &ours);
    }
    service
}

#[test]
fn xinetd_starts_a_server_for_each_job() {
    if !Path::new(XINETD).exists() {
        return skip("xinetd is not installed");
    }
    let bench = Bench::new();
    let config = bench.path("server/xinetd.conf");
    let (_xinetd, port) = serving(|port| {
        fs::write(&config, xinetd_config(&bench, port)).unwrap();
        let mut xinetd = bench.program(Path::new(XINETD), "");
        xinetd.args(["-dontfork", "-f"]).arg(&config);
        xinetd.arg("-pidfile").arg(bench.path("server/xinetd.pid"));
        xinetd
    });
    for _ in 0..2 {
        assert_compiles(&bench, &format!("127.0.0.1:{port}"));
    }
    let log = server_log(&bench);
    assert!(log.contains(" COMPILE_OK exit:0 "), "{log}");
}
