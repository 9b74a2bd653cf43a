//! Sockets and words of systemd, first by hand, then by its own program.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;

use super::{PATIENCE, Running, assert_compiles, distccd, log_option, server_log, serving};
use crate::bench::{Bench, text};
use crate::skip::skip;

const ACTIVATE: &str = "/usr/bin/systemd-socket-activate";

/// `command`, given these descriptors as systemd gives them.
fn given(fds: &[OwnedFd], command: &Command) -> Command {
    let mut redirected = String::new();
    for (number, fd) in (3..).zip(fds) {
        fcntl(fd.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        redirected += &format!(" {number}<&{}", fd.as_raw_fd());
    }
    let script = format!(
        "export LISTEN_PID=$$ LISTEN_FDS={} SYSTEMD_EXEC_PID=$$; exec \"$@\"{redirected}",
        fds.len()
    );
    let mut shell = Command::new("/bin/bash");
    shell.args(["-c", &script, "bash"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    shell
}

/// What systemd would hear.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        // The daemon gives up root.
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message that begins like this.
    fn hears(&self, beginning: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let n_bytes = self.0.recv(&mut buffer).unwrap_or_else(|_| panic!("no {beginning}"));
            let message = text(&buffer[..n_bytes]);
            if message.starts_with(beginning) {
                return message;
            }
        }
    }
}

#[test]
fn every_socket_of_systemd_is_served_and_it_hears_of_start_reload_life_and_end() {
    let bench = Bench::new();
    let manager = Manager::listen(&bench.path("server/notify"));
    let listeners = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)]
        .map(|addr| TcpListener::bind((addr, 0)).unwrap());
    let addrs = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    // It does not go to the background, as it would without systemd.
    let mut command =
        distccd(&bench, &["--daemon", "--port", "1", "--allow", "127.0.0.1", &log_option(&bench)]);
    command.env("NOTIFY_SOCKET", bench.path("server/notify")).env("WATCHDOG_USEC", "200000");
    let mut server = Running(
        given(&listeners.map(OwnedFd::from), &command).stdout(Stdio::null()).spawn().unwrap(),
    );
    let ready = manager.hears("READY=1");
    assert!(ready.contains("\nSTATUS=serving gcc"), "{ready}");
    for addr in addrs {
        assert_compiles(&bench, &addr.to_string());
    }
    for number in [3, 4] {
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", server.pid())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        assert!(flags & 0o2_000_000 != 0, "compilers would inherit socket {number}: {info}");
    }
    server.signal(Signal::SIGHUP);
    assert!(manager.hears("RELOADING=1").contains("\nMONOTONIC_USEC="));
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    server.signal(Signal::SIGTERM);
    manager.hears("STOPPING=1");
    assert!(server.0.wait().unwrap().success());
    let log = server_log(&bench);
    let [one, two] = addrs;
    let note = format!("--port and --listen are ignored: systemd gave {one} {two}\n");
    assert!(log.contains(&note), "{log}");
}

#[test]
fn what_is_no_listening_tcp_socket_is_not_served() {
    let bench = Bench::new();
    let command = distccd(&bench, &["--daemon", &log_option(&bench)]);
    let null = File::open("/dev/null").unwrap();
    let output = given(&[null.into()], &command).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(102), "{said}");
    let expected = "distccd: cannot use the sockets of systemd: descriptor 3: ";
    assert!(said.starts_with(expected) && said.lines().count() == 1, "{said}");
}

#[test]
fn check_tells_of_the_sockets_that_systemd_gave() {
    let bench = Bench::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let command = distccd(&bench, &["--check", "--port", "1", &log_option(&bench)]);
    let output = given(&[listener.into()], &command).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{said}");
    for line in [
        format!("note: --port and --listen are ignored: systemd gave {addr}"),
        format!("port: {} of {}; systemd gave its socket", addr.port(), addr.ip()),
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
}

#[test]
fn systemd_s_own_program_starts_the_server_with_the_first_client() {
    if !Path::new(ACTIVATE).exists() {
        return skip("systemd-socket-activate is not installed");
    }
    let bench = Bench::new();
    let (mut server, port) = serving(|port| {
        let daemon = distccd(&bench, &["--daemon", &log_option(&bench)]);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        let mut activate = bench.program(Path::new(ACTIVATE), "");
        activate.args(["--listen", &addr]);
        activate.arg("--setenv").arg(format!("TMPDIR={}", bench.path("server").display()));
        activate.arg(daemon.get_program()).args(daemon.get_args());
        activate.stdout(Stdio::null()).stderr(Stdio::null());
        activate
    });
    assert_compiles(&bench, &format!("127.0.0.1:{port}"));
    assert!(server_log(&bench).contains(&format!("on port {port} of 127.0.0.1")));
    // It is the same process still.
    server.signal(Signal::SIGTERM);
    assert!(server.0.wait().unwrap().success());
}
