//! What may happen while a build runs: a host dies, another comes, the cable is pulled.

use std::collections::BTreeSet;
use std::mem;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::farm::{installed, offer_only, said, volunteer};
use crate::jobs::Jobs;
use crate::lab::{Host, Lab, wait_for};
use crate::long;
use crate::processes::send;
use crate::project::{BUILD_DEADLINE, Build, Project};

/// Nothing else, so that a server knows soon what it has.
const COMPILERS: [(&str, &str); 4] = [
    ("gcc", "/usr/bin/gcc"),
    ("g++", "/usr/bin/g++"),
    ("cc", "/usr/bin/gcc"),
    ("c++", "/usr/bin/g++"),
];
const NEEDED: [&str; 5] =
    ["/usr/bin/gcc", "/usr/bin/g++", "/usr/bin/make", "/usr/bin/strip", "/usr/bin/readelf"];
/// Hosts that do not answer are asked for some minutes, with growing pauses.
const OUTAGE: Duration = Duration::from_secs(900);
/// Folders with sources of both languages; the C++ ones take a second or two each.
const FOLDERS: [&str; 6] = ["graphs", "life", "mazes", "puzzles", "script", "sums"];

/// The folders of the project that take long enough for something to happen meanwhile.
fn project(host: &Host) -> Project {
    let mut project = Project::copy_to(host, "-O1");
    project.narrow(|unit| FOLDERS.iter().any(|folder| unit.starts_with(&format!("src/{folder}/"))));
    assert!(project.units().len() >= 24);
    project
}

/// A network on which host 1 builds; the others, all alike, are left to the test.
fn lab(hosts: usize) -> Option<Lab> {
    if !installed(&NEEDED) {
        return None;
    }
    let mut lab = Lab::new(hosts)?;
    for number in 2..=hosts {
        offer_only(lab.host(number), &COMPILERS);
    }
    Some(lab)
}

fn signal(host: &Host, program: &str, signal: Signal) {
    for pid in host.pids(program) {
        send(pid, signal);
    }
}

/// Kills the server on the host, and all that it has started, while it compiles. Returns what it
/// had begun and not ended.
fn kill_mid_job(build: &mut Build, host: &Host) -> BTreeSet<String> {
    build.wait_for("a compiler to run on the host that is to die", || {
        // A stopped server cannot take notice that its compiler ends.
        signal(host, "distccd", Signal::SIGSTOP);
        let compiles = !host.pids("cc1plus").is_empty() && !Jobs::of(host).open().is_empty();
        if !compiles {
            signal(host, "distccd", Signal::SIGCONT);
        }
        compiles.then_some(())
    });
    for program in ["distccd", "g++", "gcc", "cc1plus", "cc1", "as"] {
        signal(host, program, Signal::SIGKILL);
    }
    let jobs = Jobs::of(host);
    jobs.open().into_iter().map(|job| job.source.clone()).collect()
}

#[test]
fn a_host_dies_in_the_middle_of_a_job_and_another_comes() {
    let Some(mut lab) = lab(3) else { return };
    for number in 2..=3 {
        volunteer(lab.host(number));
    }
    let project = project(lab.host(1));
    let began = Instant::now();
    let mut build = project.start(lab.host(1), "build", &[]);
    let lost = kill_mid_job(&mut build, lab.host(2));
    let killed = Instant::now();
    println!("h2 killed after {:.1?}, while it compiled {lost:?}", began.elapsed());
    assert!(!lost.is_empty());

    let late = lab.add_host().unwrap();
    offer_only(late, &COMPILERS);
    let started = Instant::now();
    volunteer(late);
    let serving = started.elapsed();
    build.wait_for("a job on the host that came late", || {
        (!Jobs::of(late).begun.is_empty()).then_some(())
    });
    let first = started.elapsed();
    println!("h4 started: detached after {serving:.1?}, first job after {first:.1?}");
    build.wait_for("a file compiled there", || (!Jobs::of(late).compiled.is_empty()).then_some(()));
    build.succeed();
    println!(
        "built {:.1?} after the start, {:.1?} after the death; h2: {}, h3: {}, h4: {} of {} units",
        began.elapsed(),
        killed.elapsed(),
        Jobs::of(lab.host(2)).compiled.len(),
        Jobs::of(lab.host(3)).compiled.len(),
        Jobs::of(lab.host(4)).compiled.len(),
        project.units().len()
    );
    project.build_locally(lab.host(1), "local");
    project.assert_same_objects(lab.host(1), "build", "local");
    assert_eq!(said(lab.host(1).command("ls").arg("-A").arg(lab.host(1).dir("tmp"))), "");
}

