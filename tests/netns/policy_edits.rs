//! A policy that is edited while the agent runs, and one that is wrong.

use std::fs;
use std::process::{Command, Output};

use crate::farm::{Compile, text, volunteer};
use crate::jobs::{Jobs, logged_by};
use crate::lab::{Host, Lab};
use crate::why::Why;

const HOSTS: &str = "+zeroconf";
const DENY: &str = "[[rule]]\naction = \"deny\"\nhost = \"h2\"\n";

fn write_source(client: &Host, name: &str) {
    fs::write(client.dir("home").join(name), "int f(int x) { return x / 3; }\n").unwrap();
}

/// Compiles under this name; true if that was on the peer.
#[track_caller]
fn is_distributed(lab: &mut Lab, source: &str) -> bool {
    write_source(lab.host(1), source);
    let compile = Compile::gcc(lab.host(1), HOSTS, source, "made.o");
    let distributed = compile.was_remote();
    if distributed {
        logged_by(lab, &[2], source);
    }
    distributed
}

#[test]
fn an_edited_policy_holds_from_the_next_job_on() {
    let Some(mut lab) = Lab::new(2) else { return };
    volunteer(lab.host(2));
    let policy = lab.host(1).dir("distcc/policy.toml");
    assert_eq!(Why::ask(lab.host(1), HOSTS, &["gcc"], 1).of("h2"), "yes same toolchain as gcc");
    let agent = lab.host(1).pids("distccd");
    assert!(is_distributed(&mut lab, "without.c"));
    fs::write(&policy, DENY).unwrap();
    assert!(!is_distributed(&mut lab, "denied.c"));
    fs::write(&policy, DENY.replace("deny", "allow")).unwrap();
    assert!(is_distributed(&mut lab, "allowed.c"));
    // As editors write: a new file in the place of the old one.
    let new = policy.with_extension("new");
    fs::write(&new, DENY).unwrap();
    fs::rename(&new, &policy).unwrap();
    assert!(!is_distributed(&mut lab, "denied-again.c"));
    fs::remove_file(&policy).unwrap();
    assert!(is_distributed(&mut lab, "without-again.c"));
    assert_eq!(lab.host(1).pids("distccd"), agent, "one agent has seen all of it");
    println!("five jobs, an edit before each, one agent: {:#?}", Jobs::of(lab.host(2)).ran);
    assert_eq!(Jobs::of(lab.host(2)).ran.len(), 3);
}

/// A compile as from make: what it says goes to the terminal.
fn plain_compile(client: &Host, source: &str) -> Command {
    write_source(client, source);
    let mut command = client.command("distcc");
    command.env("DISTCC_HOSTS", HOSTS).args(["gcc", "-c", source]);
    command
}

/// Four compiles at once; what they wrote to standard error, together.
#[track_caller]
fn four_compiles(client: &Host, name: &str, policy: Option<&str>) -> String {
    let start = |number: usize| {
        let mut command = plain_compile(client, &format!("{name}{number}.c"));
        command.envs(policy.map(|path| ("DISTCC_POLICY", path)));
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let compiles: Vec<_> = (0..4).map(start).collect();
    let mut said = String::new();
    for (number, compile) in compiles.into_iter().enumerate() {
        let output: Output = compile.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(client.dir("home").join(format!("{name}{number}.o")).exists());
        said += &text(&output.stderr);
    }
    said
}

#[test]
fn a_wrong_policy_is_told_once_and_nothing_is_distributed_meanwhile() {
    let Some(mut lab) = Lab::new(2) else { return };
    volunteer(lab.host(2));
    let policy = lab.host(1).dir("distcc/policy.toml");
    // Each is wrong in its own way: (text, line and key, what is said of them).
    let wrong = [
        (
            "\n[match]\ngcc = \"minr\"\n",
            vec![":3: match.gcc: expected exact, patch, minor, major or any, not \"minr\""],
        ),
        (
            "[match]\ngc = \"any\"\n",
            vec![
                ":2: match.gc: no such key, expected gcc, clang, binutils, target, build or unknown",
            ],
        ),
        ("[[rule]]\nhost = \"h2\"\n", vec![":1: rule.action: missing, expected allow or deny"]),
        (
            "[match]\nunknown = 1\n\n[[rule]]\naction = \"allow\"\nnet = \"10.77.0.0/33\"\n",
            vec![
                ":2: match.unknown: expected probe, deny or allow, not a number",
                ":6: rule.net: expected an address or a network",
            ],
        ),
        ("[match]\ngcc = \"any\n", vec![":2: "]),
    ];
    for (number, (broken, problems)) in wrong.iter().enumerate() {
        fs::write(&policy, broken).unwrap();
        let said = four_compiles(lab.host(1), &format!("wrong{number}-"), None);
        println!("{said}");
        let why = Why::ask(lab.host(1), HOSTS, &["gcc"], 1);
        assert_eq!(why.of("h2"), "no nothing is distributed while the policy is wrong");
        assert_eq!(said.lines().count(), problems.len(), "{said}");
        for problem in problems {
            let problem = format!("{}{problem}", policy.display());
            assert_eq!(said.matches(&problem).count(), 1, "{problem} in {said}");
            assert!(why.0.iter().any(|part| part.contains(&problem)), "{problem} in {:#?}", why.0);
        }
    }
    fs::remove_file(&policy).unwrap();
    let missing = lab.host(1).dir("no-such-policy.toml");
    let said = four_compiles(lab.host(1), "missing", missing.to_str());
    println!("{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("{}: cannot be read: ", missing.display())), "{said}");
    assert_eq!(Jobs::of(lab.host(2)).ran, [], "nothing was to be distributed");

    fs::write(&policy, "[match]\ngcc = \"exact\"\n").unwrap();
    assert_eq!(Why::ask(lab.host(1), HOSTS, &["gcc"], 1).of("h2"), "yes same toolchain as gcc");
    assert!(is_distributed(&mut lab, "right.c"));
}
