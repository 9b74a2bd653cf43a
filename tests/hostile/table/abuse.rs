//! Requests that break the rules of the wire.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::starving::crowd;
use crate::attack::{Attack, Scene};
use crate::victim::PATIENCE;
use crate::wire::{read_answer, send, token};

pub(super) const ATTACKS: &[Attack] = &[
    Attack::behaves("no words at all", |scene| loses_a_worker(scene, &NO_WORDS)),
    Attack::behaves("a compiler called -x", |scene| loses_a_worker(scene, &["-x", "-c"])),
    Attack::behaves("20 million words announced", |scene| {
        held(scene, &[scene.protocol.greeting(), token("ARGC", 20_000_000)].concat())
    }),
    Attack::behaves("a word of 4 GiB announced", |scene| {
        let (greeting, argc) = (scene.protocol.greeting(), token("ARGC", 5));
        held(scene, &[greeting, argc, token("ARGV", u32::MAX)].concat())
    }),
    Attack::behaves("a source of 4 GiB announced", |scene| {
        held(scene, &[scene.protocol.head(&COMMAND), token("DOTI", u32::MAX)].concat())
    }),
    Attack::behaves("a word of 96 MB sent", |scene| {
        let (greeting, argc) = (scene.protocol.greeting(), token("ARGC", 5));
        let word = vec![b'x'; 96 << 20];
        let len = u32::try_from(word.len()).unwrap();
        costs_memory(scene, &[greeting, argc, token("ARGV", len), word].concat(), 48 << 20)
    }),
    Attack::behaves("a million words sent", |scene| {
        let head = [scene.protocol.greeting(), token("ARGC", 1_000_000)].concat();
        let words = token("ARGV", 0).repeat(1_000_000);
        costs_memory(scene, &[head, words].concat(), 24 << 20)
    }),
    Attack::behaves("version 0", |scene| answered(scene, |request| put(request, 4, b"00000000"))),
    Attack::behaves("a number with blanks and a prefix", |scene| {
        answered(scene, |request| put(request, 16, b"     0x5"))
    }),
    Attack::behaves("a number with a sign", |scene| {
        answered(scene, |request| put(request, 16, b"+0000005"))
    }),
    Attack::behaves("bytes behind the request", fills_the_log),
    Attack::behaves("a line of the log in a name", |scene| {
        let line = "distccd[1] (dcc_job_summary) client: 10.9.9.9:1 COMPILE_OK forged.c";
        is_logged(scene, &format!("x\n{line}"), &format!("\n{line}"))
    }),
    Attack::behaves("control characters in a name", |scene| {
        is_logged(scene, "\u{1b}]0;owned\u{7}x.c", "\u{1b}]0;owned\u{7}")
    }),
];

const COMMAND: [&str; 5] = ["gcc", "-c", "a.c", "-o", "a.o"];
const NO_WORDS: [&str; 0] = [];

/// Does a worker end because of this command?
fn loses_a_worker(scene: &Scene, argv: &[&str]) -> bool {
    let before = scene.victim.workers();
    let request = scene.protocol.request(argv, b"int x;\n");
    let (answer, closed) = read_answer(&mut send(scene.victim, &request), PATIENCE);
    assert!(closed && answer.is_empty());
    let begun = Instant::now();
    // Ours has nothing to lose later: it has closed the connection.
    let patience = if scene.victim.is_ours() { Duration::ZERO } else { scene.victim.patience() };
    loop {
        if before.iter().any(|worker| !worker.lives()) {
            return true;
        }
        if begun.elapsed() >= patience {
            return !scene.victim.does_a_job(scene.victim.patience());
        }
        sleep(Duration::from_millis(10));
    }
}

/// Do clients that announce too much keep others out, or ours waiting until it is the time?
fn held(scene: &Scene, bytes: &[u8]) -> bool {
    let mut clients = crowd(scene, bytes);
    if !scene.victim.does_a_job(scene.victim.patience()) {
        return true;
    }
    // Less than any deadline that ours has for what is still to come.
    clients.iter_mut().any(|client| !read_answer(client, Duration::from_secs(9)).1)
}

/// Does sending this cost the server so much memory?
pub(super) fn costs_memory(scene: &Scene, bytes: &[u8], limit: u64) -> bool {
    let before = scene.victim.peak_memory();
    let mut client = send(scene.victim, bytes);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if scene.victim.peak_memory() > before + limit {
            return true;
        }
        if read_answer(&mut client, Duration::from_millis(50)).1 {
            return false;
        }
    }
    panic!("neither memory taken nor an answer")
}

fn put(request: &mut [u8], at: usize, text: &[u8]) {
    request[at..at + text.len()].copy_from_slice(text);
}

/// Is a request that is spoilt like that answered?
fn answered(scene: &Scene, spoil: fn(&mut [u8])) -> bool {
    let mut request = scene.protocol.request(&COMMAND, b"int x;\n");
    spoil(&mut request);
    let (answer, closed) = read_answer(&mut send(scene.victim, &request), PATIENCE);
    assert!(closed);
    answer.starts_with(b"DONE")
}

/// Does what comes behind a request that is being compiled go to the log?
fn fills_the_log(scene: &Scene) -> bool {
    const N_BYTES: usize = 100_000;
    let before = scene.victim.log().len();
    let source = "constexpr int f(int n) { return n < 1 ? 0 : 1 + f(n - 1); }\n\
        template<int N> struct A { static constexpr int v = f(400 + N) + A<N - 1>::v; };\n\
        template<> struct A<0> { static constexpr int v = 0; };\nint x = A<700>::v;\n";
    let argv = ["g++", "-c", "a.cc", "-o", "a.o"];
    let mut client = send(scene.victim, &scene.protocol.request(&argv, source.as_bytes()));
    let _ = client.write_all(&[b'x'; N_BYTES]);
    read_answer(&mut client, PATIENCE);
    scene.victim.log().len() > before + N_BYTES / 2
}

/// Does a source of this name put this into the log as it is?
fn is_logged(scene: &Scene, name: &str, text: &str) -> bool {
    let request = scene.protocol.request(&["gcc", "-c", name, "-o", "a.o"], b"int x;\n");
    let (_, closed) = read_answer(&mut send(scene.victim, &request), PATIENCE);
    assert!(closed);
    // The line of this job is there when that of a later one is.
    assert!(scene.victim.does_a_job(PATIENCE));
    scene.victim.log().contains(text)
}
