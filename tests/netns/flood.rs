//! Somebody on the link lies: instances by the thousand, goodbyes and records in others' names.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::farm::{
    Compile, DEADLINE, QUICK, installed, offer_only, said, volunteer, volunteer_stock, write,
};
use crate::forger::{Claim, Forger};
use crate::jobs::Jobs;
use crate::lab::{Host, Lab, wait_for};
use crate::processes::send;

const COMPILERS: [(&str, &str); 4] = [
    ("gcc", "/usr/bin/gcc"),
    ("g++", "/usr/bin/g++"),
    ("cc", "/usr/bin/gcc"),
    ("c++", "/usr/bin/g++"),
];
const SERVER: &str = "/usr/bin/distccd";
const N_FORGED: u16 = 5000;
/// All of them take about five seconds.
const PACE: Duration = Duration::from_millis(1);
/// Somebody lies for so long: the mDNS library lets go of a record after a second.
const SLANDER: Duration = Duration::from_secs(4);
/// Far below what 5,000 instances would take if they were kept.
const MAX_RESIDENT_KIB: u64 = 40 << 10;
/// Host 4 lies, host 5 joins late.
const LIAR: usize = 4;
const LATE: usize = 5;

/// Host 1 builds, 2 serves with ours and 3 with Debian's.
fn lab(hosts: usize) -> Option<Lab> {
    if !installed(&["/usr/bin/gcc", "/usr/bin/g++", "/usr/bin/as", SERVER]) {
        return None;
    }
    let mut lab = Lab::new(hosts)?;
    for number in 2..=hosts {
        offer_only(lab.host(number), &COMPILERS);
    }
    write(lab.host(1), "x.c", QUICK);
    volunteer(lab.host(2));
    if !lab.host(3).avahi() {
        return None;
    }
    volunteer_stock(lab.host(3));
    wait_for("both hosts", DEADLINE, || (shown(lab.host(1)) == ["h2", "h3"]).then_some(()));
    Some(lab)
}

/// The hosts of `--show-hosts`; what is at none of their ports stands there as it is.
fn shown(host: &Host) -> Vec<String> {
    let screen = said(host.command("distcc").arg("--show-hosts").env("DISTCC_HOSTS", "+zeroconf"));
    hosts_of(&screen)
}

fn hosts_of(screen: &str) -> Vec<String> {
    let mut hosts: Vec<String> = screen.lines().map(named).collect();
    hosts.sort();
    // By the addresses alone, nobody can tell that a stock server is at both of them.
    hosts.dedup();
    hosts
}

fn named(token: &str) -> String {
    let at = |net: String| {
        let rest = token.strip_prefix(&net)?;
        let (number, rest) = rest.split_at_checked(1)?;
        let rest = rest.strip_prefix(']').unwrap_or(rest);
        rest.starts_with(":3632/").then(|| format!("h{number}"))
    };
    let name = at("10.77.0.".to_owned()).or_else(|| at("[fd77::".to_owned()));
    name.unwrap_or_else(|| token.to_owned())
}

/// One compile, which must be remote and right; how long it took.
#[track_caller]
fn job(host: &Host) -> Duration {
    let began = Instant::now();
    let job = Compile::gcc(host, "+zeroconf", "x.c", "x.o");
    let took = began.elapsed();
    assert!(job.was_remote(), "{}", job.log);
    job.assert_right(host, "gcc", "x.c");
    took
}

fn median_and_worst(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("median {:.0?}, worst {:.0?}", times[times.len() / 2], times[times.len() - 1])
}

