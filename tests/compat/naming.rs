//! By whatever name a compiler is called, it is that toolchain that compiles, here or elsewhere.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::programs::{Desk, Server, Whose, have_all, on_path};
use crate::skip::skip;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOURCE: &str =
    "int sum(const int *a, int n) { int s = 0; while (n--) s += *a++; return s; }\n";

fn desk() -> Desk {
    let desk = Desk::new(Whose::Ours);
    desk.write("a.c", SOURCE);
    desk.write("a.cc", SOURCE);
    desk
}

/// Compiles here, then there, and compares.
fn same_there(desk: &Desk, server: &Server, command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    desk.locally(&words);
    let expected = desk.take("a.o");
    let output = desk.run_remotely(&server.host(""), &words);
    assert!(output.status.success(), "{command}: {output:?}");
    assert!(desk.take("a.o") == expected, "{command}: another object");
    let source = words[words.len() - 1];
    assert!(server.next_compile(source).contains("COMPILE_OK"), "{command}");
}

#[test]
fn every_name_of_a_compiler_means_its_toolchain() {
    if !have_all() {
        return;
    }
    for whose in [Whose::Ours, Whose::Theirs] {
        let server = Server::start(whose, HERE);
        let desk = desk();
        let gcc = on_path("gcc").expect("looked for");
        symlink(&gcc, desk.path("mine")).expect("a directory of ours");
        let names = "gcc cc c++ gcc-12 g++-11 x86_64-linux-gnu-gcc-12 /usr/bin/gcc ./mine \
                     clang clang++-13 /usr/lib/llvm-14/bin/clang";
        for name in names.split_whitespace() {
            // What the machine lacks is no name of a compiler.
            if desk.path(name).exists() || on_path(name).is_some() {
                let source = if name.contains("++") { "a.cc" } else { "a.c" };
                same_there(&desk, &server, &format!("{name} -O2 -c {source}"));
            }
        }
        same_there(&desk, &server, "gcc -march=native -O3 -c a.c");
        // A script that adds options is another compiler, which a host may not have.
        for name in ["c89", "c99"].into_iter().filter(|name| on_path(name).is_some()) {
            desk.locally(&[name, "-c", "a.c"]);
            let expected = desk.take("a.o");
            let output = desk.run(&server.host(""), &[name, "-c", "a.c"]);
            assert!(output.status.success(), "{name}: {output:?}");
            assert!(desk.take("a.o") == expected, "{name}: another object");
        }
    }
}

const CROSS: [&str; 3] = [
    "aarch64-linux-gnu-gcc -O2 -c a.c",
    "arm-none-eabi-gcc -O2 -mcpu=cortex-m4 -mthumb -c a.c",
    "aarch64-linux-gnu-gcc -O2 -fno-ident -c a.c",
];

/// The cross compilers that are installed; it is said loudly if not all are.
fn installed() -> impl Iterator<Item = &'static str> {
    CROSS.into_iter().filter(|command| {
        let name = command.split(' ').next().expect("a word");
        let found = on_path(name).is_some();
        if !found {
            skip(&format!("no {name} on PATH"));
        }
        found
    })
}

#[test]
fn cross_compilers_go_to_hosts_that_have_them() {
    if !have_all() {
        return;
    }
    for whose in [Whose::Ours, Whose::Theirs] {
        let server = Server::start(whose, HERE);
        let desk = desk();
        for command in installed() {
            same_there(&desk, &server, command);
        }
    }
}

#[test]
fn a_host_without_the_cross_compiler_is_left_out() {
    if !have_all() {
        return;
    }
    let desk = desk();
    // A server that has given up root must be able to read here.
    let bin = tempfile::tempdir().expect("a temporary directory can be made");
    fs::set_permissions(bin.path(), Permissions::from_mode(0o755)).expect("it is ours");
    for name in ["gcc", "as"] {
        symlink(on_path(name).expect("a system with gcc"), bin.path().join(name))
            .expect("the same");
    }
    let server = Server::start_on_path(Whose::Ours, HERE, bin.path());
    same_there(&desk, &server, "gcc -O2 -c a.c");
    for command in installed() {
        let words: Vec<&str> = command.split(' ').collect();
        desk.locally(&words);
        let expected = desk.take("a.o");
        let output = desk.run(&server.host(""), &words);
        assert!(output.status.success(), "{command}: {output:?}");
        assert!(desk.take("a.o") == expected, "{command}: another object");
        assert_eq!(server.compiles("a.c"), [""; 0], "{command}");
        let why = desk.run(&server.host(""), &["--show-hosts", "--why", words[0]]);
        let why = String::from_utf8_lossy(&why.stdout).into_owned();
        assert!(why.contains("  no ") && why.contains(" there"), "{why}");
    }
}
