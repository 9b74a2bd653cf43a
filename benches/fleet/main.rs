//! What five hundred daemons on one link cost the agent of a machine there. `make bench` runs it.
//!
//! Two machines of namespaces: a user's, with the real client and agent, and the fleet's, with one
//! real daemon and 499 [stand-ins](stand_ins) that advertise, answer and take jobs as it does. All
//! of them share the processors, so times are rather too long; CPU and memory are the agent's own.
//! The idle minute is half of two: within those, the agent asks the network once.
#![expect(clippy::unwrap_used, reason = "a lab that cannot be built is said so by a panic")]

mod agent;
#[path = "../../tests/netns/lab/mod.rs"]
#[expect(dead_code, unused_imports, reason = "nobody moves here")]
mod lab;
#[path = "../common/processes.rs"]
#[expect(dead_code, reason = "the one process here is told apart by its host")]
mod processes;
#[path = "../../tests/common/skip.rs"]
mod skip;
#[path = "../common/stand_in.rs"]
mod stand_in;
mod stand_ins;

use std::env;
use std::fmt::Display;
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use agent::Agent;
use lab::{Host, Lab};

/// Daemons on the link.
const N_DAEMONS: usize = 500;
/// Jobs whose latency is measured, one after the other.
const N_JOBS: usize = 50;
/// Of these, the agent is left alone for two.
const MINUTE: Duration = Duration::from_secs(60);
/// Between two jobs of a build that goes on quietly.
const JOB_EVERY: Duration = Duration::from_millis(250);
/// Before a figure cannot be taken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Hosts: those that are found, or one by its name.
const FOUND: &str = "+zeroconf";
const LISTED: &str = "10.77.0.2:4000/16";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some(stand_ins::FLEET) => stand_ins::run(args.get(1).map_or("", String::as_str)),
        // `cargo test --all-targets` starts benches too, but without this word.
        _ if !args.iter().any(|arg| arg == "--bench") => {
            println!("measures only under `cargo bench`");
            Ok(())
        }
        _ => bench(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> io::Result<()> {
    let Some(mut lab) = Lab::new(2) else { return Ok(()) };
    let _fleet = prepare(&mut lab)?;
    let user = lab.host(1);
    println!("{N_DAEMONS} daemons on the link, one agent\n");
    println!("{:<44} {:>12} {:>12}", "", "measured", "target");

    let start = time_until_found(user)?;
    let agent = Agent::of(user)?;
    report("all usable after a first start", millis(start), "5000 ms");
    report("  CPU of the agent until then", millis(agent.cpu()?), "");
    report("  memory of the agent", mib(agent.memory("VmRSS")?), "40 MiB");
    // What it has found is written down half a second later.
    thread::sleep(Duration::from_secs(1));
    agent.end()?;

    let start = time_until_found(user)?;
    let agent = Agent::of(user)?;
    report("all usable after a start that remembers", millis(start), "5000 ms");
    report("  CPU of the agent until then", millis(agent.cpu()?), "");

    let before = agent.cpu()?;
    thread::sleep(2 * MINUTE);
    report("CPU of an idle minute", millis((agent.cpu()? - before) / 2), "500 ms");

    let before = agent.cpu()?;
    let n_jobs = jobs_for_a_minute(user)?;
    let used = agent.cpu()? - before;
    report("CPU of a minute with 4 jobs a second", millis(used), "");
    report("  CPU of the agent per job", micros(used / n_jobs), "");

    for (hosts, what) in [(FOUND, "found"), (LISTED, "listed")] {
        compile(user, hosts)?;
        let before = agent.cpu()?;
        let wall = median_job(user, hosts)?;
        let used = (agent.cpu()? - before) / u32::try_from(N_JOBS).expect("a few jobs");
        report(&format!("a job on a host that is {what}, wall"), micros(wall), "");
        report("  CPU of the agent per job", micros(used), "");
    }
    report("memory of the agent at the end", mib(agent.memory("VmRSS")?), "40 MiB");
    report("  the most it ever had", mib(agent.memory("VmHWM")?), "40 MiB");
    agent.end()
}

fn report(what: &str, measured: impl Display, target: &str) {
    println!("{what:<44} {measured:>12} {target:>12}");
}

fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn micros(time: Duration) -> String {
    format!("{} us", time.as_micros())
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

/// Started processes that end with this value.
struct Fleet(Child);

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Gives both machines a wide network and the compiler, and starts the fleet.
fn prepare(lab: &mut Lab) -> io::Result<Fleet> {
    for number in [1, 2] {
        let host = lab.host(number);
        host.readdress("eth0", &[format!("10.77.0.{number}/16")]);
        stand_in::build(&host.dir("tmp"))?;
        host.install(stand_in::STUB, &host.dir("tmp").join(stand_in::STUB));
    }
    fs::write(lab.host(1).dir("home").join("tiny.c"), "int one;\n")?;
    let host = lab.host(2);
    fs::set_permissions(host.dir("state"), Permissions::from_mode(0o777))?;
    // Every address of the prefix is this machine's.
    run(host.command("ip").args(["route", "add", "local", stand_ins::PREFIX, "dev", "lo"]))?;
    let port = stand_ins::REAL.port().to_string();
    run(host
        .command("distccd")
        .args(["--zeroconf", "--allow", "10.77.0.0/16"])
        .args(["--port", &port, "--jobs", "16"]))?;
    let own = env::current_exe()?;
    let mut fleet = host
        .command(&own.to_string_lossy())
        .args([stand_ins::FLEET, &(N_DAEMONS - 1).to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = fleet.stdout.take().expect("stdout is a pipe");
    let fleet = Fleet(fleet);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    match line.trim() == stand_ins::READY {
        true => Ok(fleet),
        false => Err(io::Error::other("the fleet does not start")),
    }
}

/// Asks who is there, which starts the agent, until all can be used.
fn time_until_found(user: &Host) -> io::Result<Duration> {
    let wanted = format!("{N_DAEMONS} of {N_DAEMONS} hosts can be used");
    let start = Instant::now();
    loop {
        let mut command = user.command("distcc");
        command.args(["--show-hosts", "--why", stand_in::STUB]).env("DISTCC_HOSTS", FOUND);
        let screen = run(&mut command)?;
        if screen.contains(&wanted) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > PATIENCE {
            let last = screen.lines().find(|line| line.contains("can be used")).unwrap_or("none");
            return Err(io::Error::other(format!("not all are found: {last}")));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A build of quick jobs; how many there were.
fn jobs_for_a_minute(user: &Host) -> io::Result<u32> {
    let start = Instant::now();
    let mut n_jobs = 0;
    while start.elapsed() < MINUTE {
        compile(user, FOUND)?;
        n_jobs += 1;
        thread::sleep((JOB_EVERY * n_jobs).saturating_sub(start.elapsed()));
    }
    Ok(n_jobs)
}

fn median_job(user: &Host, hosts: &str) -> io::Result<Duration> {
    let mut times = (0..N_JOBS).map(|_| compile(user, hosts)).collect::<io::Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[N_JOBS / 2])
}

/// One job that must not stay at home; from the start of the client to its end.
fn compile(user: &Host, hosts: &str) -> io::Result<Duration> {
    let mut command = user.command("distcc");
    command.args([stand_in::STUB, "-c", "tiny.c", "-o", "out.o"]);
    command.env("DISTCC_HOSTS", hosts).env("DISTCC_FALLBACK", "0");
    let start = Instant::now();
    run(&mut command)?;
    let wall = start.elapsed();
    stand_in::check_object(&user.dir("home").join("out.o"))?;
    Ok(wall)
}

/// What the command printed; it must succeed.
fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| stand_in::at(Path::new(command.get_program()), &e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{command:?}: {}: {said}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
