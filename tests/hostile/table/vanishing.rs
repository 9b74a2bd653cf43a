//! What is still there when the client has gone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::attack::{Attack, Scene};
use crate::processes::Process;
use crate::run::job;
use crate::victim::PATIENCE;
use crate::wire::{read_answer, send, token};

pub(super) const ATTACKS: &[Attack] = &[
    Attack::behaves("a program deaf to SIGTERM", |s| survives(s, &[DEAF])).with_any_program(),
    Attack::behaves("a program in its own session", |s| survives(s, &[AWAY])).with_any_program(),
    Attack::behaves("-wrapper deaf to SIGTERM", |s| survives(s, &["gcc", "-wrapper", DEAF])),
    Attack::behaves("-wrapper in its own session", |s| survives(s, &["gcc", "-wrapper", AWAY])),
    Attack::behaves("-B with a deaf assembler", |s| survives(s, &["gcc", "-B", "{plant}/deaf/"])),
    Attack::behaves("-B with one in its own session", |s| {
        survives(s, &["gcc", "-B", "{plant}/away/"])
    }),
    Attack::behaves("-fmodule-mapper= in its own session", |s| {
        survives(s, &["g++", "-std=c++20", "-fmodules-ts", "-fmodule-mapper=|{plant}/away/as"])
    }),
    Attack::behaves("@ with a deaf program", |s| survives(s, &["gcc", "@{plant}/deaf/args"])),
    Attack::behaves("--specs= with a deaf assembler", |s| {
        survives(s, &["gcc", "--specs={plant}/deaf/specs"])
    }),
    Attack::behaves("clang -B with a deaf assembler", |s| {
        survives(s, &["clang", "-no-integrated-as", "-B", "{plant}/deaf"])
    }),
    Attack::behaves("a compile whose client leaves", |s| leaves_zombies(s, false)),
    Attack::behaves("a compile whose client breaks off", |s| leaves_zombies(s, true)),
    Attack::behaves("files of -fstack-usage", |s| leaves_files(s, &["gcc", "-fstack-usage"])),
    Attack::behaves("files of -gsplit-dwarf", |s| leaves_files(s, &["gcc", "-g", "-gsplit-dwarf"])),
    Attack::behaves("files of -fdump-tree-original", |s| {
        leaves_files(s, &["gcc", "-fdump-tree-original"])
    }),
    Attack::behaves("files of a crash", |s| {
        let bytes = [s.protocol.greeting(), token("ARGC", 0), s.protocol.body(b"x")].concat();
        leaves_files_of(s, &bytes)
    }),
];

const DEAF: &str = "{plant}/deaf/as";
const AWAY: &str = "{plant}/away/as";
const SOURCE: &str = "export module m;\n";
/// The original looks at its client once a second.
const GRACE: Duration = Duration::from_secs(2);
/// Keeps a compiler at work for much longer than any test.
pub(super) const ENDLESS: &[&str] =
    &["g++", "-std=c++20", "-fconstexpr-ops-limit=9000000000", "-fconstexpr-loop-limit=2000000000"];
pub(super) const LOOP: &str = "constexpr long f() { long s = 0; for (long i = 0; i < 1000000000; i++) s += i & 1; \
    return s; }\nconstexpr long x = f();\n";

/// Ours has a second for those that do not obey, and more than that on a busy machine.
fn patience(scene: &Scene) -> Duration {
    if scene.victim.is_ours() { Duration::from_secs(30) } else { GRACE }
}

/// Does a process that the job has started live on when the client has gone?
fn survives(scene: &Scene, argv: &[&str]) -> bool {
    let source = if argv[0] == "g++" { SOURCE } else { "int x;\n" };
    let mut client = send(scene.victim, &job(scene.victim, scene.protocol, argv, source));
    let begun = Instant::now();
    while scene.victim.marked_process().is_none() {
        assert!(begun.elapsed() < PATIENCE, "neither mark nor answer: {argv:?}");
        if read_answer(&mut client, Duration::from_millis(20)).1 && scene.victim.is_ours() {
            break;
        }
    }
    drop(client);
    let Some(started) = scene.victim.marked_process() else { return false };
    let gone = Instant::now();
    while started.lives() && gone.elapsed() < patience(scene) {
        sleep(Duration::from_millis(20));
    }
    started.lives()
}

/// Is anything of a compile that was given up still in the table of processes, be it as zombies?
fn leaves_zombies(scene: &Scene, reset: bool) -> bool {
    let before = scene.victim.processes();
    let request = job(scene.victim, scene.protocol, ENDLESS, LOOP);
    let client = send(scene.victim, &request);
    let at_work = || {
        let all = scene.victim.processes();
        all.into_iter().filter(|process| process.name == "cc1plus").collect::<Vec<_>>()
    };
    let begun = Instant::now();
    while at_work().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "no compiler");
        sleep(Duration::from_millis(10));
    }
    if reset {
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    }
    drop(client);
    let gone = Instant::now();
    let is_new = |process: &Process| before.iter().all(|other| other.pid != process.pid);
    let compilers_left = || scene.victim.processes().iter().any(is_new);
    while compilers_left() && gone.elapsed() < patience(scene) {
        sleep(Duration::from_millis(20));
    }
    compilers_left()
}

fn leaves_files(scene: &Scene, argv: &[&str]) -> bool {
    let source = "int f(void) { return 0; }\n";
    leaves_files_of(scene, &job(scene.victim, scene.protocol, argv, source))
}

/// Are there files of a job when nobody is connected any more?
fn leaves_files_of(scene: &Scene, request: &[u8]) -> bool {
    let before = scene.victim.leavings();
    let (_, closed) = read_answer(&mut send(scene.victim, request), PATIENCE);
    assert!(closed);
    let left = || scene.victim.leavings().iter().any(|path| !before.contains(path));
    let begun = Instant::now();
    while left() && begun.elapsed() < patience(scene) {
        sleep(Duration::from_millis(20));
    }
    left()
}
