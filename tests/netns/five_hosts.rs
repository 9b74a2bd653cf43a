//! A farm of five: one builds, one is like it, one has another compiler, one is denied, and one
//! has both compilers, the wrong one under the plain name.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use crate::farm::{
    DEADLINE, Job, Jobs, Project, has_installed, offer_as, offer_only, show_hosts, start_server,
};
use crate::lab::{Lab, wait_for};

const OTHERS: [(&str, &str); 4] =
    [("gcc", "gcc-11"), ("cc", "gcc-11"), ("g++", "g++-11"), ("c++", "g++-11")];
/// Names that stand for gcc 12 on the host whose `gcc` is another.
const RIGHT_ON_E: [&str; 4] =
    ["gcc-12", "g++-12", "x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-g++-12"];
const POLICY: &str = "[[rule]]\naction = \"deny\"\nhost = \"?4\"\n";

/// What the builder is told of the host with this number.
const VERDICTS: [(usize, &str); 4] = [
    (2, "[1] yes  same toolchain"),
    (3, "[1] no   gcc 12.2.0 here, 11.3.0 there"),
    (4, "[1] no   denied by rule 1 (host=?4)"),
    (5, "[1] yes  same toolchain as gcc-12"),
];

/// The paragraph on the host with this number.
fn about(shown: &[String], number: usize) -> Option<&str> {
    let begin = format!("10.77.0.{number}:");
    shown.iter().find(|paragraph| paragraph.starts_with(&begin)).map(String::as_str)
}

/// How many jobs each of these names got.
fn counted(jobs: &[Job]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry(job.compiler.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn jobs_run_only_where_the_right_compiler_is() {
    if !has_installed(&["gcc-11", "g++-11", "gcc-12", "g++-12", "make", "strip", "readelf"]) {
        return;
    }
    let Some(mut lab) = Lab::new(5) else { return };
    offer_only(lab.host(3), &OTHERS);
    for (name, program) in OTHERS {
        offer_as(lab.host(5), name, program);
    }
    fs::write(lab.host(1).dir("distcc/policy.toml"), POLICY).unwrap();
    for number in 1..=5 {
        print!("h{number}: {}", start_server(lab.host(number)));
    }
    let mut last = Vec::new();
    wait_for("every host to be shown as expected", DEADLINE, || {
        let shown = show_hosts(lab.host(1));
        if shown != last {
            println!("{}", shown.join("\n\n"));
        }
        let known = VERDICTS.iter().all(|(number, verdict)| {
            about(&shown, *number).is_some_and(|paragraph| paragraph.contains(verdict))
        });
        last = shown;
        known.then_some(())
    });

    // At -O0, gcc leaves a `nop` where a debugger may stop, and there columns do make a difference.
    let project = Project::copy_to(lab.host(1), "-O1 -g");
    let began = Instant::now();
    project.start(lab.host(1), "build", &["build/cabinet"]).succeed();
    println!("{} units built in {:.1?}", project.units().len(), began.elapsed());
    for number in 1..=5 {
        println!("h{number}: {:?}", counted(&Jobs::of(lab.host(number)).compiled));
    }
    project.run_program(lab.host(1), "build");
    for number in [1, 3, 4] {
        assert_eq!(Jobs::of(lab.host(number)).begun, [], "h{number} was to get nothing");
    }
    assert_ne!(Jobs::of(lab.host(2)).compiled, []);
    let on_e = Jobs::of(lab.host(5));
    assert_ne!(on_e.compiled, []);
    for name in counted(&on_e.begun).keys() {
        assert!(RIGHT_ON_E.contains(name), "h5 was sent {name}");
    }
    project.build_locally(lab.host(1), "local");
    project.assert_same_objects(lab.host(1), "build", "local");
}
