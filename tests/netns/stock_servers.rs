//! Debian's distccd in the forms in which people run it, as our client finds and uses it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::farm::{
    Compile, QUICK, installed, offer_only, said, serve_stock_with, volunteer_stock, write,
};
use crate::jobs::{Jobs, daemon_log_with};
use crate::lab::{Host, Lab};
use crate::skip::skip;
use crate::why::Why;

const SERVER: &str = "/usr/bin/distccd";
const GCC: &str = "/usr/bin/gcc-12";
const OLD_GCC: &str = "/usr/bin/gcc-11";
const CLANG: &str = "/usr/bin/clang-14";
const OLD_CLANG: &str = "/usr/bin/clang-13";

/// The client with these compilers, and a host with those.
fn lab(here: &[(&str, &str)], there: &[(&str, &str)]) -> Option<Lab> {
    let files: Vec<&str> = here.iter().chain(there).map(|(_, file)| *file).collect();
    if !installed(&files) || !installed(&[SERVER]) {
        return None;
    }
    let mut lab = Lab::new(2)?;
    for (name, file) in here {
        lab.host(1).install(name, Path::new(file));
    }
    offer_only(lab.host(2), there);
    Some(lab)
}

/// What the host's server ran, as `COMPILER SOURCE`, once it has written of the last `source`.
#[track_caller]
fn ran(host: &Host, source: &str) -> Vec<String> {
    daemon_log_with(host, 1, source);
    // With a list of commands it tells the file that it ran.
    let name = |compiler: &str| compiler.rsplit('/').next().unwrap_or_default().to_owned();
    let ran = Jobs::of(host).ran;
    ran.iter().map(|job| format!("{} {}", name(&job.compiler), job.source)).collect()
}

/// Compiles a new source with this compiler on the other host, by the name that it sends there.
#[track_caller]
fn goes_there(lab: &mut Lab, hosts: &str, compiler: &str, sent: &str) {
    let source = format!("{compiler}.c");
    write(lab.host(1), &source, QUICK);
    let done = Compile::run(lab.host(1), hosts, compiler, &source, "made.o");
    assert!(done.was_remote(), "{}", done.log);
    done.assert_right(lab.host(1), compiler, &source);
    let ran = ran(lab.host(2), &source);
    assert_eq!(ran.last(), Some(&format!("{sent} {source}")), "{ran:?}");
}

/// The same stays here, and nothing at all has run there.
#[track_caller]
fn stays_here(lab: &mut Lab, hosts: &str, compiler: &str) {
    let source = format!("{compiler}.c");
    write(lab.host(1), &source, QUICK);
    let done = Compile::run(lab.host(1), hosts, compiler, &source, "made.o");
    assert_eq!(done.ran_on(), None, "{}", done.log);
    done.assert_right(lab.host(1), compiler, &source);
    let ran = Jobs::of(lab.host(2)).ran;
    assert!(!ran.iter().any(|job| job.source == source), "{ran:?}");
}

#[test]
fn a_debian_server_found_through_avahi_compiles_with_gcc_and_clang() {
    let here = [("gcc", GCC), ("clang", CLANG), ("gcc-11", OLD_GCC), ("clang-13", OLD_CLANG)];
    let there = [("cc", GCC), ("gcc", GCC), ("clang", CLANG)];
    let Some(mut lab) = lab(&here, &there) else { return };
    if !lab.host(2).avahi() {
        return;
    }
    volunteer_stock(lab.host(2));
    for compiler in ["gcc", "clang"] {
        Why::wait_for(
            lab.host(1),
            "+zeroconf",
            compiler,
            ("h2", &format!("yes same toolchain as {compiler}")),
        );
        goes_there(&mut lab, "+zeroconf", compiler, compiler);
    }
    for (compiler, family) in [("gcc-11", "gcc"), ("clang-13", "clang")] {
        let why = Why::ask(lab.host(1), "+zeroconf", &[compiler], 1);
        let reason = why.of("h2").to_owned();
        assert!(reason.starts_with(&format!("no {family} 1")), "{reason}");
        assert!(reason.ends_with(" there"), "{reason}");
        stays_here(&mut lab, "+zeroconf", compiler);
    }
}