/// A line of what the system says of the agent.
fn status_of_agent(host: &Host, key: &str) -> u64 {
    let agents = host.pids("distccd");
    assert_eq!(agents.len(), 1, "one agent is there");
    let status = fs::read_to_string(format!("/proc/{}/status", agents[0])).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// Instances at addresses that nobody has, at those of real hosts, and at that of the client.
fn flood(host: &Host) -> JoinHandle<()> {
    let forger = Forger::on(host);
    thread::spawn(move || {
        for n in 0..N_FORGED {
            let last = u8::try_from(100 + n % 150).unwrap();
            let (addr, port) = match n % 8 {
                0 | 1 => (last, 3632),
                2 => (u8::try_from(LIAR).unwrap(), 1000 + n),
                3 => (2, 10_000 + n),
                4 => (3, 3632),
                5 => (1, 3632),
                6 => (u8::try_from(LATE).unwrap(), 3632),
                _ => (last, 10_000 + n),
            };
            let id = format!("id={:08x}", 0xf000_0000_u32 + u32::from(n));
            let ours = ["txtvers=1", "cpus=4", "jobs=6", &id, "feat=lzo,hello"];
            let claim = Claim {
                instance: &format!("distcc@forged{n}"),
                host: &format!("forged{n}"),
                addr: Ipv4Addr::new(10, 77, 0, addr),
                port,
                // Half of them say that they are ours.
                txt: if n % 16 < 8 { &ours } else { &ours[..3] },
            };
            forger.announce(&claim);
            thread::sleep(PACE);
        }
    })
}

/// A `--show-hosts` that runs beside the jobs.
struct Look {
    child: Child,
    began: Instant,
}

impl Look {
    fn begin(host: &Host) -> Self {
        let mut command = host.command("distcc");
        command.arg("--show-hosts").env("DISTCC_HOSTS", "+zeroconf").stdout(Stdio::piped());
        Self { child: command.spawn().unwrap(), began: Instant::now() }
    }

    /// What it showed and how long that took, once it has.
    fn ended(&mut self) -> Option<(Vec<String>, Duration)> {
        let status = self.child.try_wait().unwrap()?;
        assert!(status.success());
        let mut screen = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut screen).unwrap();
        Some((hosts_of(&screen), self.began.elapsed()))
    }
}

#[test]
fn five_thousand_forged_instances_change_neither_the_list_nor_the_jobs() {
    let Some(mut lab) = lab(5) else { return };
    let before: Vec<Duration> = (0..20).map(|_| job(lab.host(1))).collect();
    let resident = status_of_agent(lab.host(1), "VmRSS");

    let began = Instant::now();
    let flood = flood(lab.host(LIAR));
    let (mut during, mut looks) = (Vec::new(), Vec::new());
    let (mut started, mut found) = (None::<Instant>, None);
    let mut look = Look::begin(lab.host(1));
    while !flood.is_finished() || found.is_none() {
        during.push(job(lab.host(1)));
        if started.is_none() && began.elapsed() > Duration::from_secs(1) {
            started = Some(Instant::now());
            volunteer(lab.host(LATE));
        }
        if let Some((mut hosts, took)) = look.ended() {
            looks.push(took);
            if hosts.pop_if(|last| started.is_some() && last == "h5").is_some() && found.is_none() {
                found = started.map(|at| at.elapsed());
            }
            assert_eq!(hosts, ["h2", "h3"], "{:.1?} after the flood began", began.elapsed());
            look = Look::begin(lab.host(1));
        }
        assert!(began.elapsed() < DEADLINE, "the late host was never found");
    }
    flood.join().unwrap();
    let flooded = began.elapsed();
    let afterwards: Vec<Duration> = (0..20).map(|_| job(lab.host(1))).collect();
    assert_eq!(shown(lab.host(1)), ["h2", "h3", "h5"]);

    let peak = status_of_agent(lab.host(1), "VmHWM");
    eprintln!("found {:.2?} after its daemon's start", found.unwrap());
    eprintln!("20 jobs before: {}", median_and_worst(before));
    eprintln!(
        "{} jobs in the {flooded:.1?} since it began: {}",
        during.len(),
        median_and_worst(during)
    );
    eprintln!("20 jobs afterwards: {}", median_and_worst(afterwards));
    eprintln!("{} looks at the list: {}", looks.len(), median_and_worst(looks));
    eprintln!("memory of the agent: {resident} KiB before, at most {peak} KiB");
    assert!(peak < MAX_RESIDENT_KIB, "the agent takes {peak} KiB");
}

