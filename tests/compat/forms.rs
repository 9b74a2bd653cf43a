//! Sources reach a server of ours with their macros and comments, in a form of gcc's or clang's own
//! that the agent's answer decides on: plain and compressed.

use std::net::{IpAddr, Ipv4Addr};

use crate::programs::{Desk, Server, Whose, have};

/// Compilers warn of it where its macros are expanded and its comment is gone.
const QUIET: &str = "#include <stdio.h>\n#include <ctype.h>\n\
    #define CHECK(x) do { if (!(x)) puts(#x); } while (0)\n\
    int rise(int n) {\n    switch (n) {\n    case 1: puts(\"one\"); /* fallthrough */\n\
    case 2: return isdigit(n);\n    }\n    CHECK(n == n + 0); return NULL == stdin;\n}\n";

/// clang shows the macro, and where it is used.
const WARNED: &str = "#include <stdio.h>\n#define SQUARE(x) ((x) * (x))\n\
    int f(int n) {\n    unsigned u = 3; if (n < u) return SQUARE(n);\n    return 0;\n}\n";

#[test]
fn every_form_is_understood_by_a_server_of_ours() {
    if !have(&["gcc", "g++", "clang", "clang++"]) {
        return;
    }
    let server = Server::start(Whose::Ours, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let desk = Desk::new(Whose::Ours);
    if desk.is_original() {
        return;
    }
    for (name, text) in [("q.c", QUIET), ("q.cc", QUIET), ("w.c", WARNED), ("w.cc", WARNED)] {
        desk.write(name, text);
    }
    for (compiler, options, source) in [
        ("gcc", "-O0 -Wall -Wextra -Werror", "q.c"),
        ("gcc", "-O2 -Wall -Wextra -Werror -std=c99", "q.c"),
        ("g++", "-O0 -Wall -Wextra -Werror", "q.cc"),
        ("clang", "-O0 -Wall -Wextra -Werror", "q.c"),
        ("clang++", "-O2 -Wall -Wextra -Werror -std=c++17", "q.cc"),
        ("clang", "-O2 -Wextra -DX=1", "w.c"),
        ("clang++", "-O2 -Wextra -UX", "w.cc"),
    ] {
        let words = options.split(' ');
        let command: Vec<_> = [compiler].into_iter().chain(words).chain(["-c", source]).collect();
        let object = source.replace(".cc", ".o").replace(".c", ".o");
        let alone = desk.locally(&command);
        let expected = desk.take(&object);
        for form in ["", ",lzo"] {
            let output = desk.run_remotely(&server.host(form), &command);
            assert!(output.status.success(), "{form} {command:?}: {output:?}");
            assert_eq!(output, alone, "{form} {command:?}");
            assert!(desk.take(&object) == expected, "{form} {command:?}: another object");
            assert!(server.next_compile(source).contains("COMPILE_OK"));
        }
        assert_eq!(alone.stderr.is_empty(), source.starts_with('q'), "{alone:?}");
    }
}
