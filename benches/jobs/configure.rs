//! What a `configure` script pays for our being in its way: a script that asks a real compiler as
//! autoconf's do, through each client and through none.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::farm::Farm;
use super::table::{Row, Table};
use super::{children_cpu, median};

/// Runs of the script of each side.
const N_RUNS: usize = 5;
/// Questions of the kinds that autoconf's tests put, as many as of a small package.
const SCRIPT: &str = "set -e; n=0; while [ $n -lt 25 ]; do n=$((n + 1))\n\
    echo \"int main(void) { return $n - $n; }\" > conftest.c\n\
    $CC -c conftest.c; $CC -c -O2 conftest.c; $CC -o conftest conftest.c\n\
    $CC -E conftest.c > conftest.i; done\n";
const NAME: &str = "configure, 100 questions";

/// Adds the rows of both sides.
pub(super) fn measure(farm: &Farm, sides: [usize; 2], table: &mut Table) -> io::Result<()> {
    let dir = farm.dir().join("configure");
    fs::create_dir(&dir)?;
    let mut cpu = [const { Vec::new() }; 3];
    let mut wall = [const { Vec::new() }; 3];
    for run in 0..N_RUNS {
        let order = if run % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        for idx in order {
            let (cpu_of_run, wall_of_run) = run_script(farm, sides.get(idx).copied(), &dir)?;
            cpu[idx].push(cpu_of_run);
            wall[idx].push(wall_of_run);
        }
    }
    for (what, added, mut values) in
        [("CPU", "  CPU added to gcc's", cpu), ("wall", "  wall added", wall)]
    {
        let [ours, theirs, bare] = [0, 1, 2].map(|idx| median(&mut values[idx]));
        table.add(Row { case: NAME, what, values: [ours, theirs] });
        let values = [ours, theirs].map(|side| side.saturating_sub(bare));
        table.add(Row { case: NAME, what: added, values });
    }
    Ok(())
}

/// CPU and wall of one run with that side's client, or with none.
fn run_script(farm: &Farm, side: Option<usize>, dir: &Path) -> io::Result<(Duration, Duration)> {
    let mut command = Command::new("sh");
    let compiler = match side {
        Some(side) => {
            let side = farm.side(side);
            command.env("DISTCC_DIR", &side.state);
            command.env("DISTCC_HOSTS", format!("127.0.0.1:{}", side.port));
            format!("{} gcc", side.program.client.display())
        }
        None => "gcc".to_owned(),
    };
    command.args(["-c", SCRIPT]).env("CC", compiler).current_dir(dir).stdin(Stdio::null());
    let (cpu, start) = (children_cpu()?, Instant::now());
    let status = command.status()?;
    let (wall, cpu) = (start.elapsed(), children_cpu()?.saturating_sub(cpu));
    if !status.success() {
        return Err(io::Error::other(format!("the configure script: {status}")));
    }
    Ok((cpu, wall))
}
