//! When processes began.

use std::fs;
use std::time::{Duration, SystemTime};

use nix::unistd::{SysconfVar, sysconf};

/// When the process began, to about a second; none if it has gone or `/proc` does not tell.
pub(crate) fn started(pid: i32) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold any character.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: f64 = fields.split(' ').nth(19)?.parse().ok()?;
    let per_second = u32::try_from(sysconf(SysconfVar::CLK_TCK).ok().flatten()?).ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let age = (uptime - ticks / f64::from(per_second)).max(0.0);
    SystemTime::now().checked_sub(Duration::try_from_secs_f64(age).ok()?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_began_when_it_was_started() {
        let before = SystemTime::now();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let began = started(child.id().cast_signed());
        child.kill().unwrap();
        child.wait().unwrap();
        let slack = Duration::from_secs(1);
        let began = began.unwrap();
        assert!(began >= before - slack && began <= SystemTime::now() + slack);
        assert_eq!(started(child.id().cast_signed()), None);
    }
}