#[test]
fn a_build_that_begins_in_a_flood_finds_its_hosts() {
    let Some(mut lab) = lab(4) else { return };
    let client = lab.host(1).dir("distcc");
    for pid in lab.host(1).pids("distccd") {
        send(pid, Signal::SIGKILL);
    }
    wait_for("the agent to end", DEADLINE, || lab.host(1).pids("distccd").is_empty().then_some(()));
    fs::remove_dir_all(client).unwrap();
    fs::create_dir(lab.host(1).dir("distcc")).unwrap();
    let flood = flood(lab.host(LIAR));
    thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let n_local = wait_for("a job on another host", DEADLINE, {
        let mut n_local = 0;
        let host = &*lab.host(1);
        move || {
            let job = Compile::gcc(host, "+zeroconf", "x.c", "x.o");
            job.assert_right(host, "gcc", "x.c");
            n_local += usize::from(!job.was_remote());
            job.was_remote().then_some(n_local)
        }
    });
    let remote = began.elapsed();
    wait_for("both hosts", DEADLINE, || (shown(lab.host(1)) == ["h2", "h3"]).then_some(()));
    let both = began.elapsed();
    eprintln!("{n_local} jobs were local, one was remote after {remote:.2?}");
    eprintln!("both hosts were shown after {both:.2?}");
    flood.join().unwrap();
    assert_eq!(shown(lab.host(1)), ["h2", "h3"]);
    job(lab.host(1));
}

/// Says such things of hosts 2 and 3 every moment, while jobs are done; then no more.
#[track_caller]
fn jobs_during(lab: &mut Lab, slander: impl Fn(&Forger, &str) + Send + 'static) {
    let forger = Forger::on(lab.host(LIAR));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let slander = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            ["distcc@h2", "distcc@h3"].iter().for_each(|instance| slander(&forger, instance));
            thread::sleep(Duration::from_millis(200));
        }
    });
    let compiled = |lab: &mut Lab| [2, 3].map(|n| Jobs::of(lab.host(n)).compiled.len());
    let (before, began) = (compiled(lab), Instant::now());
    let mut times = Vec::new();
    while began.elapsed() < SLANDER {
        times.push(job(lab.host(1)));
        assert_eq!(shown(lab.host(1)), ["h2", "h3"], "after {:.1?}", began.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    slander.join().unwrap();
    let n_jobs = times.len();
    let [at_h2, at_h3] = compiled(lab);
    eprintln!("of {n_jobs} jobs h2 ran {}, h3 {}", at_h2 - before[0], at_h3 - before[1]);
    eprintln!("they took: {}", median_and_worst(times));
    // When the lies have gone too.
    thread::sleep(SLANDER);
    job(lab.host(1));
    assert_eq!(shown(lab.host(1)), ["h2", "h3"]);
}

#[test]
fn hosts_for_which_somebody_says_goodbye_go_on_working() {
    let Some(mut lab) = lab(4) else { return };
    jobs_during(&mut lab, |forger, instance| forger.goodbye(instance));
}

#[test]
fn hosts_whose_names_somebody_takes_go_on_working_and_the_thief_gets_no_source() {
    let Some(mut lab) = lab(4) else { return };
    let addr = lab.host(LIAR).addr();
    let listener = lab.host(LIAR).enter(|| TcpListener::bind((addr, 6666))).unwrap();
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let met = Arc::clone(&sizes);
    // It closes as a stock server does, when it has read all that comes at once.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut bytes) = (stream.unwrap(), vec![0; 64 << 10]);
            let n_read = stream.read(&mut bytes).unwrap_or_default();
            met.lock().unwrap().push(n_read);
        }
    });
    // Nobody listens at the other port.
    for port in [6667, 6666] {
        jobs_during(&mut lab, move |forger, instance| {
            forger.hijack(&Claim { instance, host: "thief", addr, port, txt: &[] });
        });
    }
    let sizes = sizes.lock().unwrap();
    eprintln!("the thief was sent so many bytes, by connection: {sizes:?}");
    // A hello, or the probe job, whose source is empty.
    assert!(!sizes.is_empty() && sizes.iter().all(|size| *size < 200), "{sizes:?}");
}
