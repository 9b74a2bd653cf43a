//! What happens where a job cannot be done there, or nowhere: in every pair the user sees what the
//! compiler alone would have shown.

use std::net::{IpAddr, Ipv4Addr};

use crate::programs::{Desk, PAIRS, Server, Whose, free_addr, have_all};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn a_faulty_source_fails_with_the_compilers_words_and_code() {
    if !have_all() {
        return;
    }
    for (client, server) in PAIRS {
        let server = Server::start(server, LOCALHOST);
        let desk = Desk::new(client);
        desk.write("bad.c", "int x = oops;\n");
        for options in ["", ",lzo"] {
            let output = desk.run(&server.host(options), &["gcc", "-c", "bad.c"]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("bad.c:1") && said.contains("oops"), "{said}");
            assert!(!desk.path("bad.o").exists());
            let line = server.next_compile("bad.c");
            assert!(line.contains("COMPILE_ERROR exit:1"), "{line}");
        }
    }
}

#[test]
fn a_dead_host_costs_no_job() {
    if !have_all() {
        return;
    }
    for (client, server) in PAIRS {
        let server = Server::start(server, LOCALHOST);
        let desk = Desk::new(client);
        desk.write("a.c", "int x;\n");
        let hosts = format!("{} {}", free_addr(LOCALHOST), server.host(""));
        let output = desk.run_remotely(&hosts, &["gcc", "-c", "a.c"]);
        assert!(output.status.success() && desk.path("a.o").exists(), "{output:?}");
        assert!(server.next_compile("a.c").contains("COMPILE_OK"));
    }
}

#[test]
fn without_any_host_the_job_is_done_here() {
    if !have_all() {
        return;
    }
    for client in [Whose::Ours, Whose::Theirs] {
        let desk = Desk::new(client);
        desk.write("a.c", "int x;\n");
        let output = desk.run(&free_addr(LOCALHOST).to_string(), &["gcc", "-c", "a.c"]);
        assert!(output.status.success() && desk.path("a.o").exists(), "{output:?}");
        desk.take("a.o");
        let output = desk.run_remotely(&free_addr(LOCALHOST).to_string(), &["gcc", "-c", "a.c"]);
        assert!(!output.status.success() && !desk.path("a.o").exists(), "{output:?}");
    }
}

#[test]
fn what_must_not_travel_stays() {
    if !have_all() {
        return;
    }
    for (client, server) in PAIRS {
        let server = Server::start(server, LOCALHOST);
        let desk = Desk::new(client);
        desk.write("a.c", "int main(void) { return 0; }\n");
        for command in [
            &["gcc", "-E", "a.c", "-o", "a.i"][..],
            &["gcc", "a.c", "-o", "program"],
            &["gcc", "-march=native", "-c", "a.c", "-o", "native.o"],
        ] {
            let output = desk.run(&server.host(""), command);
            assert!(output.status.success(), "{command:?}: {output:?}");
        }
        assert!(desk.path("a.i").exists() && desk.path("program").exists());
        assert_eq!(server.compiles("a.c"), Vec::<String>::new());
    }
}
