//! distccmon-text beside the original's, on the same state files.

use std::fs;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Command, Output};

use crate::programs::{Whose, have};

/// A state file as the original's client leaves it, stale bytes behind the names.
fn state(pid: u32, file: &[u8], host: &[u8], slot: i32, phase: i32) -> Vec<u8> {
    let name = |text: &[u8]| {
        let mut field = [b'~'; 128];
        field[..text.len()].copy_from_slice(text);
        field[text.len()] = 0;
        field
    };
    let mut bytes = 296_u64.to_ne_bytes().to_vec();
    bytes.extend(0x4449_4800_u64.to_ne_bytes());
    bytes.extend(u64::from(pid).to_ne_bytes());
    bytes.extend(name(file));
    bytes.extend(name(host));
    bytes.extend(slot.to_ne_bytes());
    bytes.extend(phase.to_ne_bytes());
    bytes.extend([0x55; 8]);
    bytes
}

fn monitor(whose: Whose, dir: &Path) -> Output {
    let mut command = Command::new(whose.program("distccmon-text"));
    command.env("DISTCC_DIR", dir).output().expect("it can be run")
}

#[test]
fn the_monitor_shows_what_the_originals_shows() {
    if !have(&["distccmon-text"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let states = dir.path().join("state");
    fs::create_dir(&states).expect("a directory of ours");
    let living = parent_id();
    let long = b"averyveryveryveryverylongnameofasourcefile.c";
    let files = [
        ("binstate_1", state(living, b"a.c", b"zeta", 1, 5)),
        ("binstate_2", state(living, b"done.c", b"zeta", 0, 7)),
        ("binstate_3", state(living, long, b"averyveryverylonghostname.example.org", 12, 0)),
        ("binstate_4", state(1, b"", b"", 0, 1)),
        ("binstate_5", state(living, b"strange phase", b"Alpha", -3, 9)),
        ("binstate_6", state(living, b"strange phase", b"Beta", 3, -1)),
        ("binstate_7", state(living, b"\xff.c", b"zeta", 0, 6)),
        ("binstate_8", state(0x7fff_fff0, b"dead.c", b"zeta", 3, 6)),
        ("binstate_9", b"half written".to_vec()),
        ("something_else", state(living, b"a.c", b"zeta", 9, 5)),
    ];
    for (name, bytes) in files {
        fs::write(states.join(name), bytes).expect("a directory of ours");
    }
    let theirs = monitor(Whose::Theirs, dir.path());
    let ours = monitor(Whose::Ours, dir.path());
    assert_eq!(ours.stdout, theirs.stdout, "{}", String::from_utf8_lossy(&ours.stdout));
    assert_eq!(ours.status.code(), theirs.status.code());
    assert_eq!(ours.stdout.iter().filter(|byte| **byte == b'\n').count(), 7);
}