/// Makes the German locale of the system in a directory that a server can be pointed at.
fn german(host: &Host) -> Option<String> {
    let locales = host.dir("locales");
    fs::create_dir(&locales).unwrap();
    // It warns of things that do not matter here, and then ends with 1.
    let mut make = Command::new("localedef");
    make.args(["-i", "de_DE", "-f", "UTF-8"]).arg(locales.join("de_DE.UTF-8"));
    let made = make.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if made.is_err() || !locales.join("de_DE.UTF-8/LC_MESSAGES").exists() {
        skip("localedef cannot make a German locale");
        return None;
    }
    Some(locales.to_str().unwrap().to_owned())
}

#[test]
fn a_server_that_speaks_german_is_understood() {
    let here = [("gcc", GCC), ("gcc-11", OLD_GCC)];
    let Some(mut lab) = lab(&here, &[("cc", GCC), ("gcc", GCC)]) else { return };
    let Some(locales) = german(lab.host(2)) else { return };
    let vars = [("LOCPATH", locales.as_str()), ("LC_ALL", "de_DE.UTF-8"), ("LANG", "de_DE.UTF-8")];
    let mut gcc = lab.host(2).command("gcc");
    let answer = gcc.arg("-v").envs(vars).output().unwrap();
    let answer = String::from_utf8_lossy(&answer.stderr).into_owned();
    if !answer.contains("gcc-Version") {
        skip("gcc-12-locales is not installed");
        return;
    }
    serve_stock_with(lab.host(2), &["--enable-tcp-insecure"], &vars);
    Why::wait_for(lab.host(1), "10.77.0.2", "gcc", ("10.77.0.2", "yes same toolchain as gcc"));
    goes_there(&mut lab, "10.77.0.2", "gcc", "gcc");
    Why::wait_for(
        lab.host(1),
        "10.77.0.2",
        "gcc-11",
        ("10.77.0.2", "no gcc 11.3.0 here, 12.2.0 there"),
    );
    stays_here(&mut lab, "10.77.0.2", "gcc-11");
}

#[test]
fn a_server_with_a_whitelist_is_used_by_the_name_that_it_has() {
    let here = [("gcc-12", GCC), ("gcc-11", OLD_GCC), ("clang", CLANG)];
    let there = [("gcc", GCC), ("gcc-12", GCC), ("gcc-11", OLD_GCC), ("clang", CLANG)];
    let Some(mut lab) = lab(&here, &there) else { return };
    // Only a name that is in this directory may be asked for, whatever else is on its PATH.
    said(lab.host(2).command("/bin/ln").args(["-s", GCC, "/usr/lib/distcc/gcc"]));
    serve_stock_with(lab.host(2), &[], &[]);
    Why::wait_for(lab.host(1), "10.77.0.2", "gcc-12", ("10.77.0.2", "yes same toolchain as gcc"));
    goes_there(&mut lab, "10.77.0.2", "gcc-12", "gcc");
    Why::wait_for(
        lab.host(1),
        "10.77.0.2",
        "gcc-11",
        ("10.77.0.2", "no gcc 11.3.0 here, 12.2.0 there"),
    );
    stays_here(&mut lab, "10.77.0.2", "gcc-11");
    let none = "no it has none of clang, clang-14, or refuses this machine";
    Why::wait_for(lab.host(1), "10.77.0.2", "clang", ("10.77.0.2", none));
    stays_here(&mut lab, "10.77.0.2", "clang");
}

#[test]
fn a_name_that_the_server_maps_to_another_compiler_is_what_it_runs() {
    let there = [("gcc", GCC), ("gcc-12", GCC)];
    let Some(mut lab) = lab(&[("gcc", GCC)], &there) else { return };
    if !installed(&[OLD_GCC]) {
        return;
    }
    // Its PATH says gcc 12, its list of commands gcc 11 for one of the names.
    let listed = lab.host(2).dir("listed");
    fs::create_dir(&listed).unwrap();
    symlink(OLD_GCC, listed.join("gcc")).unwrap();
    symlink(GCC, listed.join("gcc-12")).unwrap();
    let list = lab.host(2).dir("commands");
    let lines = ["gcc", "gcc-12"].map(|name| format!("{}\n", listed.join(name).display()));
    fs::write(&list, lines.concat()).unwrap();
    serve_stock_with(lab.host(2), &[], &[("DISTCC_CMDLIST", list.to_str().unwrap())]);
    Why::wait_for(lab.host(1), "10.77.0.2", "gcc", ("10.77.0.2", "yes same toolchain as gcc-12"));
    goes_there(&mut lab, "10.77.0.2", "gcc", "gcc-12");
}
