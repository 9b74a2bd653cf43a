//! A real systemd, the first process of namespaces of its own, with our unit files.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd::geteuid;

use super::{assert_compiles_from, until};
use crate::bench::{Bench, text};
use crate::skip::skip;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
const BOOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/running/boot.sh");

/// A machine that has booted.
struct Machine {
    unshare: Child,
    /// systemd, as this machine sees it.
    pid: u32,
    cgroup: String,
    bench: Bench,
}

impl Machine {
    fn boot() -> Self {
        let bench = Bench::new();
        let cgroup = format!("distccd-test-{}", std::process::id());
        let empty = bench.path("cgroup");
        fs::create_dir(&empty).unwrap();
        let mut unshare = Command::new("/usr/bin/unshare")
            .args(["--mount", "--pid", "--fork", "--mount-proc", "--ipc", "--uts", "--net"])
            .args(["--kill-child", BOOT, CONFIG, env!("CARGO_BIN_EXE_distccd"), &cgroup])
            .arg(empty)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let child = || fs::read_to_string(&children).ok()?.trim().parse().ok();
        until("it is there", || child().is_some() || unshare.try_wait().unwrap().is_some());
        let pid = child().expect("the machine ended");
        let machine = Self { unshare, pid, cgroup, bench };
        until("it has booted", || {
            assert!(Path::new(&format!("/proc/{pid}")).exists(), "the machine ended");
            text(&machine.systemctl(&["is-system-running"]).stdout) == "running\n"
        });
        machine
    }

    /// Runs a command there.
    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("/usr/bin/timeout");
        command.args(["60", "nsenter", "--target", &self.pid.to_string()]);
        command.args(["--mount", "--pid", "--ipc", "--uts", "--net", "--"]).args(words);
        // It has another root directory than the first process that nsenter knows of.
        command.env("SYSTEMD_IGNORE_CHROOT", "1").stdin(Stdio::null());
        command.output().unwrap()
    }

    fn systemctl(&self, words: &[&str]) -> Output {
        self.run(&[&["systemctl"], words].concat())
    }

    #[track_caller]
    fn does(&self, words: &[&str]) {
        let output = self.systemctl(words);
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.journal());
    }

    /// A property of the service.
    fn property(&self, name: &str) -> String {
        let output = self.systemctl(&["show", "--value", "--property", name, "distccd.service"]);
        text(&output.stdout).trim_end().to_owned()
    }

    /// Of the service, each line with its priority.
    fn journal(&self) -> String {
        let words = ["journalctl", "--unit", "distccd.service", "--output", "json"];
        text(&self.run(&[&words[..], &["--output-fields=PRIORITY,MESSAGE"]].concat()).stdout)
    }

    /// `distccd --check` finds no fault there, and says this of the port.
    #[track_caller]
    fn assert_checks(&self, expected: &str) {
        let output = self.run(&["/usr/local/bin/distccd", "--check"]);
        let said = text(&output.stdout);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let expected = format!("\nport: 3632 of all addresses; {expected}");
        assert!(said.contains(&expected), "{said}");
    }

    /// Clients there get what a local compile makes.
    fn assert_compiles(&self) {
        let net = format!("--net=/proc/{}/ns/net", self.pid);
        assert_compiles_from(&self.bench, &["/usr/bin/nsenter", &net], "127.0.0.1");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With unshare ends its child, and with that one all others.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let script = "mount -t cgroup2 cgroup2 \"$1\" && \
                      exec find \"$1/$2\" -depth -type d -exec rmdir {} +";
        // The kernel needs a moment to empty them.
        for _ in 0..100 {
            let removed = Command::new("/usr/bin/unshare")
                .args(["--mount", "sh", "-c", script, "sh"])
                .arg(self.bench.path("cgroup"))
                .arg(&self.cgroup)
                .stderr(Stdio::null())
                .status();
            if removed.is_ok_and(|status| status.success()) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn our_units_work_under_a_real_systemd_with_and_without_the_socket() {
    if !geteuid().is_root() {
        return skip("a systemd of the test's own needs root");
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return skip("systemd is not installed");
    }
    let machine = Machine::boot();
    machine.does(&["start", "systemd-journald.service"]);
    machine.does(&["start", "distccd.socket"]);
    assert_eq!(machine.property("ActiveState"), "inactive");
    machine.assert_checks("systemd listens there, for its service");
    machine.assert_compiles();
    machine.assert_checks("a distccd serves it now (process ");
    assert_eq!(machine.property("ActiveState"), "active");
    let status = machine.property("StatusText");
    assert!(status.starts_with("serving gcc"), "{status}");
    assert!(status.contains("(3 jobs) on port 3632 to 127.0.0.1"), "{status}");
    assert!(status.ends_with("; log in the journal"), "{status}");
    machine.does(&["reload", "distccd.service"]);
    assert_eq!(machine.property("ActiveState"), "active");
    until("the journal has the job", || machine.journal().contains(" COMPILE_OK "));
    let journal = machine.journal();
    let job = journal.lines().find(|line| line.contains(" COMPILE_OK ")).unwrap();
    assert!(job.contains("\"PRIORITY\":\"5\""), "{job}");
    assert!(job.contains("\"MESSAGE\":\"(dcc_job_summary) client: "), "{job}");
    machine.does(&["stop", "distccd.socket", "distccd.service"]);
    assert_eq!(machine.property("Result"), "success");
    machine.does(&["start", "distccd.service"]);
    machine.assert_compiles();
    machine.does(&["stop", "distccd.service"]);
    assert_eq!(machine.property("Result"), "success");
}

#[test]
fn systemd_finds_no_fault_with_our_units() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return skip("systemd-analyze is not installed");
    }
    let bench = Bench::new();
    for unit in ["distccd.service", "distccd.socket"] {
        let text = fs::read_to_string(format!("{CONFIG}/systemd/{unit}")).unwrap();
        let service = format!("{CONFIG}/distccd-service");
        let text = text.replace("/usr/local/lib/distcc-zeroconf/distccd-service", &service);
        fs::write(bench.path(&format!("work/{unit}")), text).unwrap();
    }
    let mut verify = bench.program(Path::new("/usr/bin/systemd-analyze"), "");
    let output = verify.args(["verify", "distccd.socket", "distccd.service"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn scripts_of_services_are_shell() {
    for script in ["distccd-service", "openrc/distccd"] {
        let output =
            Command::new("/bin/sh").arg("-n").arg(format!("{CONFIG}/{script}")).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}