/// Jobs begun so far on the hosts that serve.
fn n_begun(lab: &mut Lab) -> usize {
    (2..=3).map(|number| Jobs::of(lab.host(number)).begun.len()).sum()
}

/// Waits for a job on another host, in this build or one after it; returns the build of that job.
fn wait_for_a_job_elsewhere(lab: &mut Lab, project: &Project, mut build: Build) -> Build {
    let before = n_begun(lab);
    let mut n_builds = 1;
    wait_for("a job on another host", BUILD_DEADLINE, || {
        if build.is_over() {
            n_builds += 1;
            let next = project.start(lab.host(1), &format!("build{n_builds}"), &[]);
            mem::replace(&mut build, next).succeed();
        }
        (n_begun(lab) > before).then_some(())
    });
    build
}

#[test]
fn the_farm_is_used_again_after_the_link_was_down() {
    let Some(mut lab) = lab(3) else { return };
    for number in 2..=3 {
        volunteer(lab.host(number));
    }
    let project = project(lab.host(1));
    let build = project.start(lab.host(1), "build", &[]);
    let mut build = wait_for_a_job_elsewhere(&mut lab, &project, build);
    lab.host(1).link_down();
    let (down, built) = (Instant::now(), project.n_built("build"));
    // What is compiled here proves that the builder has noticed.
    build.wait_for("the build to go on without the others", || {
        (project.n_built("build") > built + 3).then_some(())
    });
    println!("link down for {:.1?}", down.elapsed());
    let begun = n_begun(&mut lab);
    lab.host(1).link_up();
    let up = Instant::now();
    let build = wait_for_a_job_elsewhere(&mut lab, &project, build);
    println!("first job elsewhere {:.1?} after the link was up", up.elapsed());
    build.succeed();
    let again = n_begun(&mut lab) - begun;
    println!("built {:.1?} after that, {again} jobs elsewhere since", up.elapsed());
    project.build_locally(lab.host(1), "local");
    project.assert_same_objects(lab.host(1), "build", "local");
}

#[test]
fn hosts_forgotten_in_a_long_outage_are_found_again() {
    if !long::wanted() {
        return;
    }
    let Some(mut lab) = lab(3) else { return };
    for number in 2..=3 {
        volunteer(lab.host(number));
    }
    let mut project = project(lab.host(1));
    project.narrow(|unit| unit.starts_with("src/sums/") || unit.starts_with("src/mazes/"));
    project.start(lab.host(1), "build", &[]).succeed();
    assert_ne!(n_begun(&mut lab), 0);
    // Unlike a link that is down, this is noticed only by asking.
    lab.unplug(1);
    let unplugged = Instant::now();
    wait_for("all hosts to be forgotten", OUTAGE, || {
        let mut show = lab.host(1).command("distcc");
        show.args(["--show-hosts", "--why"]).env("DISTCC_HOSTS", "+zeroconf");
        (!said(&mut show).contains("10.77.0.")).then_some(())
    });
    println!("forgotten {:.1?} after the cable was pulled", unplugged.elapsed());
    project.start(lab.host(1), "alone", &[]).succeed();
    lab.plug(1);
    let plugged = Instant::now();
    let build = project.start(lab.host(1), "build1", &[]);
    let build = wait_for_a_job_elsewhere(&mut lab, &project, build);
    println!("first job elsewhere {:.1?} after it was back", plugged.elapsed());
    build.succeed();
}
