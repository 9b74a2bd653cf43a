//! A farm of five: one builds, one is like it, one has another compiler, one is denied, and one
//! has both compilers, the wrong one under the plain name.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use crate::farm::{installed, offer, offer_only, volunteer};
use crate::jobs::{Job, Jobs};
use crate::lab::Lab;
use crate::project::Project;
use crate::why::Why;

/// The wrong compiler under every plain name.
const OLDER: [(&str, &str); 4] = [
    ("gcc", "/usr/bin/gcc-11"),
    ("cc", "/usr/bin/gcc-11"),
    ("g++", "/usr/bin/g++-11"),
    ("c++", "/usr/bin/g++-11"),
];
const NEEDED: [&str; 7] = [
    "/usr/bin/gcc-11",
    "/usr/bin/g++-11",
    "/usr/bin/gcc-12",
    "/usr/bin/g++-12",
    "/usr/bin/make",
    "/usr/bin/strip",
    "/usr/bin/readelf",
];
const POLICY: &str = "[[rule]]\naction = \"deny\"\nhost = \"?4\"\n";
/// What the builder is told.
const VERDICTS: [(&str, &str); 5] = [
    ("h1", "no this machine itself"),
    ("h2", "yes same toolchain as gcc"),
    ("h3", "no gcc 12.2.0 here, 11.3.0 there"),
    ("h4", "no denied by rule 1 (host=?4)"),
    ("h5", "yes same toolchain as gcc-12"),
];
/// Names that stand for gcc 12 where `gcc` is another.
const RIGHT: [&str; 4] = ["gcc-12", "g++-12", "x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-g++-12"];

/// How many jobs each compiler's name got.
fn counted(jobs: &[Job]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry(job.compiler.as_str()).or_default() += 1;
    }
    counts
}

/// Every host serves, the builder too.
fn five_hosts() -> Option<Lab> {
    if !installed(&NEEDED) {
        return None;
    }
    let mut lab = Lab::new(5)?;
    offer_only(lab.host(3), &OLDER);
    offer(lab.host(5), &OLDER);
    fs::write(lab.host(1).dir("distcc/policy.toml"), POLICY).unwrap();
    for number in 1..=5 {
        volunteer(lab.host(number));
    }
    Some(lab)
}

#[test]
fn jobs_run_only_where_the_right_compiler_is() {
    let Some(mut lab) = five_hosts() else { return };
    let why = Why::ask(lab.host(1), "+zeroconf", &["gcc"], 5);
    println!("{:#?}", why.0);
    for (host, verdict) in VERDICTS {
        assert_eq!(why.of(host), verdict, "{host}");
    }

    // At -O0, gcc leaves a `nop` where a debugger may stop, and there columns do make a difference.
    let project = Project::copy_to(lab.host(1), "-O1 -g");
    let began = Instant::now();
    project.start(lab.host(1), "build", &["build/cabinet"]).succeed();
    println!("{} units built in {:.1?}", project.units().len(), began.elapsed());
    project.run_program(lab.host(1), "build");
    let jobs: Vec<Jobs> = (1..=5).map(|number| Jobs::of(lab.host(number))).collect();
    for (number, jobs) in (1..).zip(&jobs) {
        println!("h{number}: {:?}", counted(&jobs.begun));
    }
    let [a, b, c, d, e] = &jobs[..] else { unreachable!("five hosts") };
    for left_out in [a, c, d] {
        assert_eq!(left_out.begun, []);
    }
    assert!(!b.compiled.is_empty() && !e.compiled.is_empty());
    for name in counted(&e.begun).keys() {
        assert!(RIGHT.contains(name), "{name} is the wrong compiler there");
    }
    project.build_locally(lab.host(1), "local");
    project.assert_same_objects(lab.host(1), "build", "local");
}
