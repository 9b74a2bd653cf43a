//! The lines of distccmon-text, pure, in the original's format (distcc 3.4, `mon-text.c`).

use super::record::{Phase, Record};

/// One round: a line a job, by host and slot, and an empty one. Names may be any bytes, so the
/// screen is bytes; widths are counted in them, as the original does.
pub(crate) fn render(mut jobs: Vec<Record>) -> Vec<u8> {
    jobs.retain(|job| job.phase != Phase::Done);
    jobs.sort_by(|a, b| (&a.host, a.slot, a.pid).cmp(&(&b.host, b.slot, b.pid)));
    let mut screen = Vec::new();
    for job in &jobs {
        screen.extend(format!("{:>6}  {:<10}  ", job.pid, job.phase.name()).into_bytes());
        let (file, host) = (shown::<30>(&job.file), shown::<24>(&job.host));
        screen.extend(&file);
        screen.resize(screen.len() + 30 - file.len() + 1, b' ');
        screen.resize(screen.len() + 24 - host.len(), b' ');
        screen.extend(host);
        screen.extend(format!("[{}]\n", job.slot).into_bytes());
    }
    screen.push(b'\n');
    screen
}

/// At most `WIDTH` bytes, and nothing that a terminal would obey: sources may be called anything.
fn shown<const WIDTH: usize>(name: &[u8]) -> Vec<u8> {
    let harmless = |byte: &u8| if byte.is_ascii_control() { b'?' } else { *byte };
    name.iter().take(WIDTH).map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(pid: u32, phase: Phase, file: &str, host: &str, slot: i32) -> Record {
        let (file, host) = (file.as_bytes().to_vec(), host.as_bytes().to_vec());
        Record { pid, file, host, slot, phase }
    }

    fn text(jobs: Vec<Record>) -> String {
        String::from_utf8(render(jobs)).unwrap()
    }

    #[test]
    fn lines_are_the_originals() {
        let jobs = vec![
            job(28639, Phase::Compile, "a.c", "127.0.0.1", 0),
            job(7, Phase::Preprocess, "", "", 0),
            job(
                19166,
                Phase::Startup,
                "averyveryveryveryverylongnameofasource.c",
                "averyveryverylonghostname.example.org",
                12,
            ),
        ];
        assert_eq!(
            text(jobs),
            "     7  Preprocess                                                         [0]\n\
             \u{20}28639  Compile     a.c                                           127.0.0.1[0]\n\
             \u{20}19166  Startup     averyveryveryveryverylongnameo averyveryverylonghostnam[12]\n\n"
        );
    }

    #[test]
    fn jobs_stand_by_host_and_slot_and_finished_ones_not_at_all() {
        let jobs = vec![
            job(1, Phase::Send, "s1", "beech", 1),
            job(2, Phase::Done, "done", "beech", 0),
            job(4, Phase::Blocked, "twin", "beech", 0),
            job(3, Phase::Receive, "s0", "beech", 0),
            job(5, Phase::Connect, "alder", "alder", 7),
        ];
        let screen = text(jobs);
        let pids: Vec<_> = screen.lines().map(|line| line.trim_start().split(' ').next()).collect();
        assert_eq!(pids, [Some("5"), Some("3"), Some("4"), Some("1"), Some("")]);
        assert_eq!(text(Vec::new()), "\n");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        let screen = text(vec![job(1, Phase::Send, "a\x1b[2J\n.c", "h\t", 0)]);
        assert!(screen.contains(" a?[2J?.c ") && screen.contains(" h?[0]"), "{screen}");
    }
}
