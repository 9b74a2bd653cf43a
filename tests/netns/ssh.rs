//! Hosts reached by ssh: a real sshd on a host of the lab, with keys of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::farm::{
    Compile, DEADLINE, QUICK, client, client_log, installed, ran_on, said, serve, serve_stock,
    slow_source, text, write,
};
use crate::jobs::{Jobs, count, daemon_log};
use crate::lab::{Host, Lab, wait_for};
use crate::processes::{assert_clean, compilers_at_work, end_of, leftovers, send};
use crate::why::Why;

const SSHD: &str = "/usr/sbin/sshd";
const STOCK_SERVER: &str = "/usr/bin/distccd";
const STOCK_CLIENT: &str = "/usr/bin/distcc";
/// What makes a test wait for keys, sshd and ssh.
const NEEDED: [&str; 3] = [SSHD, "/usr/bin/ssh", "/usr/bin/ssh-keygen"];

/// The client's files of ssh: `config` names the hosts, `key` is let in.
fn ssh_dir(host: &Host) -> PathBuf {
    host.dir("ssh")
}

#[track_caller]
fn key(file: &Path) -> String {
    said(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file));
    fs::read_to_string(file.with_extension("pub")).unwrap()
}

/// sshd's log on this host.
fn sshd_log(host: &Host) -> String {
    text(&fs::read(host.dir("log/sshd.log")).unwrap_or_default())
}

/// Connections that sshd has let in.
fn accepted(host: &Host) -> usize {
    count(&sshd_log(host), "Accepted publickey")
}

/// A lab with two hosts or more; the first has the key to all of the others, each of which runs
/// sshd and is called by its name in the first one's configuration of ssh.
fn lab(hosts: usize) -> Option<Lab> {
    if !installed(&NEEDED) {
        return None;
    }
    let mut lab = Lab::new(hosts)?;
    let dir = ssh_dir(lab.host(1));
    fs::create_dir(&dir).unwrap();
    let public = key(&dir.join("key"));
    key(&dir.join("wrong_key"));
    let mut config = format!(
        "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel INFO\n\
         IdentitiesOnly yes\nIdentityFile {}\n",
        dir.join("key").display()
    );
    for number in 2..=hosts {
        let host = lab.host(number);
        start_sshd(host, &public);
        config += &format!("Host {}\n  HostName {}\n", host.name(), host.addr());
    }
    fs::write(dir.join("config"), config).unwrap();
    Some(lab)
}

/// Starts sshd; whoever has the key becomes the user that runs the tests.
fn start_sshd(host: &Host, public: &str) {
    let dir = host.dir("ssh");
    fs::create_dir(&dir).unwrap();
    key(&dir.join("host_key"));
    fs::write(dir.join("authorized"), public).unwrap();
    fs::set_permissions(host.dir("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let variable = |name: &str| {
        let said = said(host.command("sh").args(["-c", &format!("echo ${name}")]));
        format!("{name}={said}")
    };
    let variables = ["PATH", "TMPDIR", "STATE_DIRECTORY"].map(variable).join(" ");
    let config = format!(
        "HostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPidFile none\nMaxStartups 100\nSetEnv {variables}\n",
        dir.display()
    );
    fs::write(dir.join("sshd_config"), config).unwrap();
    said(host.command("mkdir").args(["-p", "/run/sshd"]));
    let mut sshd = host.command(SSHD);
    sshd.arg("-f").arg(dir.join("sshd_config")).arg("-E").arg(host.dir("log/sshd.log"));
    said(&mut sshd);
}

/// The client's `$DISTCC_SSH`.
fn program(host: &Host) -> String {
    format!("ssh -F '{}'", ssh_dir(host).join("config").display())
}

/// Our client with the key.
fn distcc(host: &Host, hosts: &str, words: &[&str]) -> Command {
    let mut command = client(host, hosts, words);
    command.env("DISTCC_SSH", program(host)).env("DISTCC_VERBOSE", "1");
    command
}

/// Compiles a new source, which must succeed without a word and be what is made here. Where it ran.
#[track_caller]
fn compile(host: &Host, name: &str, mut command: Command) -> Option<String> {
    let source = format!("{name}.c");
    write(host, &source, QUICK);
    let log = host.dir(&format!("log/{name}.log"));
    let object = host.dir("home").join(format!("{name}.o"));
    command.args(["gcc", "-O2", "-c", &source, "-o"]).arg(&object).env("DISTCC_LOG", &log);
    let output = command.output().unwrap();
    let log = text(&fs::read(log).unwrap_or_default());
    assert!(output.status.success(), "{output:?}\n{log}");
    assert_eq!(text(&output.stderr), "", "{log}");
    let expected = host.dir("home/expected.o");
    said(host.command("gcc").args(["-O2", "-c", &source, "-o"]).arg(&expected));
    assert_eq!(fs::read(&object).unwrap(), fs::read(expected).unwrap(), "{log}");
    ran_on(&log).map(str::to_owned)
}

#[test]
fn without_an_agent_ssh_is_run_for_each_job() {
    let Some(mut lab) = lab(2) else { return };
    let here = lab.host(1);
    for (n, token) in ["@h2", "root@h2/2,lzo", "@10.77.0.2:distccd", "@h2/1:/usr/bin/distccd"]
        .into_iter()
        .enumerate()
    {
        let begun = Instant::now();
        let mut command = distcc(here, token, &[]);
        command.env("DISTCC_AGENT", "off");
        assert_eq!(compile(here, &format!("alone{n}"), command).as_deref(), Some(token));
        println!("{token}: {:?}", begun.elapsed());
    }
    assert!(here.dir("distcc/lock/cpu_ssh_h2_0").exists());
    assert_eq!(accepted(lab.host(2)), 4);
    assert_clean(lab.host(2));
    assert!(lab.host(1).pids("ssh").is_empty());
}
