//! Compilers that come, change and go while a daemon serves.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use crate::daemon::report::observe::{Event, JobResult};
use crate::daemon::testing::{PATIENCE, Running, Setting, converse, decode, request};
use crate::wire::hello::{HelloDecoder, encode_hello_request};
use crate::wire::job::Protocol;
use crate::wire::testing::have;

const SOURCE: &[u8] = b"# 1 \"hello.c\"\nint answer(void) { return 42; }\n";
const COMPILE: &str = "gcc -O2 -c hello.c -o hello.o";

/// What the daemon says that it offers, and since when.
async fn offers(daemon: &mut Running) -> (u64, Vec<String>) {
    let answer = converse(daemon.addr, &encode_hello_request()).await;
    let reply = HelloDecoder::new().feed(&mut &answer[..]).unwrap().unwrap();
    assert!(matches!(daemon.event().await, Event::Greeted(_)));
    assert!(matches!(daemon.event().await, Event::Touched(_)));
    let names = reply.compilers.into_iter().flat_map(|compiler| compiler.names);
    (reply.generation, names.collect())
}

/// Waits until these names, and no others, are offered.
async fn is_offered(daemon: &mut Running, expected: &[&str]) {
    let begun = Instant::now();
    loop {
        let (_, names) = offers(daemon).await;
        if names == expected {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{names:?} instead of {expected:?}");
    }
    println!("{expected:?} after {:?}", begun.elapsed());
}

fn contains(object: &[u8], text: &[u8]) -> bool {
    object.windows(text.len()).any(|part| part == text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_that_comes_or_goes_is_served_or_not_without_a_restart() {
    if !have(&["gcc", "gcc-11"]) {
        return;
    }
    let shelf = tempfile::tempdir().unwrap();
    let (bin, slot) = (shelf.path().join("bin"), shelf.path().join("slot/bin"));
    fs::create_dir(&bin).unwrap();
    let search_path = format!("{}:{}:/nonexistent", bin.display(), slot.display());
    symlink("/usr/bin/as", bin.join("as")).unwrap();
    symlink("/usr/bin/gcc", bin.join("gcc")).unwrap();
    let mut daemon = Running::start(Setting { search_path, ..Setting::default() }).await;
    let generation = offers(&mut daemon).await.0;
    is_offered(&mut daemon, &["gcc"]).await;
    symlink("/usr/bin/gcc-11", bin.join("gcc-11")).unwrap();
    is_offered(&mut daemon, &["gcc", "gcc-11"]).await;
    assert_ne!(offers(&mut daemon).await.0, generation);
    let eleven = request(Protocol::Plain, "gcc-11 -O2 -c hello.c -o hello.o", SOURCE);
    let (head, _) = decode(Protocol::Plain, &converse(daemon.addr, &eleven).await);
    assert!(head.status.success());
    assert!(matches!(daemon.result().await, JobResult::Compiled { .. }));
    // One goes, and a directory of PATH comes that was not there.
    fs::remove_file(bin.join("gcc-11")).unwrap();
    fs::create_dir_all(&slot).unwrap();
    symlink("/usr/bin/gcc-11", slot.join("x86_64-pc-linux-gnu-gcc-11.3.0")).unwrap();
    is_offered(&mut daemon, &["gcc", "x86_64-pc-linux-gnu-gcc-11.3.0"]).await;
    assert_eq!(converse(daemon.addr, &eleven).await, b"");
    assert!(matches!(daemon.result().await, JobResult::Refused(_)));
    // As gcc-config does it: another compiler by the same name.
    symlink("/usr/bin/gcc-11", bin.join("new")).unwrap();
    fs::rename(bin.join("new"), bin.join("gcc")).unwrap();
    let gcc = request(Protocol::Plain, COMPILE, SOURCE);
    let begun = Instant::now();
    loop {
        let answer = converse(daemon.addr, &gcc).await;
        daemon.result().await;
        // Refused while it is neither: nobody gets an object of the wrong one.
        if !answer.is_empty() && contains(&decode(Protocol::Plain, &answer).1, b"GCC: (Debian 11") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
    }
}
