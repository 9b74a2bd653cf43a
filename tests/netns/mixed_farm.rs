//! Five machines, ours and Debian's servers, three toolchains under the same names: whoever builds
//! gets every object from the compiler that it named.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::farm::{
    DAEMON_LOG, installed, offer, offer_only, said, stop_server, volunteer, volunteer_stock,
};
use crate::jobs::Jobs;
use crate::lab::{Lab, wait_for};
use crate::long;
use crate::project::BUILD_DEADLINE;
use crate::why::Why;

const NEW: [(&str, &str); 3] =
    [("gcc", "/usr/bin/gcc-12"), ("cc", "/usr/bin/gcc-12"), ("g++", "/usr/bin/g++-12")];
const OLD: [(&str, &str); 3] =
    [("gcc", "/usr/bin/gcc-11"), ("cc", "/usr/bin/gcc-11"), ("g++", "/usr/bin/g++-11")];
const CLANG: (&str, &str) = ("clang", "/usr/bin/clang-14");
const OLD_CLANG: (&str, &str) = ("clang", "/usr/bin/clang-13");
const GCC_11: (&str, &str) = ("gcc-11", "/usr/bin/gcc-11");

/// What the build names, the suffix of its sources, and the hosts that have it in the first half of
/// a test, and after two of them have swapped their compilers.
const COMPILERS: [(&str, &str, [&[usize]; 2]); 4] = [
    ("gcc", "c", [&[2, 3], &[3, 5]]),
    ("g++", "cc", [&[2, 3], &[3, 5]]),
    ("gcc-11", "c", [&[4, 5], &[2, 4]]),
    ("clang", "c", [&[3], &[3]]),
];
/// The servers; 3 and 5 are Debian's, found through avahi.
const SERVERS: [usize; 4] = [2, 3, 4, 5];

const MAKEFILE: &str = "\
OBJECTS = $(patsubst %,%.o,$(wildcard $(PART)-*.c $(PART)-*.cc))
all: $(OBJECTS)
compiler = $(word 2,$(subst @, ,$(basename $<)))
$(OBJECTS): %.o: %
\t$(WITH) $(compiler) -O2 -c $< -o $(OUT)$@
";

fn is_stock(number: usize) -> bool {
    number == 3 || number == 5
}

fn start(lab: &mut Lab, number: usize) {
    if is_stock(number) {
        volunteer_stock(lab.host(number));
    } else {
        volunteer(lab.host(number));
    }
}

fn farm() -> Option<Lab> {
    let files = NEW.iter().chain(&OLD).chain([&CLANG, &OLD_CLANG]).map(|(_, file)| *file);
    let tools = ["/usr/bin/distccd", "/usr/bin/make", "/usr/bin/readelf"];
    if !installed(&files.chain(tools).collect::<Vec<_>>()) {
        return None;
    }
    let mut lab = Lab::new(5)?;
    for (name, file) in NEW.iter().chain([&CLANG, &GCC_11]) {
        lab.host(1).install(name, Path::new(file));
    }
    offer_only(lab.host(2), &NEW);
    offer_only(lab.host(3), &[&NEW[..], &[CLANG]].concat());
    offer_only(lab.host(4), &[&OLD[..], &[OLD_CLANG]].concat());
    offer_only(lab.host(5), &[&OLD[..], &[OLD_CLANG]].concat());
    for number in SERVERS {
        if is_stock(number) && !lab.host(number).avahi() {
            return None;
        }
        start(&mut lab, number);
    }
    Some(lab)
}

/// Writes `n` sources of this part, each for one of the compilers: `PART-N@COMPILER.c`.
fn write_sources(lab: &mut Lab, part: &str, n: usize) -> Vec<String> {
    let home = lab.host(1).dir("home");
    fs::write(home.join("Makefile"), MAKEFILE).unwrap();
    let write = |n: usize| {
        let (compiler, suffix, _) = COMPILERS[n % COMPILERS.len()];
        let name = format!("{part}-{n}@{compiler}.{suffix}");
        let text = format!("int f{n}(int x) {{ return x / {} + x % {}; }}\n", n + 3, n + 7);
        fs::write(home.join(&name), text).unwrap();
        name
    };
    (0..n).map(write).collect()
}

/// A `make` of every object of a part into a directory.
fn make(lab: &mut Lab, part: &str, out: &str, with: &str) -> std::process::Command {
    let host = lab.host(1);
    fs::create_dir_all(host.dir("home").join(out)).unwrap();
    let mut make = host.command("make");
    make.args(["-k", "-j8", &format!("PART={part}"), &format!("OUT={out}/")]);
    make.arg(format!("WITH={with}")).env("DISTCC_HOSTS", "+zeroconf");
    make.stdin(Stdio::null()).stdout(Stdio::null());
    make
}

