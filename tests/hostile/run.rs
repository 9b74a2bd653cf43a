//! Plays attacks and tells what came of them.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::attack::{Attack, Effect, Expected, How, Scene};
use crate::table::Class;
use crate::victim::{PATIENCE, Victim, Whose, alone_with_processes};
use crate::wire::{Protocol, expanded, read_answer, send};

/// How many attacks go on at once. Most of their time is that in which nothing comes of them.
const PLAYERS: usize = 4;

/// Plays these attacks of a class, each in each of these protocols, against the original and
/// against ours. Says what was not as it should be.
pub(crate) fn play_all(class: &Class, played: &[(&Attack, Protocol)]) -> Vec<String> {
    let known = tempfile::tempdir().unwrap();
    fs::set_permissions(known.path(), Permissions::from_mode(0o1777)).unwrap();
    let next = AtomicUsize::new(0);
    let all_of_one = || {
        let mut player = Player { known: known.path(), victims: Vec::new() };
        let mut outcomes = Vec::new();
        loop {
            let idx = next.fetch_add(1, Ordering::Relaxed);
            let Some((attack, protocol)) = played.get(idx) else { return outcomes };
            let begun = Instant::now();
            let original = player.play(attack, *protocol, Whose::Stock(attack.control));
            let time = begun.elapsed();
            let ours = player.play(attack, *protocol, Whose::Ours(attack.ours));
            outcomes.push((idx, original, ours, [time, begun.elapsed() - time]));
        }
    };
    let mut outcomes: Vec<(usize, bool, bool, [Duration; 2])> = thread::scope(|scope| {
        let players: Vec<_> = (0..PLAYERS).map(|_| scope.spawn(all_of_one)).collect();
        players.into_iter().flat_map(|player| player.join().unwrap()).collect()
    });
    outcomes.sort_unstable();
    let mut wrong = Vec::new();
    let mut report = format!("{} {}\n", class.id, class.title);
    for (idx, original, ours, [first, second]) in outcomes {
        let (attack, protocol) = played[idx];
        let row = format!(
            "{} {:44} {:5} {:24} {:8}",
            class.id,
            attack.name,
            format!("{protocol:?}"),
            format!("{:?}: {}", attack.control, word(original)),
            word(ours),
        );
        let as_expected = original && ours == (attack.expected == Expected::NeedsCage);
        let mark = if as_expected { "" } else { "  <-- not as expected" };
        writeln!(
            report,
            "{row} {:4.1} + {:4.1} s{mark}",
            first.as_secs_f32(),
            second.as_secs_f32()
        )
        .unwrap();
        if !as_expected {
            wrong.push(row);
        }
    }
    println!("{report}");
    if let Some(path) = env::var_os("HOSTILE_TABLE") {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(report.as_bytes()).unwrap();
    }
    wrong
}

fn word(succeeded: bool) -> &'static str {
    if succeeded { "succeeds" } else { "fails" }
}

/// Plays one attack after the other, against servers of its own. Jobs do not disturb each other, so
/// their servers outlive them.
struct Player<'a> {
    known: &'a Path,
    victims: Vec<(Whose, Victim)>,
}

impl Player<'_> {
    fn play(&mut self, attack: &Attack, protocol: Protocol, whose: Whose) -> bool {
        match attack.how {
            How::Behaviour(play) => {
                let victim = Victim::start(whose, self.known);
                plant(&victim);
                play(&Scene { victim: &victim, protocol })
            }
            How::Job { argv, source, effect } => {
                play_job(self.victim(whose), protocol, argv, source, effect)
            }
        }
    }

    fn victim(&mut self, whose: Whose) -> &Victim {
        let idx = self.victims.iter().position(|(other, _)| *other == whose).unwrap_or_else(|| {
            let victim = Victim::start(whose, self.known);
            plant(&victim);
            self.victims.push((whose, victim));
            self.victims.len() - 1
        });
        &self.victims[idx].1
    }
}

