//! Hosts reached by ssh: a real sshd on a host of the lab, with keys of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::farm::{
    DEADLINE, QUICK, client, client_log, installed, ran_on, said, slow_source, text, write,
};
use crate::jobs::{Jobs, count, daemon_log_with};
use crate::lab::{Host, Lab, wait_for};
use crate::processes::{assert_clean, compilers_at_work, end_of, send};

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
    let mut config = "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nIdentitiesOnly yes\n\
                      Host nobody\n  HostName 10.77.0.99\n"
        .to_owned();
    for number in 2..=hosts {
        let host = lab.host(number);
        start_sshd(host, &public);
        let (name, addr, key) = (host.name(), host.addr(), dir.join("key"));
        config +=
            &format!("Host {name} {addr}\n  HostName {addr}\n  IdentityFile {}\n", key.display());
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
    let variables = ["PATH", "HOME", "TMPDIR", "STATE_DIRECTORY"].map(variable).join(" ");
    let config = format!(
        "HostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPidFile none\nMaxStartups 100\nSetEnv {variables}\n",
        dir.display()
    );
    fs::write(dir.join("sshd_config"), config).unwrap();
    said(host.command("/bin/mkdir").args(["-p", "/run/sshd"]));
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

/// Who offers what, as the agent tells it with the client's way of calling ssh.
#[track_caller]
fn why(host: &Host, hosts: &str, peer: &str) -> String {
    let told = || {
        let mut command = host.command("distcc");
        command.env("DISTCC_HOSTS", hosts).env("DISTCC_SSH", program(host));
        let screen = said(command.args(["--show-hosts", "--why", "gcc"]));
        let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        let settled = ["being ", "not answered yet"].iter().all(|word| !words.contains(word));
        settled.then_some(words)
    };
    let words = wait_for("a verdict", DEADLINE, told);
    assert!(words.contains(peer), "{words}");
    words
}

/// `make -j20` in small: every source compiles elsewhere, and nothing is said.
#[track_caller]
fn compile_many(host: &Host, hosts: &str, n_jobs: usize, prefix: &str) {
    let children: Vec<Child> = (0..n_jobs)
        .map(|n| {
            let source = format!("{prefix}{n}.c");
            write(host, &source, QUICK);
            let mut command = distcc(host, hosts, &["gcc", "-O2", "-c", &source]);
            command.env("DISTCC_FALLBACK", "0");
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}\n{}", client_log(host));
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn all_jobs_share_one_connection_that_ends_with_the_agent() {
    let Some(mut lab) = lab(2) else { return };
    let here = lab.host(1);
    let verdict = why(here, "@h2", "@h2");
    assert!(verdict.contains("yes same toolchain"), "{verdict}");
    for n in 0..4 {
        let begun = Instant::now();
        let command = distcc(here, "@h2/4,lzo", &[]);
        let ran_on = compile(here, &format!("shared{n}"), command);
        assert_eq!(ran_on.as_deref(), Some("@h2/4,lzo"));
        println!("a compile here and there: {:?}", begun.elapsed());
    }
    compile_many(here, "@h2/8", 16, "several");
    daemon_log_with(lab.host(2), 20, "COMPILE_OK");
    assert_eq!(accepted(lab.host(2)), 1, "{}", sshd_log(lab.host(2)));
    assert_clean(lab.host(2));
    // The connection is held by the agent alone.
    let here = lab.host(1);
    assert_eq!(here.pids("ssh").len(), 1);
    let agent = here.pids("distccd");
    fs::remove_file(here.dir("distcc/agent-0/sock")).unwrap();
    wait_for("agent and ssh to end", DEADLINE, || {
        (here.pids("ssh").is_empty() && here.pids("distccd").is_empty()).then_some(())
    });
    assert_eq!(agent.len(), 1);
    let left = fs::read_dir(here.dir("distcc/agent-0")).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("ssh"));
    assert_eq!(left.count(), 0, "a socket of ssh is left");
}

#[test]
fn twenty_jobs_at_once_are_more_than_one_connection_carries_and_still_run_there() {
    let Some(mut lab) = lab(2) else { return };
    compile_many(lab.host(1), "@h2/20", 20, "parallel");
    daemon_log_with(lab.host(2), 20, "COMPILE_OK");
    println!("connections: {}", accepted(lab.host(2)));
}

#[test]
fn an_agent_that_is_killed_takes_its_connections_with_it() {
    let Some(mut lab) = lab(2) else { return };
    let here = lab.host(1);
    let command = distcc(here, "@h2", &[]);
    assert_eq!(compile(here, "first", command).as_deref(), Some("@h2"));
    assert_eq!(here.pids("ssh").len(), 1);
    for agent in here.pids("distccd") {
        send(agent, Signal::SIGKILL);
    }
    wait_for("ssh to end", DEADLINE, || here.pids("ssh").is_empty().then_some(()));
    // Its successor makes a new one, whatever is left of the old one.
    let command = distcc(here, "@h2", &[]);
    assert_eq!(compile(here, "second", command).as_deref(), Some("@h2"));
    assert_eq!(accepted(lab.host(2)), 2);
}

#[test]
fn jobs_survive_the_loss_of_their_connection() {
    let Some(mut lab) = lab(2) else { return };
    let here = lab.host(1);
    write(here, "slow.c", &slow_source());
    let command = distcc(here, "@h2", &[]);
    assert_eq!(compile(here, "before", command).as_deref(), Some("@h2"));
    let mut slow = distcc(here, "@h2", &["gcc", "-O2", "-c", "slow.c"]);
    let mut slow = slow.stderr(Stdio::piped()).spawn().unwrap();
    compilers_at_work(lab.host(2));
    let here = lab.host(1);
    let master = here.pids("ssh");
    let clients: Vec<_> = master.iter().copied().filter(|pid| is_master(*pid)).collect();
    assert_eq!(clients.len(), 1, "{master:?}");
    send(clients[0], Signal::SIGKILL);
    assert!(end_of("the slow job", &mut slow).success(), "{}", client_log(here));
    assert!(here.dir("home/slow.o").exists());
    let command = distcc(here, "@h2", &[]);
    assert_eq!(compile(here, "after", command).as_deref(), Some("@h2"));
    assert_eq!(here.pids("ssh").len(), 1);
    assert_clean(lab.host(2));
}

fn is_master(pid: nix::unistd::Pid) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"-MNTax")
}

