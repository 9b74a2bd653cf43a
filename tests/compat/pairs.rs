//! What is compiled elsewhere is what would have been compiled here, in every pair of client and
//! server, plain and compressed, over IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::programs::{Desk, PAIRS, Server, Whose, have_address, have_all};

const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

const C_SOURCE: &str = "#include <stdio.h>\n#include \"own.h\"\n\
    int main(void) { puts(GREETING); return 0; }\n";
const HEADER: &str = "#define GREETING \"hello\"\n";
const CXX_SOURCE: &str = "#include <map>\n#include <string>\n#include <vector>\n\
    std::map<std::string, std::vector<int>> table() { return {{\"a\", {1, 2}}, {\"b\", {}}}; }\n";

fn desk(whose: Whose) -> Desk {
    let desk = Desk::new(whose);
    desk.write("a.c", C_SOURCE);
    desk.write("own.h", HEADER);
    desk.write("b.cc", CXX_SOURCE);
    desk
}

/// Compiles here and there and compares every file that the command makes.
fn same_as_local(desk: &Desk, server: &Server, hosts: &str, command: &[&str], made: &[&str]) {
    desk.locally(command);
    let expected: Vec<_> = made.iter().map(|name| desk.take(name)).collect();
    let output = desk.run_remotely(hosts, command);
    assert!(output.status.success(), "{hosts} {command:?}: {output:?}");
    for (name, expected) in made.iter().zip(expected) {
        assert!(desk.take(name) == expected, "{hosts} {command:?}: another {name}");
    }
    let is_source = |word: &&&str| word.starts_with(['a', 'b']);
    let source = command.iter().find(is_source).expect("sources are a.c, a.i and b.cc");
    let line = server.next_compile(source);
    assert!(line.contains("COMPILE_OK exit:0 sig:0 core:0 ret:0 time:"), "{line}");
}

#[test]
fn objects_are_those_of_the_local_compiler() {
    if !have_all() {
        return;
    }
    for ip in ADDRESSES.into_iter().filter(|ip| have_address(*ip)) {
        for (client, server) in PAIRS {
            let server = Server::start(server, ip);
            let desk = desk(client);
            for options in ["", "/3,lzo"] {
                let hosts = server.host(options);
                let c = ["gcc", "-O2", "-c", "a.c", "-o", "a.o"];
                same_as_local(&desk, &server, &hosts, &c, &["a.o"]);
                let cxx = ["g++", "-O1", "-Wall", "-c", "b.cc"];
                same_as_local(&desk, &server, &hosts, &cxx, &["b.o"]);
            }
        }
    }
}

#[test]
fn side_files_and_other_outputs_are_those_of_the_local_compiler() {
    if !have_all() {
        return;
    }
    for (client, server) in PAIRS {
        let server = Server::start(server, ADDRESSES[0]);
        let desk = desk(client);
        let hosts = server.host(",lzo");
        let assembly = ["gcc", "-O2", "-S", "a.c"];
        same_as_local(&desk, &server, &hosts, &assembly, &["a.s"]);
        let depend = ["gcc", "-MD", "-c", "a.c"];
        same_as_local(&desk, &server, &hosts, &depend, &["a.o", "a.d"]);
        // The original names the file after the source whatever the object is called.
        if !desk.is_original() {
            let depend = ["gcc", "-MD", "-c", "a.c", "-o", "out.o"];
            same_as_local(&desk, &server, &hosts, &depend, &["out.o", "out.d"]);
        }
        let named = ["gcc", "-MMD", "-MF", "deps", "-MT", "target", "-c", "a.c"];
        same_as_local(&desk, &server, &hosts, &named, &["a.o", "deps"]);
        desk.locally(&["gcc", "-E", "a.c", "-o", "a.i"]);
        let preprocessed = ["gcc", "-c", "a.i"];
        same_as_local(&desk, &server, &hosts, &preprocessed, &["a.o"]);
    }
}

#[test]
fn warnings_reach_the_user() {
    if !have_all() {
        return;
    }
    for (client, server) in PAIRS {
        let server = Server::start(server, ADDRESSES[0]);
        let desk = Desk::new(client);
        desk.write("w.c", "static int unused;\n");
        for options in ["", ",lzo"] {
            let command = ["gcc", "-Wall", "-c", "w.c"];
            let output = desk.run_remotely(&server.host(options), &command);
            assert!(output.status.success(), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("w.c:1") && said.contains("unused"), "{said}");
            assert!(server.next_compile("w.c").contains("COMPILE_OK"));
        }
    }
}