/// Compares every object of a part with the one that its compiler makes here, mark first.
#[track_caller]
fn assert_right(lab: &mut Lab, part: &str, sources: &[String]) {
    let local = format!("{part}-local");
    said(&mut make(lab, part, &local, ""));
    let host = lab.host(1);
    let marks = |out: &str| {
        let objects = sources.iter().map(|source| format!("{out}/{source}.o"));
        said(host.command("readelf").args(["--string-dump=.comment"]).args(objects))
            .lines()
            .filter_map(|line| line.split_once(']').map(|(_, mark)| mark.trim().to_owned()))
            .collect::<Vec<_>>()
    };
    let (made, expected) = (marks(part), marks(&local));
    assert_eq!(expected.len(), sources.len());
    assert_eq!(expected.iter().collect::<BTreeSet<_>>().len(), 3, "three toolchains");
    assert_eq!(made, expected, "an object of a wrong compiler");
    let read = |out: &str, source: &str| {
        fs::read(host.dir("home").join(out).join(format!("{source}.o"))).unwrap()
    };
    for source in sources {
        assert!(read(part, source) == read(&local, source), "{source} is not as compiled here");
    }
}

/// No server has run a job of a compiler that it does not have; how many it has run.
#[track_caller]
fn assert_only_right_jobs(lab: &mut Lab, half: usize, part: &str) -> [usize; 4] {
    SERVERS.map(|number| {
        let ran = Jobs::of(lab.host(number)).ran;
        let ran: Vec<_> = ran.iter().filter(|job| job.source.starts_with(part)).collect();
        for job in &ran {
            let (compiler, _, hosts) = COMPILERS
                .iter()
                .find(|(name, suffix, _)| job.source.ends_with(&format!("@{name}.{suffix}")))
                .unwrap();
            assert!(hosts[half].contains(&number), "{compiler} ran on h{number}: {job:?}");
        }
        ran.len()
    })
}

/// Ours and Debian's have taken part; of a few jobs, not each of them needs to get one.
#[track_caller]
fn assert_all_had_jobs(ran: [usize; 4], n_jobs: usize) {
    println!("jobs of h2 to h5: {ran:?} of {n_jobs}");
    let [h2, h3, h4, h5] = ran;
    assert!(h2 + h4 > 0 && h3 + h5 > 0);
    assert!(n_jobs < 100 || ran.iter().all(|n| *n > 0));
}

/// Every host's verdict for every compiler, to the word.
#[track_caller]
fn assert_verdicts(lab: &mut Lab, half: usize) {
    for (compiler, _, hosts) in COMPILERS {
        let why = Why::ask(lab.host(1), "+zeroconf", &[compiler], SERVERS.len());
        for number in SERVERS {
            let told = why.of(&format!("h{number}"));
            let reason = match compiler {
                _ if hosts[half].contains(&number) => match compiler {
                    "gcc-11" => "yes same toolchain as gcc",
                    name => &format!("yes same toolchain as {name}"),
                },
                "gcc" | "g++" => "no gcc 12.2.0 here, 11.3.0 there",
                "gcc-11" => "no gcc 11.3.0 here, 12.2.0 there",
                _ if number == 2 => "no no clang there",
                _ => "no clang 14.0.6 here, 13.0.1 there",
            };
            assert_eq!(told, reason, "{compiler} on h{number}");
        }
    }
}

fn build_on_the_mixed_farm(n_jobs: usize) {
    let Some(mut lab) = farm() else { return };
    assert_verdicts(&mut lab, 0);
    let began = Instant::now();
    let sources = write_sources(&mut lab, "first", n_jobs / 2);
    said(&mut make(&mut lab, "first", "first", "distcc"));
    println!("{} jobs in {:.1?}", sources.len(), began.elapsed());
    assert_right(&mut lab, "first", &sources);
    let ran = assert_only_right_jobs(&mut lab, 0, "first");
    assert_all_had_jobs(ran, sources.len());

    // One of ours and one of Debian's come back with other compilers under the same names.
    let began = Instant::now();
    let sources = write_sources(&mut lab, "second", n_jobs / 4);
    let mut build = make(&mut lab, "second", "second", "distcc").spawn().unwrap();
    for (number, compilers) in [(2, OLD), (5, NEW)] {
        stop_server(lab.host(number));
        fs::remove_file(lab.host(number).dir(DAEMON_LOG)).unwrap();
        offer(lab.host(number), &compilers);
        start(&mut lab, number);
    }
    let status = wait_for("the build to end", BUILD_DEADLINE, || build.try_wait().unwrap());
    assert!(status.success());
    println!("{} jobs in {:.1?} while two restarted", sources.len(), began.elapsed());
    assert_right(&mut lab, "second", &sources);

    wait_for("the farm to be whole again", BUILD_DEADLINE, || {
        let mut show = lab.host(1).command("distcc");
        show.env("DISTCC_HOSTS", "+zeroconf").args(["--show-hosts", "--why", "gcc"]);
        said(&mut show).contains("2 of 4 hosts can be used").then_some(())
    });
    assert_verdicts(&mut lab, 1);
    let sources = write_sources(&mut lab, "third", n_jobs - n_jobs / 2 - n_jobs / 4);
    said(&mut make(&mut lab, "third", "third", "distcc"));
    assert_right(&mut lab, "third", &sources);
    let ran = assert_only_right_jobs(&mut lab, 1, "third");
    assert_all_had_jobs(ran, sources.len());
}

#[test]
fn ours_and_debians_servers_with_three_toolchains_make_no_wrong_object() {
    build_on_the_mixed_farm(64);
}

#[test]
fn five_hundred_jobs_on_a_mixed_farm_make_no_wrong_object() {
    if long::wanted() {
        build_on_the_mixed_farm(560);
    }
}
