//! What one job costs beside its compiler: our client and server and Debian's, in turns within one
//! run, with a compiler stand-in that costs next to nothing. `make bench` runs it.
//!
//! Sequential jobs over loopback. Client CPU is that of the client and of all that it waited for
//! (the stand-in's `-E` among it), wall is from its start to its end; both are medians over the
//! jobs. Server and agent CPU are means over all jobs; the server's include its `-c` runs of the
//! stand-in, which the kernel shows in steps of 10 ms, so differences below a tenth mean nothing.

mod configure;
mod farm;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../common/stand_in.rs"]
mod stand_in;
mod table;

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use farm::{Farm, Program};
use table::{Row, Table};

/// Jobs of each program and case.
const N_JOBS: usize = 200;
/// Jobs of one program before it is the other's turn.
const TURN: usize = 10;
/// Unmeasured jobs before the first: the agent starts, caches fill.
const WARM_UP: usize = 10;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    // `cargo test --all-targets` starts benches too, but without this word.
    if !args.iter().any(|arg| arg == "--bench") {
        println!("measures only under `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match bench(args.iter().any(|arg| arg == "--stock-only")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot measure: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One kind of job.
struct Case {
    name: &'static str,
    /// The source in the farm's directory.
    source: &'static str,
    /// `-c` or `-E`.
    action: &'static str,
    hosts: Hosts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hosts {
    /// The program's own server, with these host options.
    Server(&'static str),
    /// `localhost`.
    Local,
}

const CASES: [Case; 6] = [
    Case { name: "1 line", source: "tiny.c", action: "-c", hosts: Hosts::Server("") },
    Case { name: "1 line, lzo", source: "tiny.c", action: "-c", hosts: Hosts::Server(",lzo") },
    Case { name: "1 MiB", source: "large.c", action: "-c", hosts: Hosts::Server("") },
    Case { name: "1 MiB, lzo", source: "large.c", action: "-c", hosts: Hosts::Server(",lzo") },
    Case { name: "localhost", source: "tiny.c", action: "-c", hosts: Hosts::Local },
    Case { name: "-E, local", source: "tiny.c", action: "-E", hosts: Hosts::Local },
];

fn bench(stock_only: bool) -> io::Result<()> {
    let Some(stock) = Program::stock(&own("distcc")) else {
        println!("SKIPPED: no original distcc and distccd on PATH, nothing to compare with");
        return Ok(());
    };
    let ours = match stock_only {
        true => Program { name: "stock again", ..stock.clone() },
        false => Program { name: "ours", client: own("distcc"), server: own("distccd") },
    };
    let mut farm = Farm::new()?;
    let sides = [farm.start(ours)?, farm.start(stock)?];
    println!(
        "{N_JOBS} jobs each, in turns of {TURN}, microseconds a job; {} against {}",
        farm.side(sides[0]).program.client.display(),
        farm.side(sides[1]).program.client.display(),
    );
    let mut table = Table::new(sides.map(|side| farm.side(side).program.name));
    for case in &CASES {
        measure_case(&farm, sides, case, &mut table)?;
    }
    configure::measure(&farm, sides, &mut table)?;
    println!("\n{table}");
    for side in sides {
        let side = farm.side(side);
        println!("{}: first job {} us, with all that it starts", side.program.name, side.first());
    }
    Ok(())
}

/// The release binary of ours that was built with this bench.
fn own(name: &str) -> PathBuf {
    match name {
        "distcc" => env!("CARGO_BIN_EXE_distcc").into(),
        _ => env!("CARGO_BIN_EXE_distccd").into(),
    }
}

/// What jobs of one side cost.
#[derive(Default)]
struct Samples {
    client: Vec<Duration>,
    wall: Vec<Duration>,
    server: Duration,
    agent: Duration,
}

fn measure_case(farm: &Farm, sides: [usize; 2], case: &Case, table: &mut Table) -> io::Result<()> {
    for side in sides {
        for _ in 0..WARM_UP {
            let (_, wall) = run_job(farm, Some(side), case)?;
            farm.side(side).note_first(wall);
        }
    }
    let mut samples = [Samples::default(), Samples::default(), Samples::default()];
    let before = sides.map(|side| farm.side(side).cpu());
    for turn in 0..N_JOBS / TURN {
        // Whoever comes second finds warmer caches, so the order changes.
        let order = if turn % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for idx in order {
            for _ in 0..TURN {
                let (client, wall) = run_job(farm, sides.get(idx).copied(), case)?;
                samples[idx].client.push(client);
                samples[idx].wall.push(wall);
            }
        }
    }
    for (idx, side) in sides.into_iter().enumerate() {
        if let Hosts::Server(_) = case.hosts {
            farm.side(side).check_served(WARM_UP + N_JOBS)?;
        }
        let (after, before) = (farm.side(side).cpu(), &before[idx]);
        samples[idx].server = after.server.saturating_sub(before.server);
        samples[idx].agent = after.agent.saturating_sub(before.agent);
    }
    report(case, samples, table);
    Ok(())
}

fn report(case: &Case, samples: [Samples; 3], table: &mut Table) {
    let [mut ours, mut theirs, mut bare] = samples;
    let mean = |total: Duration| total / u32::try_from(N_JOBS).expect("a few hundred jobs");
    let mut add = |what, ours: Duration, theirs: Duration| {
        table.add(Row { case: case.name, what, values: [ours, theirs] });
    };
    let client = [&mut ours, &mut theirs, &mut bare].map(|side| median(&mut side.client));
    let wall = [&mut ours, &mut theirs, &mut bare].map(|side| median(&mut side.wall));
    add("client CPU", client[0], client[1]);
    match case.hosts {
        Hosts::Server(_) => {
            add("wall", wall[0], wall[1]);
            add("server CPU", mean(ours.server), mean(theirs.server));
        }
        Hosts::Local => {
            // What the compiler alone costs is the same on both sides and is taken off.
            let [ours, theirs] = [0, 1].map(|idx| client[idx].saturating_sub(client[2]));
            add("  added to the compiler's", ours, theirs);
            let [ours, theirs] = [0, 1].map(|idx| wall[idx].saturating_sub(wall[2]));
            add("  wall added", ours, theirs);
        }
    }
    add("agent CPU", mean(ours.agent), mean(theirs.agent));
}

fn median(values: &mut [Duration]) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Runs one job of `case` through that side's client, or through none, and returns CPU and wall.
fn run_job(farm: &Farm, side: Option<usize>, case: &Case) -> io::Result<(Duration, Duration)> {
    let object = farm.dir().join("out.o");
    let mut command = match side {
        Some(side) => {
            let side = farm.side(side);
            let mut command = Command::new(&side.program.client);
            command.arg(stand_in::STUB).env("DISTCC_DIR", &side.state);
            match case.hosts {
                Hosts::Server(options) => command
                    .env("DISTCC_HOSTS", format!("127.0.0.1:{}{options}", side.port))
                    .env("DISTCC_FALLBACK", "0"),
                Hosts::Local => command.env("DISTCC_HOSTS", "localhost"),
            };
            command
        }
        None => Command::new(farm.dir().join(stand_in::STUB)),
    };
    command.args([case.action, case.source]).current_dir(farm.dir());
    if case.action == "-c" {
        command.arg("-o").arg(&object);
    }
    command.env("PATH", farm.search_path()).stdin(Stdio::null()).stdout(Stdio::null());
    let (cpu, start) = (children_cpu()?, Instant::now());
    let status =
        command.status().map_err(|e| stand_in::at(Path::new(command.get_program()), &e))?;
    let (wall, cpu) = (start.elapsed(), children_cpu()?.saturating_sub(cpu));
    if !status.success() {
        return Err(io::Error::other(format!("{command:?} of '{}': {status}", case.name)));
    }
    if case.action == "-c" {
        stand_in::check_object(&object)?;
    }
    Ok((cpu, wall))
}

/// CPU of all processes that this one has waited for.
fn children_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let duration = |time: TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}