#[test]
fn an_interrupted_client_leaves_nothing_on_either_side() {
    let Some(mut lab) = lab(2) else { return };
    let here = lab.host(1);
    write(here, "slow.c", &slow_source());
    let mut slow = distcc(here, "@h2", &["gcc", "-O2", "-c", "slow.c"]);
    let mut slow = slow.stderr(Stdio::piped()).spawn().unwrap();
    compilers_at_work(lab.host(2));
    let here = lab.host(1);
    send(here.pid_of(&slow), Signal::SIGINT);
    assert!(!end_of("the client", &mut slow).success());
    assert_clean(here);
    assert_clean(lab.host(2));
    let here = lab.host(1);
    wait_for("all but the connection to end", DEADLINE, || {
        (here.pids("ssh").len() == 1).then_some(())
    });
}

#[test]
fn a_host_that_ssh_cannot_enter_is_left_out_with_what_ssh_says() {
    let Some(mut lab) = lab(3) else { return };
    let here = lab.host(1);
    let config = ssh_dir(here).join("config");
    let right = fs::read_to_string(&config).unwrap();
    let key = ssh_dir(here).join("key").display().to_string();
    // Only to h2 another key is shown.
    let wrong = right.replacen(&key, &format!("{}/wrong_key", ssh_dir(here).display()), 1);
    fs::write(&config, wrong).unwrap();
    let verdict = why(here, "root@h2", "root@h2");
    assert!(
        verdict.contains("does not answer: ") && verdict.contains("Permission denied"),
        "{verdict}"
    );
    let verdict = why(here, "@h3:/nowhere/distccd", "@h3");
    assert!(verdict.contains("/nowhere/distccd: No such file"), "{verdict}");
    let command = distcc(here, "root@h2 @h3", &[]);
    assert_eq!(compile(here, "elsewhere", command).as_deref(), Some("@h3"));
    let mut command = distcc(here, "root@h2", &[]);
    command.env_remove("DISTCC_VERBOSE");
    write(here, "alone.c", QUICK);
    let output = command.args(["gcc", "-c", "alone.c"]).output().unwrap();
    assert!(output.status.success() && here.dir("home/alone.o").exists(), "{output:?}");
    assert!(client_log(here).contains("Permission denied"), "{}", client_log(here));
    let verdict = why(here, "@nobody", "@nobody");
    assert!(verdict.contains("does not answer: ssh: connect to host"), "{verdict}");
}