fn play_job(
    victim: &Victim,
    protocol: Protocol,
    argv: &[&str],
    source: &str,
    effect: Effect,
) -> bool {
    let request = job(victim, protocol, argv, source);
    let (answer, closed) = read_answer(&mut send(victim, &request), PATIENCE);
    assert!(closed, "no end of {argv:?}");
    match effect {
        Effect::Answer => answer.starts_with(b"DONE"),
        Effect::Leak(secret) => contains(&expanded(protocol, &answer, 1 << 20), secret.as_bytes()),
        Effect::Marker => {
            let mut mark = victim.mark();
            // What a compiler starts may be at it still.
            let begun = Instant::now();
            while mark.is_none() && !victim.is_ours() && begun.elapsed() < victim.patience() {
                sleep(Duration::from_millis(10));
                mark = victim.mark();
            }
            let marked = mark.is_some();
            while let Some(mark) = victim.mark() {
                let _ = fs::remove_file(mark);
            }
            marked
        }
    }
}

/// A lawful request with the template's command.
pub(crate) fn job(victim: &Victim, protocol: Protocol, argv: &[&str], source: &str) -> Vec<u8> {
    let name = if argv[0].ends_with("++") { "main.cc" } else { "main.c" };
    let mut words: Vec<String> = argv.iter().map(|word| victim.fill(word)).collect();
    words.extend(["-c", name, "-o", "main.o"].map(String::from));
    protocol.request(&words, victim.fill(source).as_bytes())
}

pub(crate) fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Puts there what attackers find on a server in which they could write once.
fn plant(victim: &Victim) {
    let _alone = alone_with_processes();
    let write = |name: &str, text: &str| {
        let path = victim.fill(&format!("{{plant}}/{name}"));
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, victim.fill(text)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    };
    let run = "#!/bin/sh\necho $$ > {mark}\n";
    for name in ["run/tool", "run/as", "run/gcc"] {
        write(name, run);
    }
    write("deaf/as", "#!/bin/sh\ntrap '' TERM\necho $$ > {mark}\nwhile :; do sleep 1; done\n");
    write(
        "away/as",
        "#!/bin/sh\nsetsid sh -c 'echo $$ > {mark}; exec sleep 600' </dev/null >/dev/null 2>&1 &\nsleep 600\n",
    );
    write("args", "-wrapper {plant}/run/tool\n");
    write("deaf/args", "-wrapper {plant}/deaf/as\n");
    write("specs", "*invoke_as:\n%{!S:-o %|.s |\n {plant}/run/as %m.s }\n\n");
    write("deaf/specs", "*invoke_as:\n%{!S:-o %|.s |\n {plant}/deaf/as %m.s }\n\n");
    write("evil.cfg", "-Xclang -load -Xclang {plant}/evil.so\n");
    fs::create_dir(victim.fill("{plant}/link")).unwrap();
    symlink(victim.fill("{plant}/run/tool"), victim.fill("{plant}/link/gcc")).unwrap();
    fs::write(victim.fill("{plant}/evil.so"), library()).unwrap();
}

/// A library that leaves a mark beside its directory as soon as it is loaded.
fn library() -> &'static [u8] {
    static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
    const SOURCE: &str = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdio.h>
        #include <string.h>
        __attribute__((constructor)) static void loaded(void) {
            Dl_info info;
            char path[4096];
            dladdr((void *)loaded, &info);
            snprintf(path, sizeof path, "%s", info.dli_fname);
            *strrchr(path, '/') = 0;
            strcat(path, "/../marks/mark");
            fclose(fopen(path, "w"));
        }
    "#;
    LIBRARY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("evil.c"), SOURCE).unwrap();
        let mut gcc = Command::new("gcc");
        gcc.args(["-shared", "-fPIC", "evil.c", "-o", "evil.so"]).current_dir(dir.path());
        assert!(gcc.status().unwrap().success());
        fs::read(dir.path().join("evil.so")).unwrap()
    })
}

/// Can these tests be run here?
pub(crate) fn have_all() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path).collect();
    for name in ["distccd", "gcc", "g++", "clang", "setsid", "awk"] {
        if !dirs.iter().any(|dir| dir.join(name).is_file()) {
            crate::skip::skip(&format!("no {name} on PATH"));
            return false;
        }
    }
    true
}
