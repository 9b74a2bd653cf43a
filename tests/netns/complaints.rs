//! What is wrong with a file or an option is said with its place and what was expected.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::farm::{Compile, QUICK, ran_on, serve, text, write};
use crate::lab::{Host, Lab};

/// Standard error of a compile that succeeds.
fn said_by_compile(host: &Host, object: &str) -> String {
    let mut command = host.command("distcc");
    let output = command.args(["gcc", "-c", "x.c", "-o", object]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stderr);
    println!("{said}");
    said
}

fn said_by_show_hosts(host: &Host) -> String {
    let output = host.command("distcc").args(["--show-hosts", "--why"]).output().unwrap();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_faulty_hosts_file_is_reported_with_file_and_line() {
    let Some(mut lab) = Lab::new(2) else { return };
    serve(lab.host(2), &["--zeroconf", "--allow", "10.77.0.0/24"]);
    let host = lab.host(1);
    write(host, "x.c", QUICK);
    let hosts = host.dir("distcc/hosts");
    fs::write(&hosts, "# ours\n10.77.0.2:wrong\n10.77.0.2/0x3 +zerconf\n+zeroconf\n").unwrap();
    let said = said_by_compile(host, "x.o");
    for (line, word) in [(2, "10.77.0.2:wrong"), (3, "10.77.0.2/0x3"), (3, "+zerconf")] {
        let place = format!("{}:{line}: ", hosts.display());
        let found = said.lines().find(|said| said.contains(&place) && said.contains(word));
        let found = found.unwrap_or_else(|| panic!("nothing about {word}: {said}"));
        assert!(found.contains("expected "), "{found}");
    }
    let said = said_by_show_hosts(host);
    assert!(said.contains(&format!("{}:2: ", hosts.display())), "{said}");
}

#[test]
fn a_faulty_policy_is_reported_and_nothing_is_distributed() {
    let Some(mut lab) = Lab::new(2) else { return };
    serve(lab.host(2), &["--zeroconf", "--allow", "10.77.0.0/24"]);
    let host = lab.host(1);
    write(host, "x.c", QUICK);
    fs::write(host.dir("distcc/hosts"), "+zeroconf\n").unwrap();
    let policy = host.dir("distcc/policy.toml");
    for (text, line, expected) in [
        ("[match]\ngcc = \"exactly\"\n", 2, "exact"),
        ("[match]\n\ngc = \"exact\"\n", 3, "gcc"),
        ("[[rule]]\naction = \"deny\"\nnet = \"10.77.0.0/99\"\n", 3, ""),
        ("[match\n", 1, ""),
    ] {
        fs::write(&policy, text).unwrap();
        let said = said_by_compile(host, "x.o");
        let place = format!("{}:{line}", policy.display());
        assert!(said.contains(&place) && said.contains(expected), "{text}: {said}");
        let said = said_by_show_hosts(host);
        assert!(said.contains(&place), "{said}");
        let mut command = host.command("distcc");
        let log = host.dir("log/policy");
        command.args(["gcc", "-c", "x.c"]).env("DISTCC_LOG", &log);
        assert!(command.status().unwrap().success());
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(ran_on(&log), None, "{log}");
    }
    // Mended, it counts at once.
    fs::write(&policy, "[match]\ngcc = \"exact\"\n").unwrap();
    assert!(Compile::gcc(host, "+zeroconf", "x.c", "mended.o").was_remote());
}

#[test]
fn an_unusable_variable_is_reported() {
    let Some(mut lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    write(host, "x.c", QUICK);
    let mut command = host.command("distcc");
    command.args(["gcc", "-c", "x.c"]).env("DISTCC_HOSTS", "localhost");
    let output = command.env("DISTCC_BACKOFF_PERIOD", "soon").output().unwrap();
    assert!(output.status.success());
    let said = text(&output.stderr);
    println!("{said}");
    assert!(
        said.contains("$DISTCC_BACKOFF_PERIOD: \"soon\": expected a number of seconds"),
        "{said}"
    );
}

/// Runs a daemon that cannot start: its exit code and its one line.
#[track_caller]
fn refusal(host: &Host, options: &[&str], variables: &[(&str, PathBuf)]) -> (i32, String) {
    let mut command = host.command("distccd");
    let output = command.args(options).envs(variables.iter().cloned()).output().unwrap();
    let said = text(&output.stderr);
    println!("{options:?}: {:?} {said}", output.status.code());
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("distccd: "), "{said}");
    (output.status.code().unwrap(), said)
}

#[test]
fn a_daemon_that_cannot_start_says_why_in_one_line() {
    let Some(mut lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    serve(host, &["--port", "4000"]);
    let file = host.dir("home/file");
    fs::write(&file, "").unwrap();
    let below_file = format!("{}/log", file.display());
    for (options, code, words) in [
        (&["--port", "80000"][..], 101, &["80000", "1..=65535"][..]),
        (&["--jobs", "many"], 101, &["many", "--jobs"]),
        (&["--frobnicate"], 101, &["--frobnicate", "--help"]),
        (&["--allow", "1.2.3.4/99"], 101, &["1.2.3.4/99", "99", "32"]),
        (&["--allow", "nonsense"], 101, &["nonsense", "192.168.1.0/24"]),
        (&["--listen", "nowhere"], 101, &["nowhere", "--listen"]),
        (&["--listen", "10.99.0.1"], 102, &["10.99.0.1:3632"]),
        (&["--port", "4000"], 102, &[":4000", "in use"]),
        (&["--user", "nobody-knows-him"], 112, &["nobody-knows-him"]),
        (&["--log-file", &below_file], 100, &["--log-file", &below_file]),
        (&["--log-file", "/nonexistent/log"], 100, &["/nonexistent/log", "No such file"]),
        (&["--pid-file", "/nonexistent/pid"], 100, &["/nonexistent/pid", "No such file"]),
        (&["--state-dir", &below_file], 100, &[&below_file]),
    ] {
        let (found, said) = refusal(host, options, &[]);
        assert_eq!(found, code, "{options:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{options:?}: {said} lacks {word}");
        }
    }
    let missing = host.dir("home/no/tmp");
    let (code, said) = refusal(host, &[], &[("TMPDIR", missing.clone())]);
    assert_eq!(code, 100);
    assert!(said.contains(missing.to_str().unwrap()), "{said}");
    assert_eq!(host.pids("distccd").len(), 1, "only the one that serves");
}

#[test]
fn a_daemon_without_a_usable_compiler_says_what_is_wrong_with_those_found() {
    let Some(mut lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    let dir = host.dir("home/compilers");
    fs::create_dir(&dir).unwrap();
    let path = [("DISTCCD_PATH", dir.clone())];
    let (code, said) = refusal(host, &[], &path);
    assert_eq!(code, 110);
    assert!(said.contains(&format!("no compiler found in {}", dir.display())), "{said}");
    // A compiler without its assembler.
    for name in ["gcc", "cc"] {
        symlink("/usr/bin/gcc", dir.join(name)).unwrap();
    }
    let (code, said) = refusal(host, &[], &path);
    assert_eq!(code, 110);
    assert!(said.contains(&dir.join("cc").display().to_string()), "{said}");
    assert!(said.contains("cannot execute 'as'"), "{said}");
}