#[test]
fn a_job_that_is_refused_over_ssh_is_told_why_and_the_host_gets_the_next_one() {
    let Some(mut lab) = lab(2) else { return };
    let script = lab.host(2).dir("bin/strict");
    fs::write(&script, "#!/bin/sh\nexec distccd --limit source_bytes=64K \"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let here = lab.host(1);
    let token = format!("@h2:{}", script.display());
    write(here, "large.c", &"int declared(int argument, char *another);\n".repeat(4000));
    for n in 0..2 {
        let log = here.dir(&format!("log/large{n}.log"));
        let mut command = distcc(here, &token, &["gcc", "-c", "large.c"]);
        let begun = Instant::now();
        let output = command.env("DISTCC_LOG", &log).output().unwrap();
        println!("refused and compiled here: {:?}", begun.elapsed());
        let log = text(&fs::read(log).unwrap_or_default());
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{log}");
        let refused = format!("failed to distribute large.c to {token}: refused: ");
        assert!(log.contains(&refused) && ran_on(&log).is_none(), "{log}");
        // Such a host is neither a failing one nor one for other sources.
        let small = distcc(here, &token, &[]);
        assert_eq!(compile(here, &format!("small{n}"), small).as_ref(), Some(&token));
    }
    assert_eq!(accepted(lab.host(2)), 1, "{}", sshd_log(lab.host(2)));
    assert_clean(lab.host(2));
}

#[test]
fn a_host_with_another_toolchain_gets_nothing_by_ssh_either() {
    let Some(mut lab) = lab(2) else { return };
    if !installed(&["/usr/bin/gcc-11", "/usr/bin/gcc-12"]) {
        return;
    }
    lab.host(1).install("gcc", Path::new("/usr/bin/gcc-11"));
    crate::farm::offer_only(lab.host(2), &[("gcc", "/usr/bin/gcc-12")]);
    let public = fs::read_to_string(ssh_dir(lab.host(1)).join("key.pub")).unwrap();
    restart_sshd(lab.host(2), &public);
    let verdict = why(lab.host(1), "@h2", "@h2");
    assert!(verdict.contains("no gcc 11.3.0 here, 12.2.0 there"), "{verdict}");
    let here = lab.host(1);
    let command = distcc(here, "@h2", &[]);
    assert_eq!(compile(here, "other", command), None);
    assert!(Jobs::of(lab.host(2)).compiled.is_empty());
}

/// With the PATH that the host has now.
#[track_caller]
fn restart_sshd(host: &Host, public: &str) {
    for pid in host.pids("sshd") {
        send(pid, Signal::SIGTERM);
    }
    wait_for("sshd to end", DEADLINE, || host.pids("sshd").is_empty().then_some(()));
    fs::remove_dir_all(host.dir("ssh")).unwrap();
    start_sshd(host, public);
}

#[test]
fn debians_server_is_reached_by_ssh_and_asked_what_its_compilers_are() {
    let Some(mut lab) = lab(2) else { return };
    if !installed(&[STOCK_SERVER]) {
        return;
    }
    let token = format!("@h2/4:{STOCK_SERVER}");
    let verdict = why(lab.host(1), &token, "@h2");
    assert!(verdict.contains("yes same toolchain as gcc"), "{verdict}");
    for n in 0..2 {
        let begun = Instant::now();
        let here = lab.host(1);
        let command = distcc(here, &token, &[]);
        assert_eq!(compile(here, &format!("debian{n}"), command), Some(token.clone()));
        println!("our client, Debian's server: {:?}", begun.elapsed());
    }
    assert_eq!(accepted(lab.host(2)), 1, "{}", sshd_log(lab.host(2)));
}

#[test]
fn debians_client_gets_its_jobs_done_over_ssh() {
    let Some(mut lab) = lab(2) else { return };
    if !installed(&[STOCK_CLIENT, STOCK_SERVER]) {
        return;
    }
    // It splits at every blank, so the quotes have to go.
    let program = program(lab.host(1)).replace('\'', "");
    for (server, token) in [("ours", "@h2".to_owned()), ("Debian's", format!("@h2:{STOCK_SERVER}"))]
    {
        for n in 0..3 {
            let here = lab.host(1);
            let begun = Instant::now();
            let mut command = here.command(STOCK_CLIENT);
            command.env("DISTCC_HOSTS", &token).env("DISTCC_SSH", &program);
            command.env("DISTCC_FALLBACK", "0").env("DISTCC_VERBOSE", "0");
            // What ssh says of the host's key, Debian's client passes on.
            write(here, "stock.c", QUICK);
            let log = here.dir("log/stock.log");
            command.env("DISTCC_LOG", &log).args(["gcc", "-O2", "-c", "stock.c"]);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?} {:?}", fs::read_to_string(&log));
            println!("Debian's client, {server} server, job {n}: {:?}", begun.elapsed());
        }
    }
    daemon_log_with(lab.host(2), 3, "COMPILE_OK");
}

#[test]
fn what_a_job_takes_by_ssh_and_by_tcp() {
    let Some(mut lab) = lab(2) else { return };
    crate::farm::serve(lab.host(2), &["--allow", "10.77.0.0/24"]);
    for (n, hosts) in ["10.77.0.2", "@h2"].into_iter().enumerate() {
        let here = lab.host(1);
        let command = distcc(here, hosts, &[]);
        assert_eq!(compile(here, &format!("warm{n}"), command).as_deref(), Some(hosts));
        let begun = Instant::now();
        for job in 0..10 {
            write(here, "timed.c", &format!("int timed{job};\n"));
            let output = distcc(here, hosts, &["gcc", "-c", "timed.c"]).output().unwrap();
            assert!(output.status.success());
        }
        println!("{hosts}: {:?} a job", begun.elapsed() / 10);
    }
}
